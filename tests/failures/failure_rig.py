"""A hall in this process with what is wrong in it, and the real survey, plan, engine, journal and driver over TLS against it."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from support.machine import Crash

from fleet import events as ev
from fleet.clock import SystemClock
from fleet.drivers.pdu import MIBS, OutletMap, PduOutlets
from fleet.drivers.redfish import RedfishDriver
from fleet.drivers.redfish.update import ImageSource
from fleet.drivers.snmp import Endpoint, SnmpUser
from fleet.edges import Edges
from fleet.engine import Engine, Ledger
from fleet.events import Event, Recorded, RolloutId
from fleet.executor import LocalExecutor
from fleet.exits import Exit
from fleet.gate import Gate
from fleet.journal import SqliteJournal
from fleet.limits import Transfers
from fleet.notes import noted
from fleet.outlets import outlet_offers
from fleet.plan import Plan, Survey
from fleet.planning import build
from fleet.policy.spec import OnFailure, RolloutSpec
from fleet.profile import Profile
from fleet.recipe import RecipeBook
from fleet.runner import Surroundings
from fleet.sim.bmc import BoxSpec
from fleet.sim.faults import read_faults
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.layout import PduSpec
from fleet.sim.package import build_box_package
from fleet.state import NodeState, NodeStatus, RolloutState, replay
from fleet.step import StepSpec
from fleet.survey import open_leftovers, survey
from fleet.vendors import load_profiles
from inventory.baseline import Activation, Baseline, ComponentBaseline, Fits, ItemWant, PreviousImage, SteppingStone
from inventory.model import Bmc, Credential, CredentialId, FeedId, Node, NodeId, PduId, RackId, SecretRef, Tls
from inventory.secrets import resolve
from playbooks.registry import make

SPEED = 3000.0
PDU_SPEED = 600.0
ROLLOUT = RolloutId("r-1")
DGX, SMC, DELL, GB300 = "DGXH100", "SYS-821GE-TNHR", "PowerEdge R750", "GB300 NVL"
TASKS = "/redfish/v1/TaskService/Tasks/*"
UPLOAD = "/redfish/v1/UpdateService/*pload"
SESSIONS = "/redfish/v1/SessionService/Sessions"
INVENTORY = "/redfish/v1/UpdateService/FirmwareInventory"

IMAGES = {
    (DGX, "bmc"): ("motherboard", "HostBMC", "24.09.17", Activation.BMC_RESET),
    (DGX, "bios"): ("motherboard", "HostBIOS", "01.05.03", Activation.DC_CYCLE),
    (DGX, "hgx"): ("gpu", "HGX_FW_GPU_SXM", "96.00.A5.00.01", Activation.DC_CYCLE),
    (SMC, "bmc"): ("bmc", "BMC", "12.01.01", Activation.AUTOMATIC),
    (SMC, "bios"): ("bios", "BIOS", "2.4", Activation.DC_CYCLE),
    (DELL, "bmc"): ("idrac", "iDRAC", "7.10.30.00", Activation.AUTOMATIC),
    (DELL, "bios"): ("bios", "BIOS", "1.13.2", Activation.DC_CYCLE),
    (GB300, "hgx"): ("hgx", "HGX_FW_GPU", "97.00.B0.00.01", Activation.AC_CYCLE),
}
"""(model, component) -> bundle, family of parts, version, what activates it."""
PATTERNS = {(DGX, "hgx"): "HGX_FW_GPU_SXM_*", (GB300, "hgx"): "HGX_FW_GPU_*"}
"""Items that the image changes, where a component has others as well."""


def rule(effect: str, **more: Any) -> dict[str, Any]:
    """A fault of the hall."""
    return {"name": f"{effect} {sorted(more.items(), key=str)}", "effect": effect, **more}


def http(path: str, *, times: int | str = "always", **more: Any) -> dict[str, Any]:
    """A fault of some requests."""
    return rule("http", path=path, times=times, **more)


def error(message_id: str, message: str) -> dict[str, Any]:
    """The body of a Redfish error."""
    told = {"MessageId": message_id, "Message": message}
    return {"error": {"code": message_id, "message": message, "@Message.ExtendedInfo": [told]}}


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody listens on: several halls may run on one machine."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class MortalJournal(SqliteJournal):
    """The real journal, in a process that may die at an event."""

    dies: Callable[[Event], str] = staticmethod(lambda _event: "")
    """Whether the process dies `before` an event is on the disk, `after` it, or not at all."""

    async def append(self, rollout: RolloutId, *events: Event) -> tuple[Recorded, ...]:
        """As SqliteJournal, or death."""
        deaths = {self.dies(event) for event in events}
        if "before" in deaths:
            raise Crash
        recorded = await super().append(rollout, *events)
        if "after" in deaths:
            raise Crash
        return recorded


@dataclass(slots=True, kw_only=True)
class Site:
    """Nodes of a hall, and all that a rollout over them needs."""

    hall: Hall
    directory: Path
    clock: SystemClock
    nodes: tuple[Node, ...]
    pins: bool = False
    profile: Profile | None = None
    """In place of the profile that the survey finds."""
    edges: Edges | None = None
    chassis: Mapping[str, Sequence[str]] | None = None
    """As the whole inventory has them; None: as these nodes do."""
    transfers: Transfers | None = None
    state: RolloutState = field(default_factory=lambda: RolloutState(rollout=ROLLOUT))
    """As the last process left it."""
    events: list[Event] = field(default_factory=list)
    """All of this rollout, progress too."""
    on_event: Callable[[Event], None] = lambda _event: None

    def driver(self, images: ImageSource | None = None) -> RedfishDriver:
        """With the hall's credential."""
        password = SecretRef.parse(f"file:{self.hall.spec.directory / 'password'}")
        credential = Credential(id=CredentialId("bmc"), user="admin", password=password)
        return RedfishDriver([credential], clock=self.clock, images=images, transfers=self.transfers)

    def component(
        self,
        model: str,
        key: str,
        *,
        version: str = "",
        built_for: str = "",
        previous: str = "",
        stone: str = "",
        activation: Activation | None = None,
        payload_bytes: int = 4096,
    ) -> ComponentBaseline:
        """A component's wish, its image built for the box; `built_for` another box's bundle goes wrong."""
        bundle, family, newest, needs = IMAGES[model, key]
        goal = version or newest

        def package(text: str) -> tuple[Path, str]:
            path = self.directory / f"{key}-{text}.fwpkg"
            box = built_for or model
            inner, part = (bundle, family) if not built_for else IMAGES[built_for, key][:2]
            return path, build_box_package(
                path, model=box, bundle=inner, versions={part: text}, version=text, size_bytes=payload_bytes
            )

        image, sha256 = package(goal)
        back = (
            PreviousImage(version=previous, image=package(previous)[0], sha256=package(previous)[1])
            if previous
            else None
        )
        via = package(stone) if stone else (image, sha256)
        stones = (SteppingStone(from_versions=("01.01.03",), via=stone, image=via[0], sha256=via[1]),) if stone else ()
        made = ComponentBaseline(
            key=key,
            version=goal,
            image=image,
            sha256=sha256,
            fits=Fits(models=("*",)),
            activation=frozenset({activation or needs}),
            requires=stones,
            previous=back,
        )
        pattern = PATTERNS.get((model, key))
        return made if pattern is None else replace(made, items=(ItemWant(pattern=pattern, version=goal),))

    async def surveyed(self, ledger: Ledger) -> list[Survey]:
        """The precheck, as `fleet plan` makes it."""
        driver = self.driver()
        edges = self.edges
        try:
            found = await survey(
                self.nodes,
                driver,
                self.clock,
                ledger,
                leftovers={},
                around=lambda node: outlet_offers(edges.outlets(node)) if edges else frozenset(),
            )
        finally:
            await driver.close()
        return [replace(each, profile=self.profile) if self.profile else each for each in found]

    async def planned(
        self,
        *components: ComponentBaseline,
        steps: Sequence[StepSpec] = (),
        waves: tuple[int, ...] = (),
        on_failure: OnFailure = OnFailure.QUARANTINE,
        downgrade: str = "",
        failure_budget: int | None = None,
        max_in_flight: int | None = None,
    ) -> Plan:
        """Survey and plan; both are in the journal afterwards."""
        images = [part.image for part in components] + [part.previous.image for part in components if part.previous]
        images += [stone.image for part in components for stone in part.requires]
        flashes = [StepSpec("firmware.update", {"component": part.key}) for part in components]
        journal = SqliteJournal(self.directory / "journal.db", self.clock)
        ledger = Ledger(journal, RolloutState(rollout=ROLLOUT))
        try:
            await ledger.record(ev.RolloutCreated(playbook="p", sources={}, by="test"))
            surveys = await self.surveyed(ledger)
            plan = build(
                playbook="p",
                baseline=Baseline(name="b", models=("*",), components={part.key: part for part in components}),
                spec=RolloutSpec(
                    waves=waves or (len(self.nodes),),
                    max_in_flight=max_in_flight or len(self.nodes),
                    rack=None,
                    failure_budget=len(self.nodes) if failure_budget is None else failure_budget,
                    on_failure=on_failure,
                ),
                surveys=surveys,
                recipe_for=RecipeBook(
                    steps=(*flashes, *steps),
                    baseline=Baseline(name="b", models=("*",), components={part.key: part for part in components}),
                    sizes={image: image.stat().st_size for image in images},
                    downgrade=downgrade,
                ),
                chassis=self.chassis,
            )
            plan = noted(plan, surveys, {})
            await ledger.record(ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
            await ledger.record(
                *(
                    ev.NodeRefused(node=name, reason=node.reason, message=node.message)
                    for name, node in plan.refused.items()
                )
            )
        finally:
            self.state = ledger.state
            await journal.close()
        return plan

    async def ran(self, *, dies: Callable[[Event], str] = lambda _event: "") -> Exit:
        """One process of `fleet apply`, or of `fleet resume`. Raises Crash if it dies."""
        journal = MortalJournal(self.directory / "journal.db", self.clock)
        journal.dies = dies
        driver = self.driver()
        state = replay(ROLLOUT, journal.read(ROLLOUT))
        plan = Plan.from_json(state.plan)
        ledger = Ledger(journal, state, (self._watch,))
        profiles = {**load_profiles(), **({self.profile.name: self.profile} if self.profile else {})}
        around = Surroundings(
            rollout=ROLLOUT,
            plan=plan,
            driver=driver,
            profiles=profiles,
            steps=make,
            clock=self.clock,
            gate=(gate := Gate()),
            recorder=ledger,
            edges=self.edges,
        )
        leftovers = open_leftovers((row.node, row.context, row.uri) for row in journal.open_sessions())
        executor = LocalExecutor(around, {str(node.id): node for node in self.nodes}, leftovers)
        engine = Engine(plan=plan, ledger=ledger, journal=journal, executor=executor, gate=gate, clock=self.clock)
        try:
            return await engine.run()
        finally:
            self.state = ledger.state
            await driver.close()
            await journal.close()

    async def rolled_out(self, *components: ComponentBaseline, **more: Any) -> NodeState:
        """Plan and run; how the first node ended. Nobody may have been refused."""
        plan = await self.planned(*components, **more)
        assert not plan.refused, {name: node.message for name, node in plan.refused.items()}
        await self.ran()
        return self.node()

    def node(self, number: int = 0) -> NodeState:
        """What the journal says of a node."""
        return self.state.nodes[str(self.nodes[number].id)]

    def break_with(self, *rules: dict[str, Any]) -> None:
        """From now on this is wrong, too, with every box."""
        for box in self.hall.bmcs.values():
            faults = read_faults({"faults": "later", "rules": list(rules)}, "test")
            box.faults.add(faults.rules)

    def moved(self, port: int) -> "Site":
        """The same nodes as an inventory has them that does not know where they answer."""
        nodes = tuple(replace(node, bmc=replace(node.bmc, port=port)) for node in self.nodes)
        return replace(self, nodes=nodes)

    def truth(self, number: int = 0) -> dict[str, Any]:
        """What is true of a node, whatever its BMC says."""
        name = str(self.nodes[number].id)
        self.hall.faces[name].look()
        return self.hall.bmcs[name].truth()

    def flashes(self, item: str, number: int = 0) -> list[tuple[str, str]]:
        """(version, outcome) of every image that was written to an item."""
        return [(flash["version"], flash["outcome"]) for flash in self.truth(number)["items"][item]["flashes"]]

    def of(self, kind: type[Event]) -> list[Any]:
        """Events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def intents(self, effect: str) -> int:
        """How often an effect was announced."""
        return sum(event.effect.endswith(f"/{effect}") for event in self.of(ev.IntentRecorded))

    def _watch(self, told: Recorded | Event) -> None:
        event = told.event if isinstance(told, Recorded) else told
        self.events.append(event)
        self.on_event(event)


def harmless(truth: Mapping[str, Any]) -> bool:
    """No power cut in a flash, no POST interrupted, nothing bricked, no session left, never two requests at once."""
    return (
        truth["power_cuts_in_flash"],
        truth["interrupted_posts"],
        truth["bricked"],
        truth["sessions"]["open"],
        truth["max_in_flight"],
        truth["force_update"],
    ) == (0, 0, None, 0, 1, False)


CONFIRMED = (NodeStatus.CONFIRMED, "")


def ended(node: NodeState) -> tuple[NodeStatus, str]:
    """Status and reason."""
    return node.status, node.reason


def resets(truth: Mapping[str, Any], what: str) -> list[str]:
    """Kinds of the resets that were really done to `what` (host, bmc, ac)."""
    return [reset["kind"] for reset in truth["resets"] if reset["what"] == what]


@asynccontextmanager
async def fed_by_a_pdu(directory: Path, model: str) -> AsyncIterator[tuple[Site, OutletMap]]:
    """One node on two feeds, each an outlet of its own PDU."""
    port, clock = free_port(), SystemClock(speed=PDU_SPEED, origin=time.time())
    box = BoxSpec(name="gpu1", model=model, port=port, slot=101, feeds=("A", "B"))
    pdus = tuple(
        PduSpec(name=f"pdu-{feed}", feed=feed, model=kind, address="127.0.0.1", port=free_port(socket.SOCK_DGRAM))
        for feed, kind in (("A", "raritan-px"), ("B", "apc-rpdu2"))
    )
    async with Hall(HallSpec(boxes=(box,), pdus=pdus, directory=directory / "hall", speed=PDU_SPEED)) as hall:
        node = replace(declared(hall, "gpu1"), feeds=(FeedId("A"), FeedId("B")))
        listed = json.loads((hall.spec.directory / "hall.json").read_text())["pdus"]
        outlets = OutletMap([_pdu(name, told) for name, told in listed.items()], clock=clock)
        yield Site(hall=hall, directory=directory, clock=clock, nodes=(node,)), outlets
        outlets.close()


def _pdu(name: str, told: dict[str, Any]) -> PduOutlets:
    """As the composition root makes it of an inventory."""
    keys = {key: resolve(SecretRef.parse(f"file:{told[f'{key}_file']}")) for key in ("auth_key", "priv_key")}
    user = SnmpUser(name=told["user"], **keys)
    return PduOutlets(
        id=PduId(name),
        feed=FeedId(name[-1]),
        mib=MIBS[told["model"]],
        at=Endpoint(device=name, address=told["address"], port=told["port"], user=user),
        outlets={int(number): NodeId(node) for number, node in told["outlets"].items()},
    )


@asynccontextmanager
async def site(
    directory: Path,
    *models: str,
    rules: Sequence[dict[str, Any]] = (),
    pins: bool = False,
    versions: Mapping[str, str] | None = None,
    speed: float = SPEED,
    ports: tuple[int, ...] = (),
    serials: tuple[str, ...] = (),
    fused: Mapping[str, int] | None = None,
    chassis: str = "",
) -> AsyncIterator[Site]:
    """Nodes gpu1, gpu2 ... of these models; `pins`: trusted by fingerprint instead of the hall's authority; `chassis`: all share one."""
    boxes = tuple(
        BoxSpec(
            name=f"gpu{n}",
            model=model,
            slot=100 + n,
            port=ports[n - 1] if ports else free_port(),
            serial=serials[n - 1] if serials else "",
            versions=versions or {},
            fused=fused or {},
            chassis=chassis,
        )
        for n, model in enumerate(models, 1)
    )
    faults = read_faults({"faults": "test", "rules": list(rules)}, "test")
    spec = HallSpec(boxes=boxes, directory=directory / "hall", speed=speed, faults=faults)
    async with Hall(spec) as hall:
        clock = SystemClock(speed=speed, origin=time.time())
        nodes = tuple(declared(hall, box.name, pins=pins) for box in boxes)
        yield Site(hall=hall, directory=directory, clock=clock, nodes=nodes, pins=pins)
        await asyncio.sleep(0)


def declared(hall: Hall, name: str, *, pins: bool = False) -> Node:
    """A node as an inventory declares it."""
    face = hall.faces[name]
    listed = json.loads((hall.spec.directory / "hall.json").read_text())["bmcs"][name]
    tls = Tls(fingerprint=listed["fingerprint"]) if pins else Tls(ca=hall.spec.directory / "ca.pem")
    bmc = Bmc(address=face.address, port=face.port, credential=CredentialId("bmc"), tls=tls)
    model, chassis = face.bmc.spec.model, face.bmc.spec.chassis or None
    return Node(id=NodeId(name), model=model, rack=RackId("r1"), slot=1, feeds=(FeedId("A"),), bmc=bmc, chassis=chassis)
