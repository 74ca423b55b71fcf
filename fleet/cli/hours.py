"""What journals teach of durations."""

from itertools import islice

from fleet import events as ev
from fleet.engine import Ledger
from fleet.events import Event, Recorded, RolloutId
from fleet.journal import Journal
from fleet.plan import Plan
from fleet.policy.durations import Learned
from playbooks.registry import steps as known_steps

_EARLIER = 3
"""Rollouts that are learned from, beside the present one: a thousand nodes leave a hundred thousand events each."""


def learned_from(journal: Journal, rollout: RolloutId, plan: Plan) -> Learned:
    """From this rollout so far and the newest before it; what a simulated hall took says nothing of machines, and neither the reverse.

    Nothing is read where the plan has no window: nobody asks.
    """
    learned = Learned({name: announced.takes_s for name, announced in known_steps().items()})
    if plan.caps.window is None:
        return learned
    simulated = _simulated(journal, rollout)
    others = (row.id for row in journal.rollouts() if row.id != rollout and _simulated(journal, row.id) == simulated)
    for each in (*reversed(list(islice(others, _EARLIER))), rollout):
        for recorded in journal.read(each):
            learned.note(recorded)
    return learned


def _simulated(journal: Journal, rollout: RolloutId) -> bool:
    created = next((item.event for item in journal.read(rollout) if isinstance(item.event, ev.RolloutCreated)), None)
    return created is not None and "hall" in created.sources


def learn_on(ledger: Ledger, learned: Learned) -> None:
    """From now on learn from whatever is recorded."""

    def note(event: Recorded | Event) -> None:
        if isinstance(event, Recorded):
            learned.note(event)

    ledger.watch(note)
