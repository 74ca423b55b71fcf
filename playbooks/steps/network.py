"""`network.config`: the leaf ports of a node in one VLAN, its cables checked first. `network.restore`: the ports as they were."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from fleet.edges import SwitchCli
from fleet.errors import NodeFault, Reason, Transient, UsageError
from fleet.events import Json
from fleet.step import Disrupts, Met, NodeContext, Unmet
from playbooks.cables import Cable, cables_of, same_port, silent, wrong
from playbooks.portconfig import former, rendered, vlan_id
from playbooks.registry import step
from playbooks.steps.waiting import again

_TRIES = 3
_AGAIN_S = 60.0
"""Between pushes that the switch refused: another session of somebody's may have been open."""
_LOOKS = 3
_LOOK_S = 20.0
"""After a link broke in a commit: an apply of NVUE may go on for a while after its terminal is gone."""
_KEPT_CHARS = 4096
"""Of a difference, in the journal."""


@step("network.config", arguments=("vlan",), takes_s=120.0, undo="its ports go back where its firmware does")
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Put the leaf ports of the node into a VLAN; a wrong cable holds the node."""

    vlan: str
    """1 to 4094, as text."""
    disrupts: ClassVar[Disrupts] = Disrupts.NODE

    def __post_init__(self) -> None:
        try:
            vlan_id(self.vlan)
        except ValueError as error:
            raise UsageError(f"network.config: {error}") from None

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """The cables, then the VLAN tables. Raises WRONG_CABLE."""
        cables = cables_of(str(ctx.node.id), ctx.links())
        if not cables:
            return Met("the inventory declares no cable of this node to a leaf")
        quiet = await _require_cables(ctx, cables)
        astray = await _astray(
            ctx, {name: dict.fromkeys(ports, self.vlan) for name, ports in _by_switch(cables).items()}
        )
        if astray:
            return Unmet(f"{_sentences(astray)}; wanted {self.vlan}")
        unheard = f"; LLDP hears nobody at {', '.join(quiet)}" if quiet else ""
        return Met(f"{len(cables)} ports are in VLAN {self.vlan}{unheard}")

    async def apply(self, ctx: NodeContext) -> None:
        """Push to each switch; after a failure the ports that were moved are moved back."""
        moved: dict[str, Json] = {}
        try:
            # No safe point in between: with some rails here and some there the node is not to be left.
            for name, ports in _by_switch(cables_of(str(ctx.node.id), ctx.links())).items():
                moved[name] = await self._push(ctx, name, await ctx.edges.switch(name), ports)
            await self._require_moved(ctx, moved)
        except (NodeFault, Transient) as fault:
            reason = fault.reason if isinstance(fault, NodeFault) else Reason.UNREACHABLE
            ends = [await _restored(ctx, name, done) for name, done in moved.items()]
            raise NodeFault(reason, "; ".join([str(fault), *ends])) from fault

    async def _require_moved(self, ctx: NodeContext, moved: Mapping[str, Json]) -> None:
        """Read the VLANs back: what a switch accepted is not yet what it does."""
        astray = await _astray(ctx, {name: dict.fromkeys(done["was"], self.vlan) for name, done in moved.items()})
        if astray:
            raise NodeFault(
                Reason.SWITCH_REFUSED, f"VLAN {self.vlan} was committed and read back: {_sentences(astray)}"
            )

    async def _push(self, ctx: NodeContext, name: str, cli: SwitchCli, ports: tuple[str, ...]) -> Json:
        lines = rendered(cli.platform, ports, self.vlan)
        unsettled: list[Json] = []

        async def prepare() -> Json:
            backup = await cli.running_config()
            difference = await cli.difference(lines)
            ctx.progress(None, f"{name}: {difference[:_KEPT_CHARS]}")
            return {
                "was": _vlans_of(await cli.access_vlans(), ports),
                "former": list(former(cli.platform, backup, ports)),
                "backup_sha256": hashlib.sha256(backup.encode()).hexdigest(),
                "difference": difference[:_KEPT_CHARS],
            }

        async def act(intent: Json) -> Json:
            await cli.push(lines)
            return intent

        async def reconcile(intent: Json) -> Json | None:
            unsettled.append(intent)
            landed = await _landed(ctx, name, dict.fromkeys(ports, self.vlan), intent["was"])
            return intent if landed else None

        def fault(why: str) -> NodeFault:
            if not (unsettled and ctx.announced(f"push {name}")):
                return _refused(why)
            before = _listed(name, unsettled[-1]["was"])
            return NodeFault(
                Reason.OUTCOME_UNKNOWN, f"not known whether {name} took VLAN {self.vlan} ({why}): {before} before"
            )

        return await again(
            ctx,
            _TRIES,
            _AGAIN_S,
            partial(ctx.once, f"push {name}", act, prepare=prepare, reconcile=reconcile),
            fault,
        )


@step("network.restore", arguments=None)
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRestore:
    """Put the leaf ports of the node back to what they were before this rollout moved them."""

    disrupts: ClassVar[Disrupts] = Disrupts.NODE

    async def check(self, ctx: NodeContext) -> Met | Unmet:
        """The VLAN tables against those before the first push to each switch: what a second push found is our own doing."""
        past = ctx.pushed()
        if not past:
            return Met("no port of it was moved")
        try:
            astray = await _astray(ctx, {name: intent["was"] for name, intent in past.items()})
        except Transient as silent:
            # Not raised: one silent switch must not keep the others from being put back.
            return Unmet(f"not known ({silent}); before: {_past(past, past)}")
        if astray:
            return Unmet(f"{_sentences(astray)}; before: {_past(past, astray)}")
        return Met(f"as before: {_past(past, past)}")

    async def apply(self, ctx: NodeContext) -> None:
        """Put back whatever can be. The fault names every switch that was left, and what was before."""
        past = ctx.pushed()
        left: list[NodeFault] = []
        for name, intent in past.items():
            try:
                await _require_past(ctx, name, intent)
            except (NodeFault, Transient) as fault:
                reason = fault.reason if isinstance(fault, NodeFault) else Reason.UNREACHABLE
                left.append(NodeFault(reason, f"{name} could not be put back ({fault}): {_past(past, [name])} before"))
        if left:
            raise NodeFault(left[0].reason, "; ".join(map(str, left)))


async def _require_past(ctx: NodeContext, name: str, past: Json) -> None:
    """The node's ports on one switch as they were before the push `past`, and seen to be."""
    wanted = {name: past["was"]}
    if ctx.announced(f"restore {name}") or await _astray(ctx, wanted):
        await _put_back(ctx, name, past)
    if astray := await _astray(ctx, wanted):
        raise NodeFault(Reason.SWITCH_REFUSED, f"committed and read back: {_sentences(astray)}")


