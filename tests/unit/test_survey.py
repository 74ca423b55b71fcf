"""A credential that many BMCs share is tried on few of them until one accepts it: a central account would be locked."""

from collections.abc import Callable

from support.clock import VirtualClock

from fleet.attempts import Attempt
from fleet.errors import NodeFault, Reason
from fleet.plan import Survey
from fleet.ports import Bmc, SessionLedger
from fleet.profile import Profile
from fleet.survey import survey
from fleet.vendors.discovery import Discovery
from inventory.model import Bmc as DeclaredBmc
from inventory.model import CredentialId, FeedId, Node, NodeId, RackId


class Refusing:
    """BMCs that all refuse the password; it counts how often they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> Bmc:
        raise AssertionError(node.id)

    async def meet(self, node: Node, ledger: SessionLedger, choose: Callable[[Discovery], Profile]) -> Bmc:
        self.asked.append(str(node.id))
        raise NodeFault(Reason.LOGIN_REFUSED, "HTTP 401; check the credential")


class NoFacts:
    """Nothing is recorded: no session came to be."""

    async def record(self, *events: object) -> None:
        raise AssertionError(events)

    def logins_with(self, credential: str) -> tuple[Attempt, ...]:
        """No process has tried it before."""
        return ()


def node(number: int, credential: str) -> Node:
    bmc = DeclaredBmc(address=f"10.0.0.{number}", credential=CredentialId(credential))
    name = NodeId(f"{credential}{number:03}")
    return Node(id=name, model="DGXH100", rack=RackId("r1"), slot=number, feeds=(FeedId("A"),), bmc=bmc)


def surveyed(driver: Refusing, nodes: list[Node]) -> list[Survey]:
    clock = VirtualClock()
    return clock.run(survey(nodes, driver, clock, NoFacts(), leftovers={}))  # type: ignore[arg-type] # no state is asked for


def test_a_credential_that_is_refused_is_not_tried_on_every_bmc() -> None:
    driver = Refusing()
    found = surveyed(driver, [node(number, "ldap") for number in range(1, 201)])
    assert len(driver.asked) == 3
    assert {each.reason for each in found} == {Reason.LOGIN_REFUSED}
    assert sum("not tried" in each.message for each in found) == 197


def test_each_credential_is_judged_by_itself() -> None:
    driver = Refusing()
    surveyed(driver, [node(number, name) for number in range(1, 21) for name in ("a", "b")])
    assert len(driver.asked) == 6
