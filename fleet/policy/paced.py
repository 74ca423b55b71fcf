"""The rollout's own policy as a simulation asks it (`fleet.policy.forecast.Pacing`): the same code that admits and halts for real. Pure.

`fleet.policy.admission.decide` looks at a whole state; this follows the nodes one by one and keeps the counts, so that a change costs
what has changed. Whom to admit is `fleet.policy.pacing.admit`, whether to halt `fleet.policy.evidence.weigh`; only the opening of
explicit waves is written again here, and a test holds both against `decide`. The window and approvals are left out: working time.
"""

from collections.abc import Collection

from fleet.policy.evidence import Control, weigh
from fleet.policy.pacing import Hold, Pending, Start, Stuck, admit
from fleet.policy.rules import Rules
from fleet.policy.standing import Standing
from fleet.state import NodeState, NodeStatus

_WAITING = NodeState()
_WORKED_ON = NodeState(status=NodeStatus.RUNNING, intents=1)


class Paced:
    """One simulated rollout under the rules of a plan."""

    def __init__(self, rules: Rules) -> None:
        """Nothing has started."""
        self._rules = rules
        self._found = Standing(rules=rules)
        self._waiting: list[str] = []
        """Of the waves that are open, in the order of admission."""
        self._wave = -1
        self._ended: set[str] = set()
        self._last_end = 0.0
        self._failures = 0
        self._unweighed = 0
        """Failures since the evidence was weighed."""
        self._again: float | None = None
        self._why = ""

    def start(self, now: float) -> Collection[str]:
        """See Pacing."""
        self._again = None
        self._heed(now)
        if self._why or not self._open(now) or not self._waiting:
            return ()
        match admit(Pending(nodes=self._waiting, ended=self._ended), self._found, now):
            case Start(nodes=nodes):
                for node in nodes:
                    self._waiting.remove(node)
                    self._found.move(node, _WAITING, _WORKED_ON)
                return nodes
            case Hold(until=until):
                self._again = until
            case Stuck(message=message):
                self._why = message
        return ()

    def _open(self, now: float) -> bool:
        """Open the next wave if its time has come; whether any is open."""
        waves = self._rules.caps.waves
        full = waves[self._wave] if self._wave >= 0 else 0
        if self._wave < len(waves) - 1 and len(self._ended) >= full:
            due = self._last_end + self._rules.caps.bake_s if self._wave >= 0 else now
            if now < due:
                self._again = due
                return False
            self._wave += 1
            self._waiting += self._rules.order[full : waves[self._wave]]
        return True

    def _heed(self, now: float) -> None:
        """Halt if the failures say so."""
        if not self._unweighed or self._why:
            return
        self._unweighed = 0
        caps = self._rules.caps
        if len(caps.waves) > 1 and self._wave == 0:
            self._why = "the canary failed"
        elif self._failures > caps.failure_budget:
            self._why = f"{self._failures} nodes failed, {caps.failure_budget} are tolerated"
        elif caps.risk:
            said = weigh(self._found, Control(), now).halts(caps.alike)
            self._why = "" if said is None else said[1]

    def ended(self, node: str, *, failure: str, at: float) -> None:
        """See Pacing."""
        self._ended.add(node)
        self._last_end = at
        if failure:
            self._fail(node, _WORKED_ON, failure, at)
            return
        confirmed = NodeState(status=NodeStatus.CONFIRMED, intents=1, ended_at=at)
        self._found.move(node, _WORKED_ON, confirmed)

    def showed(self, node: str, *, failure: str, at: float) -> None:
        """See Pacing."""
        self._fail(node, NodeState(status=NodeStatus.CONFIRMED, intents=1, ended_at=at), failure, at)

    def _fail(self, node: str, before: NodeState, failure: str, at: float) -> None:
        self._failures += 1
        self._unweighed += 1
        held = NodeState(
            status=NodeStatus.QUARANTINED, intents=1, reason="simulated", message=failure, failed_at=at, ended_at=at
        )
        self._found.move(node, before, held)

    def wake(self) -> float | None:
        """See Pacing."""
        return self._again

    def halted(self) -> str:
        """See Pacing."""
        return self._why
