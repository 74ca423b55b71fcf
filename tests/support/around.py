"""The real Context over a recorder in memory: one node, one step, no engine and no BMC."""

from dataclasses import dataclass, field, replace
from typing import cast

from fleet import events as ev
from fleet.clock import Clock
from fleet.context import Context
from fleet.edges import Edges, SwitchCli
from fleet.errors import NodeFault
from fleet.gate import Gate
from fleet.plan import PlannedNode
from fleet.policy.rules import Domains
from fleet.ports import Bmc
from fleet.state import NodeState, NodeStatus, fold_node
from fleet.step import Met, Step, StepSpec
from inventory.model import End, Link, NodeId, SwitchId
from support.rollout import node


@dataclass(slots=True)
class Memory:
    """Fulfils fleet.context.Recorder: what a journal would hold."""

    state: NodeState = field(default_factory=lambda: replace(NodeState(), status=NodeStatus.RUNNING))
    events: list[ev.Event] = field(default_factory=list)

    async def record(self, *events: ev.Event) -> None:
        """Into the state."""
        for event in events:
            self.events.append(event)
            if isinstance(event, ev.NodeEvent):
                self.state = fold_node(self.state, event, 0.0)

    def node_state(self, node: str) -> NodeState:
        """The only one."""
        return self.state

    def show(self, event: ev.Event) -> None:
        """Kept, too."""
        self.events.append(event)

    def of(self, kind: type[ev.Event]) -> list[ev.Event]:
        """Events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(slots=True)
class Switches:
    """The part of fleet.edges.Edges that switches are."""

    switches: dict[str, SwitchCli]

    async def switch(self, switch: str) -> SwitchCli:
        """See fleet.edges.Edges."""
        return self.switches[switch]


def link(a: str, b: str) -> Link:
    """`gpu1:eth0` to `leaf1:Ethernet1`."""
    (node_name, interface), (switch, port) = a.split(":"), b.split(":")
    return Link(a=End(device=NodeId(node_name), port=interface), b=End(device=SwitchId(switch), port=port))


def context(
    name: str, links: tuple[Link, ...], switches: dict[str, SwitchCli], clock: Clock, memory: Memory
) -> Context:
    """For one step of one node."""
    planned = PlannedNode(
        wave=0, recipe="r", profile="p", domains=Domains(rack="r1", feeds=()), serial="", uuid="", model="M", before={}
    )
    made = Context(
        node=node(name),
        planned=planned,
        targets={},
        bmc=cast("Bmc", None),  # no step of a switch speaks to one
        clock=clock,
        gate=Gate(),
        recorder=memory,
        rollout="r-1",
        edges=cast("Edges", Switches(switches)),
        links=links,
    )
    made.enter([("step", StepSpec("network.config"))], "step")
    return made


async def walk(step: Step, ctx: Context) -> str:
    """What the runner does with a step: `met`, `done`, or the fault's reason and sentence."""
    try:
        if isinstance(await step.check(ctx), Met):
            return "met"
        await step.apply(ctx)
        found = await step.check(ctx)
    except NodeFault as fault:
        return f"{fault.reason}: {fault}"
    return "done" if isinstance(found, Met) else f"unmet: {found.detail}"
