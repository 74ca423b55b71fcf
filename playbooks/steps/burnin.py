"""Burn-in over SSH: run the tests of a profile, keep digests and judgements in the journal, believe nothing that was not seen to pass.

A test changes nothing on the node, so one that a crash interrupted is simply run again.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fleet.edges import CommandResult, HostShell
from fleet.errors import LoadShed, NodeFault, Reason, Transient
from fleet.events import Json
from fleet.step import Disrupts, Met, NodeContext, Unmet
from inventory.text import InputError
from playbooks.burnin import dcgm, kernel_log, nvbandwidth, smi
from playbooks.burnin.judging import argv, judge, overall, worse_than_before
from playbooks.burnin.profile import BurninProfile, profile_named
from playbooks.burnin.verdict import Finding, Judged, Verdict, judged, worst
from playbooks.registry import step
from playbooks.steps.login import COMMAND_S, require_this_machine
from playbooks.steps.waiting import again

INSTALL = "install"
"""The effect of os.image whose result holds the phone-home (fleet.edges.PhoneHome) of the OS that it installed, as `home`."""
_BURNIN, _BEFORE = "burn-in", "before"
READS = frozenset({smi.TEST, kernel_log.TEST})
"""Tests that only read: they draw nothing that idling does not."""
PROGRAMS: Mapping[str, tuple[str, ...]] = {dcgm.TEST: ("dcgmi", "nvvs"), nvbandwidth.TEST: ("nvbandwidth",)}
"""What runs while a test does. dcgmi asks the host engine, which runs the diagnosis in a process called nvvs (DCGM's own name for it)."""
END_S = 10.0
"""From being asked to end until it has ended [inf]."""
NONE_FOUND = 1
"""Exit status of pgrep where no process is called so (pgrep(1))."""
_SHOWN = 3
"""Findings that a sentence names; all of them are in the journal."""


@step("burnin.run", arguments=("profile",), takes_s=180.0)
@dataclass(frozen=True, slots=True, kw_only=True)
class BurninRun:
    """Test the node by a burn-in profile; it passes only if every expected part was seen to pass every test."""

    profile: str
    """Name of a profile in playbooks/library/burnin, or an absolute path."""
    disrupts: Disrupts = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether this step has a verdict of PASS in the journal."""
        found = ctx.latest(_BURNIN) if ctx.announced(_BURNIN) else None
        if found is None:
            return Unmet(f"{self.profile} has not been run")
        verdict = Verdict(found["verdict"])
        return Met(found["text"]) if verdict is Verdict.PASS else Unmet(found["text"])

    async def apply(self, ctx: NodeContext) -> None:
        """Run what has not been run yet and judge the whole. Raises BURNIN_FAILED for anything but PASS."""
        profile = _profile(self.profile)
        results = await _tests(ctx, profile, _BURNIN)

        async def act(_intent: Json) -> Json:
            before = ctx.latest(_BEFORE)
            return _summary(profile, results, {} if before is None else before["measures"])

        summary = await ctx.once(_BURNIN, act, prepare=_nothing, reconcile=_again)
        if Verdict(summary["verdict"]) is not Verdict.PASS:
            raise NodeFault(Reason.BURNIN_FAILED, summary["text"])


@step("burnin.baseline", arguments=("profile",), takes_s=180.0)
@dataclass(frozen=True, slots=True, kw_only=True)
class BurninBaseline:
    """Run the same tests before the rollout touches the node, so that burnin.run can compare; fails no node."""

    profile: str
    disrupts: Disrupts = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """Whether it was done, whatever it found."""
        found = ctx.latest(_BEFORE) if ctx.announced(_BEFORE) else None
        return Unmet(f"{self.profile} has not been run") if found is None else Met(found["text"])

    async def apply(self, ctx: NodeContext) -> None:
        """Run the tests. A node whose OS cannot be reached now has no past to compare with, which is recorded. Raises IDENTITY_MISMATCH."""
        profile = _profile(self.profile)
        try:
            results = await _tests(ctx, profile, _BEFORE)
        except NodeFault as fault:
            if fault.reason is Reason.IDENTITY_MISMATCH:
                raise
            why = f"nothing to compare with: {fault}"
            none: Json = {"verdict": Verdict.UNJUDGED.value, "text": why, "findings": [], "measures": {}}
            await ctx.once(_BEFORE, _Written(none), prepare=_nothing, reconcile=_again)
            return
        await ctx.once(_BEFORE, _Written(_summary(profile, results, {})), prepare=_nothing, reconcile=_again)


class _Written:
    """An effect whose result is known beforehand: it is only written down."""

    def __init__(self, result: Json) -> None:
        self._result = result

    async def __call__(self, _intent: Json) -> Json:
        return self._result


async def _tests(ctx: NodeContext, profile: BurninProfile, moment: str) -> list[Judged]:
    results: list[Judged] = []
    addresses: Mapping[str, int] = {}
    login = _Login(ctx)
    for test in profile.tests:
        one = await _test(login, profile, moment, test, addresses)
        addresses = addresses or one.addresses
        results.append(one)
    return results


async def _test(
    login: "_Login", profile: BurninProfile, moment: str, test: str, addresses: Mapping[str, int]
) -> Judged:
    """Run one test, once per journal; what its record says."""
    ctx = login.ctx

    async def act(_intent: Json) -> Json:
        ran = await _ran(ctx, await login.shell(), profile, test)
        one = judge(test, profile, ran.stdout, ran.exit_status, addresses)
        return {
            "argv": list(ran.argv),
            "exit_status": ran.exit_status,
            "stdout_sha256": hashlib.sha256(ran.stdout).hexdigest(),
            "stdout_bytes": len(ran.stdout),
            "stderr_sha256": hashlib.sha256(ran.stderr).hexdigest(),
            "duration_s": round(ran.duration_s, 1),
            "findings": [asdict(finding) for finding in one.findings],
            "measures": dict(one.measures),
            "addresses": dict(one.addresses),
        }

    async def prepare() -> Json:
        if test not in READS:
            rest = profile.tests[profile.tests.index(test) :]
            await ctx.power.reserve(test, left_s=sum(profile.timeout_s[each] for each in rest))
        return {}

    async def once() -> Json:
        while True:
            await ctx.safe_point()
            ctx.progress(None, f"{moment}: {test}")
            try:
                return await ctx.once(f"{moment} {test}", act, prepare=prepare, reconcile=_again)
            except LoadShed as shed:
                ctx.progress(None, f"{shed}; it is run again when there is room")

    known = await again(
        ctx, 3, 60.0, once, lambda why: NodeFault(Reason.UNREACHABLE, f"{test} could not be run: {why}")
    )
    return Judged(
        test=test,
        findings=tuple(
            Finding(verdict=Verdict(each["verdict"]), entity=each["entity"], text=each["text"])
            for each in known["findings"]
        ),
        measures=known["measures"],
        addresses=known["addresses"],
    )


async def _ran(ctx: NodeContext, shell: HostShell, profile: BurninProfile, test: str) -> CommandResult:
    """One test's command, as a load that may have to end. Raises LoadShed."""

    async def run() -> CommandResult:
        return await shell.run(argv(test, profile), timeout_s=profile.timeout_s[test])

    return await run() if test in READS else await ctx.power.under(test, run, lambda: _gone(ctx, shell, test))


async def _gone(ctx: NodeContext, shell: HostShell, test: str) -> bool:
    """End what is left of a test by its programs' exact names, as Ctrl-C would, and look. A node's power is never cut for it."""
    try:
        for program in PROGRAMS.get(test, (test,)):
            await shell.run(("pkill", "-INT", "-x", program), timeout_s=COMMAND_S)
        await ctx.clock.sleep(END_S)
        left = [
            (await shell.run(("pgrep", "-x", program), timeout_s=COMMAND_S)).exit_status
            for program in PROGRAMS.get(test, (test,))
        ]
    except (Transient, NodeFault):
        return False
    return all(status == NONE_FOUND for status in left)


@dataclass(slots=True)
class _Login:
    """The node's OS, for one run: before the first test it has to show that it runs on the planned machine (F57)."""

    ctx: NodeContext
    _proven: HostShell | None = None

    async def shell(self) -> HostShell:
        """Raises IDENTITY_MISMATCH where an address leads to another machine."""
        if self._proven is None:
            shell = await _shell(self.ctx)
            await require_this_machine(self.ctx, shell)
            self._proven = shell
        return self._proven


async def _shell(ctx: NodeContext) -> HostShell:
    """SSH to the OS that os.image installed, or to the one whose host key the inventory's known_hosts holds."""
    told = ctx.latest(INSTALL)
    host_key = str(told["home"]["host_key"]) if told is not None else ctx.edges.host_key(ctx.node)
    if not host_key:
        raise NodeFault(
            Reason.NO_EDGE,
            "the SSH host key of its OS is not known: install it by os.image, or put the key into the inventory's known_hosts",
        )
    return await ctx.edges.shell(ctx.node, host_key)


def _profile(name: str) -> BurninProfile:
    try:
        return profile_named(name)
    except InputError as wrong:
        raise NodeFault(Reason.NO_EDGE, str(wrong)) from wrong


def _summary(profile: BurninProfile, results: list[Judged], before: Mapping[str, float]) -> Json:
    """The verdict on the node, as the journal keeps it."""
    measures = {name: value for result in results for name, value in result.measures.items()}
    worse = worse_than_before(profile, before, measures)
    every = judged(profile.name, [*(finding for result in results for finding in result.findings), *worse])
    verdict = worst([overall(profile, results), every.verdict])
    return {
        "profile": profile.name,
        "verdict": verdict.value,
        "text": sentence(profile, verdict, every.findings, compared=bool(before)),
        "findings": [asdict(finding) for finding in every.findings],
        "measures": measures,
    }


def sentence(profile: BurninProfile, verdict: Verdict, findings: tuple[Finding, ...], *, compared: bool) -> str:
    """What happened, for a person: which part, which evidence."""
    if verdict is Verdict.PASS:
        past = ", no worse than before" if compared else ""
        return f"{profile.gpus} of {profile.gpus} GPUs passed {', '.join(profile.tests)} of {profile.name}{past}"
    named = "; ".join(str(finding) for finding in findings[:_SHOWN])
    more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    lead = {
        Verdict.DEGRADED: "burn-in: it works, but below what is asked of it",
        Verdict.UNJUDGED: "burn-in could not be judged, and what was not seen to pass has not passed",
        Verdict.FAIL_CONFIG: "burn-in failed by a setting, not by a part",
        Verdict.FAIL_HW: "burn-in failed",
    }[verdict]
    return f"{lead} ({profile.name}): {named}{more}"


async def _nothing() -> Json:
    """A test needs no evidence beforehand."""
    return {}


async def _again(_intent: Json) -> None:
    """A test that was announced and has no result is run again: it changes nothing."""
