"""What really reaches the machines: every effect of a history, by whom, and under which announcement. Independent of our fold."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet import events as ev
from fleet.events import Json, Recorded
from fleet.sim.bmc import Bmc
from fleet.sim.message import Answer, Request
from fleet.twin.clock import VirtualClock
from simulation.process import WHO

_HOST_OFF = frozenset({"ForceOff", "GracefulShutdown", "PushPowerButton"})
_MUTATING = frozenset({"POST", "PATCH", "DELETE", "PUT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One effect that a machine felt."""

    at: float
    node: str
    process: int
    what: str
    """`submit` and a digest, or `host`, `bmc`, `ac` and the kind of reset."""
    detail: str
    announced: int
    """Sequence number of the open intent that covers it; 0: there is none."""
    versions: Mapping[str, str]
    """Part -> version in force when it came."""


@dataclass(slots=True)
class Witness:
    """Sees the journal become durable and the machines be touched, in one order."""

    clock: VirtualClock
    open: dict[str, dict[str, tuple[int, Json]]] = field(default_factory=dict)
    """Node -> effect -> (sequence number, detail) of intents without an end."""
    done: list[Done] = field(default_factory=list)
    owner: int = 0
    """Process that claimed the rollout last."""
    intruders: list[str] = field(default_factory=list)
    """What a process did after another one had claimed the rollout (I2)."""
    refused: dict[str, list[float]] = field(default_factory=dict)
    """Node -> times of logins with a wrong password."""
    tokens: set[str] = field(default_factory=set)
    contexts: set[str] = field(default_factory=set)
    """Of all sessions that were announced."""
    unannounced: list[str] = field(default_factory=list)
    """Sessions that were made before they were announced."""
    shown: dict[str, float] = field(default_factory=dict)
    """Node -> since when it answers with another machine's identity."""

    def kept(self, process: int, item: Recorded) -> None:
        """This event is durable now."""
        match item.event:
            case ev.RolloutClaimed():
                self.owner = process
            case ev.IntentRecorded(node=node, effect=effect, detail=detail):
                self.open.setdefault(node, {})[effect] = (item.seq, detail)
            case ev.EffectRecorded(node=node, effect=effect) | ev.EffectAbsent(node=node, effect=effect):
                self.open.get(node, {}).pop(effect, None)
            case ev.SessionOpening(context=context):
                self.contexts.add(context)
            case _:
                pass
        if self.owner and process != self.owner:
            self.intruders.append(f"process {process} wrote {item.event.kind} although {self.owner} owns the rollout")

    def covers(self, node: str, fits: Callable[[str, Json], bool]) -> int:
        """The sequence number of an open intent that fits, 0 if there is none."""
        found = [seq for effect, (seq, detail) in self.open.get(node, {}).items() if fits(effect, detail)]
        return found[0] if found else 0


class WatchedBmc(Bmc):
    """A simulated BMC whose every effect is written down."""

    witness: Witness
    swap_at: float | None = None
    """Simulated second from which another machine stands here."""

    def answer(self, request: Request, now: float) -> Answer:
        """As a Bmc; and tell the witness."""
        self.agenda.advance(now)
        submits, resets = self.ledger.submits, len(self.ledger.resets)
        wrong, created = self.ledger.failed_logins, self.sessions._count
        self._swapped(now)
        reads = request.method == "GET"
        versions = {} if reads else {item: state.active for item, state in self.firmware.parts.items()}
        answer = super().answer(request, now)
        process = int(request.header(WHO) or 0)
        witness, node = self.witness, self.spec.name
        at = witness.clock.now()
        if process and witness.owner and process != witness.owner and request.method in _MUTATING:
            witness.intruders.append(f"{node}: process {process} sent {request.method} {request.path}")
        if token := request.header("X-Auth-Token"):
            witness.tokens.add(token)
        if self.ledger.failed_logins > wrong:
            witness.refused.setdefault(node, []).append(at)
        if self.sessions._count > created:
            for session in self.sessions.open.values():
                if session.context not in witness.contexts:
                    witness.unannounced.append(f"{node}: session {session.number} with context {session.context!r}")
        if self.ledger.submits > submits:
            self._submitted(at, process, versions)
        self._reset(at, process, self.ledger.resets[resets:], versions)
        return answer

    def _swapped(self, now: float) -> None:
        if self.swap_at is not None and now >= self.swap_at and self.spec.name not in self.witness.shown:
            self.witness.shown[self.spec.name] = self.witness.clock.now()
            self.spec = replace(self.spec, serial="ANOTHER", uuid="00000000-0000-4000-8000-000000000000")
            self.sessions.lose()

    def _submitted(self, at: float, process: int, versions: Mapping[str, str]) -> None:
        run = self.updates.running or (self.updates.scheduled[-1] if self.updates.scheduled else None)
        digest = run.package.sha256 if run is not None and run.package is not None else ""
        self._write(
            at,
            process,
            "submit",
            digest,
            versions,
            lambda effect, detail: effect.endswith("/submit") and detail["sha256"] == digest,
        )

    def _reset(self, at: float, process: int, resets: list[dict[str, Any]], versions: Mapping[str, str]) -> None:
        if any(reset["what"] == "ac" for reset in resets):  # it takes host and BMC along
            resets = [reset for reset in resets if reset["what"] == "ac"]
        for reset in resets:
            what, kind = reset["what"], reset["kind"].split()[0]
            names = {"ac": "/ac-cycle", "bmc": "/bmc-reset"}.get(what, "/host-off" if kind in _HOST_OFF else "/host-on")
            self._write(
                at, process, what, reset["kind"], versions, lambda effect, _, names=names: effect.endswith(names)
            )

    def _write(  # noqa: PLR0917
        self,
        at: float,
        process: int,
        what: str,
        detail: str,
        versions: Mapping[str, str],
        fits: Callable[[str, Json], bool],
    ) -> None:
        node = self.spec.name
        announced = self.witness.covers(node, fits)
        self.witness.done.append(
            Done(at=at, node=node, process=process, what=what, detail=detail, announced=announced, versions=versions)
        )


def often(done: list[Done]) -> Counter[tuple[str, int, str, str]]:
    """How often each intent had each effect."""
    return Counter((each.node, each.announced, each.what, each.detail) for each in done if each.announced)