async def _restored(ctx: NodeContext, name: str, done: Json) -> str:
    """Put the former lines of the node's ports back; says what came of it."""
    try:
        await _put_back(ctx, name, done)
    except (NodeFault, Transient) as fault:
        return f"{name} could not be put back ({fault}): {_listed(name, done['was'])} before"
    return f"the former lines are back on {name}"


async def _put_back(ctx: NodeContext, name: str, past: Json) -> None:
    """Push the former lines of the node's ports, and only those. `past`: the intent of the push that is undone."""
    cli = await ctx.edges.switch(name)
    was: Mapping[str, str | None] = past["was"]

    async def prepare() -> Json:
        return {"was": _vlans_of(await cli.access_vlans(), was)}

    async def act(_intent: Json) -> Json:
        await cli.push(tuple(past["former"]))
        return {}

    async def reconcile(intent: Json) -> Json | None:
        return {} if await _landed(ctx, name, was, intent["was"]) else None

    await again(
        ctx,
        _TRIES,
        _AGAIN_S,
        partial(ctx.once, f"restore {name}", act, prepare=prepare, reconcile=reconcile),
        _refused,
    )


async def _landed(
    ctx: NodeContext, name: str, wanted: Mapping[str, str | None], before: Mapping[str, str | None]
) -> bool:
    """Whether a commit whose link broke took effect: the VLAN table says. Raises OUTCOME_UNKNOWN if it says neither."""
    cli = await ctx.edges.switch(name)
    now: Mapping[str, str | None] = {}
    for look in range(_LOOKS):
        if look:
            await ctx.clock.sleep(_LOOK_S)
        now = _vlans_of(await cli.access_vlans(), wanted)
        if now == wanted:
            return True
    if now == before:
        return False
    raise NodeFault(
        Reason.OUTCOME_UNKNOWN,
        f"{_listed(name, now)}: neither as before ({_listed(name, before)}) nor as wanted; somebody else may be"
        " configuring this switch",
    )


async def _require_cables(ctx: NodeContext, cables: Iterable[Cable]) -> tuple[str, ...]:
    """WRONG_CABLE if LLDP contradicts the inventory; the ports where it hears nobody."""
    heard = {name: await (await ctx.edges.switch(name)).neighbours() for name in _by_switch(cables)}
    if sentences := wrong(cables, heard):
        raise NodeFault(Reason.WRONG_CABLE, "; ".join(sentences))
    return silent(cables, heard)


def _by_switch(cables: Iterable[Cable]) -> Mapping[str, tuple[str, ...]]:
    """Switch -> the node's ports on it: one commit each."""
    found: dict[str, tuple[str, ...]] = {}
    for cable in cables:
        found[cable.switch] = (*found.get(cable.switch, ()), cable.port)
    return found


def _vlans_of(table: Mapping[str, str], ports: Iterable[str]) -> dict[str, str | None]:
    """The VLAN of each port; None: in none, or no access port."""
    return {port: next((vlan for name, vlan in table.items() if same_port(name, port)), None) for port in ports}


async def _astray(
    ctx: NodeContext, wanted: Mapping[str, Mapping[str, str | None]]
) -> Mapping[str, Mapping[str, str | None]]:
    """Switch -> port -> the VLAN it is in now, of those ports that are not where they are wanted."""
    found = {}
    for name, ports in wanted.items():
        now = _vlans_of(await (await ctx.edges.switch(name)).access_vlans(), ports)
        if astray := {port: vlan for port, vlan in now.items() if vlan != ports[port]}:
            found[name] = astray
    return found


def _sentences(astray: Mapping[str, Mapping[str, str | None]]) -> str:
    said = ((name, port, vlan) for name, ports in astray.items() for port, vlan in ports.items())
    return ", ".join(f"{name}:{port} is in VLAN {vlan or 'none'}" for name, port, vlan in said)


def _past(past: Mapping[str, Json], switches: Iterable[str]) -> str:
    return ", ".join(_listed(name, past[name]["was"]) for name in switches)


def _listed(name: str, vlans: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}:{port} in VLAN {vlan or 'none'}" for port, vlan in vlans.items())


def _refused(why: str) -> NodeFault:
    return NodeFault(Reason.SWITCH_REFUSED, why)
