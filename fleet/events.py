"""Every fact the engine can state. The journal holds nothing else, and state is made from nothing else.

An event is small, immutable and made of JSON's own types, so that what is written today is read by every later version:
`fleet.eventcodec` is the only way in and out, and an unknown field in an old or newer journal is an error that names it.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NewType, TypeAlias

RolloutId = NewType("RolloutId", str)
Json: TypeAlias = dict[str, Any]
"""An object of JSON's own types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a rollout."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(Event):
    """A fact about one node of a rollout."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutCreated(Event):
    """Somebody asked for a rollout. Nothing was touched yet; nodes are being read."""

    kind: ClassVar[str] = "rollout.created"
    playbook: str
    sources: dict[str, str]
    """Absolute paths of inventory, playbook and hall, for `fleet resume`."""
    by: str
    reverses: str = ""
    """The rollout that this one rolls back, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlanned(Event):
    """What will be done, whole. From here on the plan does not change."""

    kind: ClassVar[str] = "rollout.planned"
    plan: Json
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutClaimed(Event):
    """A process took the rollout over. Its epoch is larger than that of any process before it."""

    kind: ClassVar[str] = "rollout.claimed"
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveOpened(Event):
    """Nodes of this wave may start."""

    kind: ClassVar[str] = "wave.opened"
    wave: int
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeeded(Event):
    """The playbook wants a person before this wave."""

    kind: ClassVar[str] = "wave.approval-needed"
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveApproved(Event):
    """A person let the wave through."""

    kind: ClassVar[str] = "wave.approved"
    wave: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPaused(Event):
    """No node starts a new effect until the rollout is resumed."""

    kind: ClassVar[str] = "rollout.paused"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutContinued(Event):
    """Resumed by a person, who has seen and accepted the failures so far."""

    kind: ClassVar[str] = "rollout.continued"
    by: str
    accepted_failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutHalted(Event):
    """The rollout stopped itself."""

    kind: ClassVar[str] = "rollout.halted"
    cause: str
    """budget, canary, evidence, signature, domain, window: a word for machines."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutAborting(Event):
    """A person aborted: admit no more, let running steps reach a safe point."""

    kind: ClassVar[str] = "rollout.aborting"
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEnded(Event):
    """Nothing more will happen in this rollout."""

    kind: ClassVar[str] = "rollout.ended"
    outcome: str
    """completed, aborted, dry-run or refused (fleet.state.RolloutStatus)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRefused(NodeEvent):
    """The precheck refused this node; it was not and will not be touched."""

    kind: ClassVar[str] = "node.refused"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeNoted(NodeEvent):
    """The plan found something to know of this node, and refuses it nothing."""

    kind: ClassVar[str] = "node.noted"
    topic: str
    """fleet.notes.Topic."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAdmitted(NodeEvent):
    """The node may be worked on."""

    kind: ClassVar[str] = "node.admitted"
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeObserved(NodeEvent):
    """What the hardware said: versions by inventory item, before or after."""

    kind: ClassVar[str] = "node.observed"
    when: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsObserved(NodeEvent):
    """What a flash must leave alone, as it was before: what -> value (fleet.keeping). Once a node, before its first image."""

    kind: ClassVar[str] = "settings.observed"
    when: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(NodeEvent):
    """A step's check was not met; the step begins."""

    kind: ClassVar[str] = "step.started"
    step: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded(NodeEvent):
    """A step is over."""

    kind: ClassVar[str] = "step.ended"
    step: str
    outcome: str
    """met (nothing to do), done (verified), deferred (verified by a later step)."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress(NodeEvent):
    """How far a step is. Shown, never relied on, never journalled."""

    kind: ClassVar[str] = "step.progress"
    step: str
    percent: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecorded(NodeEvent):
    """An effect is about to be attempted. On disk before any byte leaves."""

    kind: ClassVar[str] = "effect.intended"
    effect: str
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRecorded(NodeEvent):
    """The effect happened, and this is what came back."""

    kind: ClassVar[str] = "effect.happened"
    effect: str
    result: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectAbsent(NodeEvent):
    """The effect is proven not to have happened; it may be attempted again under a new intent."""

    kind: ClassVar[str] = "effect.absent"
    effect: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerWaiting(NodeEvent):
    """A stage that draws more has no room yet below some breaker. Said once for each domain that is in the way."""

    kind: ClassVar[str] = "power.waiting"
    stage: str
    domain: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReserved(NodeEvent):
    """All that the stage may draw is kept free, in every domain above the node. On disk before the stage begins."""

    kind: ClassVar[str] = "power.reserved"
    stage: str
    watts: int
    """Of the whole node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerReleased(NodeEvent):
    """The stage was seen to be over; its power is given to others once a meter has looked since."""

    kind: ClassVar[str] = "power.released"
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUncertain(NodeEvent):
    """An effect was intended and its outcome is not known; the hardware is being read."""

    kind: ClassVar[str] = "node.uncertain"
    effect: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParked(NodeEvent):
    """The node stands at a safe point: the rollout halted, its process was asked to stop, or the window is too short for what follows."""

    kind: ClassVar[str] = "node.parked"
    why: str
    waits_for: str = ""
    """"window": it goes on at `until` and not before; empty: as soon as the rollout does."""
    until: float | None = None
    """Field time of an opening of the window; None: it opens no more, or nothing is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRollingBack(NodeEvent):
    """The node failed and goes back to what it ran before. Counts as a failure from here on."""

    kind: ClassVar[str] = "node.rolling-back"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfirmed(NodeEvent):
    """Every step is verified by what the hardware says."""

    kind: ClassVar[str] = "node.confirmed"
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRelapsed(NodeEvent):
    """Confirmed, and found ill when it was looked at again while its success ripened: a latent failure of the change."""

    kind: ClassVar[str] = "node.relapsed"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRolledBack(NodeEvent):
    """Back on the versions before, verified."""

    kind: ClassVar[str] = "node.rolled-back"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuarantined(NodeEvent):
    """Needs a person."""

    kind: ClassVar[str] = "node.quarantined"
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpening(NodeEvent):
    """A BMC session carrying this context is about to be created: a login that counts as failed until more is known of it."""

    kind: ClassVar[str] = "session.opening"
    context: str
    bmc: str = ""
    """Address and port of the BMC: failed logins are counted by it (fleet.attempts)."""
    credential: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(NodeEvent):
    """The session exists at this path."""

    kind: ClassVar[str] = "session.opened"
    context: str
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(NodeEvent):
    """The BMC did not accept the password; there is no session."""

    kind: ClassVar[str] = "login.refused"
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed(NodeEvent):
    """The session is gone, or never came to be."""

    kind: ClassVar[str] = "session.closed"
    context: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as the journal holds it."""

    seq: int
    at: float
    """Field time, epoch seconds, by our clock."""
    rollout: RolloutId
    event: Event
