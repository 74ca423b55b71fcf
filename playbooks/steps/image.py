"""OS imaging by virtual media: media, one-time boot, power, phone-home, and a login that confirms it (field guide 3.2 to 3.4).

An image is written at most once for one intent. The intent is on disk before the host is switched on; whether it was written
is told by a phone-home with this installation's one-time token, which counts also when it reaches a later process.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

from fleet.edges import HostShell, PhoneHome
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient, UsageError
from fleet.events import Json
from fleet.gate import Aborted, Parked
from fleet.ports import BootMedia, PowerState
from fleet.step import Disrupts, Met, NodeContext, Unmet
from inventory.power import Stage
from playbooks.registry import step
from playbooks.steps.hosts import host_off, host_on, of_try, post_left_s
from playbooks.steps.login import COMMAND_S, require_this_machine, text_of
from playbooks.steps.waiting import again

Answer = TypeVar("Answer")

INSTALL_S = 3600.0
"""The slowest streams of a BMC take an hour (field guide 3.1); POST comes on top."""
LATE_S = 900.0
"""An installer that nobody heard calls again, after pauses that grow to ten minutes (docs/hall.md): a process that comes late
listens for longer than the longest of them, so that it hears the next call if there is one."""
LOGIN_S = 300.0
"""From the end of POST until sshd answers."""
LOGIN_POLL_S = 20.0
MARK = "/etc/fleetwave-before-"
"""A folder that we make in the OS from before, named after the installation: where it still stands, the disk was not written."""
TRIES = 3
TRY_AGAIN_S = 30.0
ONCE = "Once"
DISABLED = "Disabled"


@step("os.image", arguments=("os",), takes_s=2400.0, undo="no: its disk is erased")
@dataclass(frozen=True, slots=True, kw_only=True)
class OsImage:
    """Install an OS from an image that the BMC mounts, once, and confirm it by a login with the key that it phoned home."""

    image: str
    """Absolute path of the image, whose installation needs nobody (field guide 3.4). A playbook names the baseline's system instead."""
    sha256: str
    """Of the image: 64 hex digits."""
    release: str
    """VERSION_ID of /etc/os-release once it is installed (os-release(5))."""
    disrupts: Disrupts = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether the OS that last phoned home from this node runs, and is the wanted release."""
        told = ctx.latest("install")
        if told is None:
            return Unmet(f"no installation of this rollout is known, wanted {self.release}")
        if told.get("image", self.sha256) != self.sha256:
            return Unmet(f"another image was installed, sha256 {str(told['image'])[:16]}; wanted {self.sha256[:16]}")
        try:
            home = PhoneHome(**told["home"])
            _require_this_node(ctx, home)
            release = await _release(ctx, home)
        except (Transient, NodeFault) as silent:
            return Unmet(f"not confirmed: {silent}")
        return Met(f"runs {release}") if release == self.release else Unmet(f"runs {release}, wanted {self.release}")

    async def apply(self, ctx: NodeContext) -> None:
        """Install, confirm, and leave neither media nor override behind, whatever comes of it."""
        media = _media(ctx)
        try:
            await self._install(ctx, media)
        except (NodeFault, Transient, OutcomeUnknown) as fault:
            raise await _restored(ctx, media, fault) from fault
        except Aborted as stop:
            if not ctx.announced("host-off"):
                raise
            before = NodeFault(Reason.ABORTED, "the rollout was aborted before its disk was written")
            raise await _restored(ctx, media, before) from stop
        await _restore(ctx, media)

    async def _install(self, ctx: NodeContext, media: BootMedia) -> None:
        installation = await self._offer(ctx)
        if not ctx.announced("host-off"):
            await ctx.power.reserve(Stage.INSTALL)
            await ctx.require_identity()
        await host_off(ctx, of_try("host-off", _latest_try(ctx)))
        told = await ctx.once(
            "install",
            lambda intent: self._boot(ctx, intent),
            prepare=lambda: self._ready(ctx, media, installation),
            reconcile=lambda intent: self._find(ctx, intent),
        )
        await ctx.power.ended(Stage.INSTALL)
        home = PhoneHome(**told["home"])
        _require_this_node(ctx, home)
        if home.image_sha256 and home.image_sha256 != self.sha256.lower():
            raise NodeFault(Reason.IMAGE_FAILED, f"the installer wrote another image, sha256 {home.image_sha256[:16]}")
        ctx.progress(None, f"{home.os_release} installed, waiting for a login")
        await _await_login(ctx, home, self.release)

    async def _offer(self, ctx: NodeContext) -> str:
        """This installation, the same in every process, and the image behind it."""

        async def prepare() -> Json:
            installation = await ctx.edges.installs.begin()
            await _await_former(ctx)
            return {"installation": installation}

        async def act(intent: Json) -> Json:
            installation = str(intent["installation"])
            await self._url(ctx, installation)
            return {"installation": installation, "mark": await _marked(ctx, installation)}

        offered = await ctx.once("offer", act, prepare=prepare, reconcile=act)
        installation = str(offered["installation"])
        await self._url(ctx, installation)  # a process that did not make the offer serves it again
        return installation

    async def _url(self, ctx: NodeContext, installation: str) -> str:
        try:
            return await ctx.edges.installs.offer(Path(self.image), self.sha256, installation)
        except UsageError as error:
            raise NodeFault(Reason.IMAGE_FAILED, f"the image cannot be offered: {error}") from error

    async def _ready(self, ctx: NodeContext, media: BootMedia, installation: str) -> Json:
        """All before the boot: the machine is this node, its host is off, and it will start from our media, once."""
        # The last safe point: a shutdown takes minutes, and a process that died in it may be resumed by an abort. After it none
        # may come: a node that waits between media, override and boot would be erased by whoever turns it on.
        try:
            await ctx.safe_point()
        except Parked as stop:
            raise Parked(
                f"{stop}; its host is off for its installation: `fleet resume` goes on, `fleet abort` turns it on"
            ) from stop
        started = _latest_try(ctx)
        if ctx.announced(of_try("host-on", started)):  # and that came to nothing, by `_find`
            await host_off(ctx, of_try("host-off", started + 1))
        if await _patiently(ctx, ctx.bmc.power_state) is not PowerState.OFF:
            raise NodeFault(
                Reason.POWER_IGNORED, "the host was switched off for its installation, and something turned it on"
            )
        await ctx.require_identity()
        url = await self._url(ctx, installation)
        await _patiently(ctx, lambda: media.insert_media(url))
        await _patiently(ctx, media.boot_once)
        enabled, target = await _patiently(ctx, media.boot_override)
        if enabled != ONCE:
            raise NodeFault(Reason.IMAGE_FAILED, f"the boot override reads {enabled or 'nothing'} after it was set")
        return {"installation": installation, "override": [enabled, target], "at": ctx.clock.now()}

    async def _boot(self, ctx: NodeContext, intent: Json) -> Json:
        await host_on(ctx, of_try("host-on", _latest_try(ctx)))
        return await self._home(ctx, str(intent["installation"]), INSTALL_S + ctx.bmc.profile.timings.post_s)

    async def _find(self, ctx: NodeContext, intent: Json) -> Json | None:
        """After a crash. None: nothing was installed. Either the host was never switched on, or it runs what it ran before.

        That comes of a process that dies while the host looks for its media: nobody serves them, and the disk is booted.
        """
        on = of_try("host-on", _latest_try(ctx))
        if not ctx.announced(on):
            return None
        await host_on(ctx, on)
        left_s = float(intent["at"]) + INSTALL_S + ctx.bmc.profile.timings.post_s - ctx.clock.now()
        try:
            return await self._home(ctx, str(intent["installation"]), max(left_s, LATE_S))
        except NodeFault as silent:
            if await _override(ctx) == ONCE:
                raise  # it never started from the media
            if await _mark_stands(ctx, str((ctx.latest("offer") or {}).get("mark", ""))):
                return None
            raise NodeFault(
                Reason.OUTCOME_UNKNOWN,
                f"it may have called home while nobody listened: {silent}; look at its console before you install again",
            ) from silent

    async def _home(self, ctx: NodeContext, installation: str, limit_s: float) -> Json:
        """The phone-home, or IMAGE_FAILED with how far it came."""
        ctx.progress(None, "installing, waiting for its phone-home")
        installs = ctx.edges.installs
        home = await installs.heard(installation, timeout_s=limit_s)
        if home is not None:
            return {"home": asdict(home), "image": self.sha256, "at": ctx.clock.now()}
        fetched_bytes = installs.fetched_bytes(installation)
        far = (
            f"{fetched_bytes} bytes of it were read"
            if fetched_bytes
            else "it could not be read, or was not booted (F56)"
        )
        used = "was never used" if await _override(ctx) == ONCE else "was used"
        raise NodeFault(
            Reason.IMAGE_FAILED, f"no phone-home of the image within {limit_s:.0f} s: {far}; the boot override {used}"
        )


def _media(ctx: NodeContext) -> BootMedia:
    if not isinstance(ctx.bmc, BootMedia):
        raise NodeFault(Reason.IMAGE_FAILED, "this BMC is spoken to by a driver without virtual media")
    return ctx.bmc


def _latest_try(ctx: NodeContext) -> int:
    """The number of the newest try whose host was switched off; 1 before there is any."""
    return next(number for number in count(1) if not ctx.announced(of_try("host-off", number + 1)))


async def _await_former(ctx: NodeContext) -> None:
    """Until the OS from before answers, waiting for a POST that we caused; or for long enough."""
    give_up = ctx.clock.now() + post_left_s(ctx) + LOGIN_S
    while ctx.edges.host_key(ctx.node) and await _former(ctx) is None and ctx.clock.now() < give_up:
        ctx.progress(None, "waiting for the OS that it runs now")
        await ctx.safe_point()
        await ctx.clock.sleep(LOGIN_POLL_S)


async def _former(ctx: NodeContext) -> HostShell | None:
    """The OS from before this rollout, on the planned machine for certain; None where it does not answer, or another one does.

    Its host key proves neither: a golden image brings the same key to every machine, and to this one again.
    """
    host_key = ctx.edges.host_key(ctx.node)
    planned, _ = ctx.planned_identity()
    if not host_key or not planned:
        return None
    try:
        shell = await ctx.edges.shell(ctx.node, host_key)
        return shell if await require_this_machine(ctx, shell) else None
    except (Transient, NodeFault):
        return None


async def _marked(ctx: NodeContext, installation: str) -> str:
    """The folder that was made on the disk of before; empty: there is none, and nothing will prove that it was not written."""
    mark = f"{MARK}{installation[:16]}"
    return mark if await _ran(ctx, "mkdir", "-p", mark) and await _mark_stands(ctx, mark) else ""


async def _mark_stands(ctx: NodeContext, mark: str) -> bool:
    return mark.startswith(MARK) and await _ran(ctx, "test", "-d", mark)


async def _ran(ctx: NodeContext, *argv: str) -> bool:
    """Whether a command in the OS from before ended well."""
    shell = await _former(ctx)
    if shell is None:
        return False
    try:
        return (await shell.run(argv, timeout_s=COMMAND_S)).exit_status == 0
    except (Transient, NodeFault):
        return False


def _require_this_node(ctx: NodeContext, home: PhoneHome) -> None:
    """The machine that phoned home is the one that the plan was made for (F57)."""
    for what, planned, said in zip(("serial", "UUID"), ctx.planned_identity(), (home.serial, home.uuid), strict=True):
        if planned and planned.casefold() != said.casefold():
            raise NodeFault(
                Reason.IDENTITY_MISMATCH,
                f"the OS was installed on a machine with {what} {said}, the plan was made for {planned} (F57): compare the"
                " cabling of both; the disk of one of them was written",
            )


async def _await_login(ctx: NodeContext, home: PhoneHome, wanted: str) -> None:
    """Until the new OS answers under its new host key and says its release."""
    limit_s = ctx.bmc.profile.timings.post_s + LOGIN_S
    give_up = ctx.clock.now() + limit_s
    while True:
        try:
            release = await _release(ctx, home)
        except Transient as silent:
            if ctx.clock.now() >= give_up:
                raise NodeFault(
                    Reason.IMAGE_FAILED, f"it phoned home, but no login for {limit_s:.0f} s since: {silent}"
                ) from silent
            await ctx.clock.sleep(LOGIN_POLL_S)
            continue
        if release != wanted:
            raise NodeFault(Reason.IMAGE_FAILED, f"the image installed release {release}, wanted {wanted}")
        return


async def _release(ctx: NodeContext, home: PhoneHome) -> str:
    """VERSION_ID of the OS that holds this host key, and the serial of the machine that it runs on is ours."""
    shell = await ctx.edges.shell(ctx.node, home.host_key)
    told = await text_of(shell, "/etc/os-release")
    await require_this_machine(ctx, shell)
    return version_id(told)


def version_id(os_release: str) -> str:
    """VERSION_ID of os-release(5), without its quotes. Raises Transient where there is none: the file may be being written."""
    for line in os_release.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "VERSION_ID":
            return value.strip().strip("\"'")[:64]
    raise Transient("/etc/os-release names no VERSION_ID")


async def _override(ctx: NodeContext) -> str:
    """BootSourceOverrideEnabled, or empty where it cannot be read. Still Once: no POST began with it (field guide 3.3)."""
    try:
        enabled, _ = await _media(ctx).boot_override()
    except (Transient, NodeFault):
        return ""
    return enabled


async def _restored(ctx: NodeContext, media: BootMedia, fault: Exception) -> NodeFault:
    """The fault to raise, once the boot configuration is as it was; its text says where that failed too."""
    reason = fault.reason if isinstance(fault, NodeFault) else Reason.IMAGE_FAILED
    if isinstance(fault, OutcomeUnknown):
        reason = Reason.OUTCOME_UNKNOWN
    try:
        await ctx.require_identity()  # another machine's boot configuration is not ours to change
        await _restore(ctx, media)
        latest = _latest_try(ctx)
        on = of_try("host-on", latest)
        if ctx.announced(of_try("host-off", latest)) and not ctx.announced(on):
            await host_on(ctx, on)  # it was not booted from the media: it goes back to what it ran
    except (NodeFault, Transient, OutcomeUnknown) as left:
        return NodeFault(reason, f"{fault}; and its boot configuration may be left changed: {left}")
    return NodeFault(reason, f"{fault}; media ejected, boot override cleared")


async def _restore(ctx: NodeContext, media: BootMedia) -> None:
    """No override, no media; both read back. Idempotent, so it needs no intent."""
    await _patiently(ctx, media.clear_boot_override)
    await _patiently(ctx, media.eject_media)
    enabled, target = await _patiently(ctx, media.boot_override)
    if enabled not in {DISABLED, ""}:
        raise NodeFault(Reason.IMAGE_FAILED, f"the boot override is still {enabled}/{target}")


async def _patiently(ctx: NodeContext, call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Try again what may be done twice. IMAGE_FAILED after the last try."""
    answers: list[Answer] = []

    async def attempt() -> Json:
        try:
            answers.append(await call())
        except OutcomeUnknown as unknown:
            raise Transient(str(unknown)) from unknown
        return {}

    await again(ctx, TRIES, TRY_AGAIN_S, attempt, lambda why: NodeFault(Reason.IMAGE_FAILED, why))
    return answers[-1]
