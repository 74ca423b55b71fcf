"""The invariants of rollout-science 4.3, on one history: its journal against what its machines really felt.

None of these asks our own fold, policy or plan: caps come from the drawing, statuses are counted anew, versions are the machines'.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from fleet import events as ev
from fleet.eventcodec import encode
from fleet.policy.spec import OnFailure
from fleet.sim.faults import Effect
from simulation.goods import MIDDLE, NEW, OLD, PARTS, image
from simulation.history import History
from simulation.pace import paced
from simulation.witness import often

PASSWORD = "rehearsal"
"""Of every BMC in a twin."""
_SETTLED_S = 300.0
"""A machine that was swapped so long ago was looked at since."""
_BMC = {Effect.BMC_DEAD, Effect.BAD_IMAGE}
_LOCKING = {Effect.LOGIN_CHANGES, Effect.BMC_DEAD}
"""After these nobody can log in to delete anything."""

Check = Callable[[History], Iterator[str]]


def violations(history: History) -> list[str]:
    """What must not be, each with the name of its invariant."""
    found = [f"{name}: {text}" for name, check in CHECKS.items() for text in check(history)]
    return [*(f"I10: {bug}" for bug in history.bugs), *found]


def once(history: History) -> Iterator[str]:
    """I1: no effect more often than it was announced, none called absent that came; nothing cut or bricked but by what was drawn."""
    for (node, intent, what, detail), times in often(history.witness.done).items():
        if times > 1:
            yield f"{node}: {what} {detail[:12]} came {times} times under the one intent {intent}"
    yield from _denied(history)
    bad = {rule.name for rule in history.drawing.faults.rules if rule.effect in _BMC}
    for node, box in history.truth["nodes"].items():
        if box["power_cuts_in_flash"]:
            yield f"{node}: power was cut {box['power_cuts_in_flash']} times while something was being written"
        if box["interrupted_posts"]:
            yield f"{node}: a POST was interrupted {box['interrupted_posts']} times (F44)"
        if box["bricked"] and not bad & set(box["faults"]):
            yield f"{node}: bricked: {box['bricked']}"


def _denied(history: History) -> Iterator[str]:
    """Effects that came, and that the journal calls absent."""
    felt = {(done.node, done.announced): done for done in history.witness.done if not done.detail.endswith("ignored")}
    intended: dict[tuple[str, str], int] = {}
    for item in history.recorded:
        if isinstance(item.event, ev.IntentRecorded):
            intended[item.event.node, item.event.effect] = item.seq
        elif isinstance(item.event, ev.EffectAbsent):
            done = felt.get((item.event.node, intended.pop((item.event.node, item.event.effect), 0)))
            if done is not None and done.what in {"submit", "bmc", "ac"} and done.at <= item.at:
                yield f"{done.node}: {item.event.effect} is called absent at {item.seq}, and it came at {done.at:.0f}"


def owned(history: History) -> Iterator[str]:
    """I2: nothing is done by a process that another has superseded."""
    yield from history.witness.intruders


_DISTURBS = ("/submit", "/bmc-reset", "/host-off")
"""Ends of the names of effects that need a window. A host that is off is turned on whenever that is."""


def windowed(history: History) -> Iterator[str]:
    """I5: nothing starts outside the window: no wave, no node, and nothing that disturbs one, unless it ends what this process began."""
    window = history.drawing.spec.window
    if window is None:
        return
    hour = int(window.start[:2])
    taken: set[str] = set()
    begun: set[str] = set()
    for item in history.recorded:
        event = item.event
        now = datetime.fromtimestamp(item.at, UTC)
        outside = ((now.hour - hour) % 24) * 3600 + now.minute * 60 + now.second >= window.length_s
        if isinstance(event, ev.RolloutClaimed):
            begun.clear()
        elif isinstance(event, ev.StepStarted | ev.IntentRecorded) and not outside:
            begun.add(event.node)
        first = isinstance(event, ev.NodeAdmitted) and event.node not in taken
        if isinstance(event, ev.NodeAdmitted):
            taken.add(event.node)
        starts = isinstance(event, ev.IntentRecorded) and event.effect.endswith(_DISTURBS) and event.node not in begun
        if outside and (first or starts or isinstance(event, ev.WaveOpened)):
            yield f"{event.kind} at {item.seq} ({now:%H:%M}), the window is {window}"


def identified(history: History) -> Iterator[str]:
    """I6: nothing is flashed, and no power sequence begins, on a machine that is not the planned one."""
    swapped = history.witness.shown
    for done in history.witness.done:
        since = swapped.get(done.node)
        if since is not None and done.at > since + _SETTLED_S and done.what == "submit":
            yield f"{done.node}: {done.what} {done.detail[:12]} at {done.at:.0f}, another machine since {since:.0f}"
    begun: set[tuple[str, str]] = set()
    for item in history.recorded:
        if isinstance(item.event, ev.IntentRecorded):
            key = (item.event.node, item.event.effect)
            since = swapped.get(item.event.node)
            starts = key not in begun and key[1].endswith(("/host-off", "/bmc-reset"))
            begun.add(key)
            if starts and since is not None and item.at > since + _SETTLED_S and not _within(history, item.seq, key):
                yield f"{key[0]}: {key[1]} was announced at {item.seq}, another machine since {since:.0f}"
        elif isinstance(item.event, ev.NodeConfirmed) and item.event.node in swapped:
            since = swapped[item.event.node]
            # Between the last look at the serial and the end stand at most the settled reads of one activation.
            if item.at > since + 3600 and "baseline" not in item.event.detail:
                yield f"{item.event.node} was confirmed at {item.seq}, another machine since {since:.0f}"


def _within(history: History, seq: int, key: tuple[str, str]) -> bool:
    """Whether the effect belongs to a sequence of power actions that had begun: an AC cycle turns the host off first."""
    step = key[1].rpartition("/")[0]
    return any(
        isinstance(item.event, ev.IntentRecorded)
        and item.event.node == key[0]
        and item.event.effect.startswith(f"{step}/")
        and item.event.effect.endswith(("/host-off", "/bmc-reset", "/ac-cycle"))
        for item in history.recorded
        if item.seq < seq
    )


def announced(history: History) -> Iterator[str]:
    """I7: every effect that a machine felt was announced on disk before; sessions too."""
    for done in history.witness.done:
        own = done.what == "bmc" and done.detail in {"self", "ac"}
        if not done.announced and not own:
            yield f"{done.node}: {done.what} {done.detail[:12]} by process {done.process} at {done.at:.0f} without an open intent"
    yield from history.witness.unannounced


def sequent(history: History) -> Iterator[str]:
    """I8: sequence without a gap, and times that never go back. That the journal makes the state that a process held is seen in `play`."""
    for number, item in enumerate(history.recorded, 1):
        if item.seq != number:
            yield f"event {number} has the sequence number {item.seq}"
            break
    for before, after in zip(history.recorded, history.recorded[1:], strict=False):
        if after.at < before.at:
            yield f"event {after.seq} is {before.at - after.at:.1f} s before event {before.seq}"


def obeyed(history: History) -> Iterator[str]:
    """I9: after a halt, a pause or an abort nothing begins that has not begun before."""
    stopped, since = "", 0.0
    announced_before: set[tuple[str, str]] = set()
    for item in history.recorded:
        match item.event:
            case ev.RolloutHalted() | ev.RolloutPaused() | ev.RolloutAborting():
                stopped, since = item.event.kind, item.at
            case ev.RolloutContinued():
                stopped = ""
            case ev.NodeAdmitted(node=node) if stopped and (node, "") not in announced_before:
                yield f"{node} was admitted at {item.seq} after {stopped}"
            case ev.WaveOpened() if stopped:
                yield f"a wave was opened at {item.seq} after {stopped}"
            case ev.IntentRecorded(node=node, effect=effect):
                if stopped and item.at > since + 1.0 and _begins(effect, node, announced_before):
                    yield f"{node}: {effect} was announced at {item.seq} ({item.at - since:.0f} s after {stopped})"
                announced_before.add((node, effect))
            case _:
                pass
        if isinstance(item.event, ev.NodeAdmitted):
            announced_before.add((item.event.node, ""))


def _begins(effect: str, node: str, before: set[tuple[str, str]]) -> bool:
    """Whether this opens something new: an image, or a sequence of power actions that has not begun."""
    step = effect.rpartition("/")[0]
    if effect.endswith("/submit"):
        return True
    return not any(name == node and other.startswith(f"{step}/") for name, other in before)


def live(history: History) -> Iterator[str]:
    """I10: when nothing goes wrong any more, every node reaches an end with a reason, and no session is left."""
    if history.state.status.value not in {"completed", "aborted", "refused"}:
        yield f"the rollout is {history.state.status} after {len(history.ends)} processes {history.ends}"
    terminal = {"refused", "confirmed", "rolled-back", "quarantined"}
    allowed = terminal | ({"pending"} if history.state.status.value == "aborted" else set())
    for name, node in history.state.nodes.items():
        if node.status.value not in allowed:
            yield f"{name} is {node.status}"
        elif node.status.value in {"quarantined", "rolled-back"} and not (node.reason and node.message):
            yield f"{name} is {node.status} without a reason"
        if node.status.value in {"confirmed", "rolled-back"} and history.witness.open.get(name):
            yield f"{name} is {node.status}, and nobody knows what came of {sorted(history.witness.open[name])}"
    yield from _logins(history)


def _logins(history: History) -> Iterator[str]:
    """Sessions that are left, and passwords that were tried too often."""
    locking = {rule.name for rule in history.drawing.faults.rules if rule.effect in _LOCKING}
    locked = {name for name, box in history.truth["nodes"].items() if locking & set(box["faults"])}
    for name, contexts in history.left_open.items():
        if name not in locked:
            yield f"{name}: {len(contexts)} sessions are left open: {contexts}"
    for name, session in history.believed:
        if name not in locked:
            yield f"{name}: the journal believes in session {session}"
    for name, times in history.witness.refused.items():
        for first, fourth in zip(times, times[3:], strict=False):
            if fourth - first < 600.0:
                yield f"{name}: four wrong passwords within {fourth - first:.0f} s"


def secretless(history: History) -> Iterator[str]:
    """I11: no password and no token in the journal."""
    secrets = {PASSWORD, *history.witness.tokens}
    for item in history.recorded:
        text = encode(item.event)
        if any(secret in text for secret in secrets):
            yield f"event {item.seq} ({item.event.kind}) holds a secret"


def right(history: History) -> Iterator[str]:
    """I12, and what confirmed and rolled back mean: only allowed images, over the stones, and the machine says so in the end."""
    for done in history.witness.done:
        if done.what == "submit":
            yield from _image(history, done.node, done.detail, done.at, done.versions)
    for name, node in history.state.nodes.items():
        box = history.truth["nodes"][name]
        status = node.status.value
        if status in {"confirmed", "rolled-back"}:
            yield from (f"{name} is {status}, and {text}" for text in _not_so(history, name, status))
        if status == "rolled-back" and history.drawing.spec.on_failure is not OnFailure.ROLL_BACK_NODE:
            yield f"{name} is rolled back, and the playbook says to hold it"
        if status == "pending" and any(item["flashes"] for item in box["items"].values()):
            yield f"{name} is pending and was flashed"


def _not_so(history: History, name: str, status: str) -> Iterator[str]:
    """What the machine itself says against the end that its node was given."""
    box = history.truth["nodes"][name]
    model = next(each.model for each in history.drawing.nodes if str(each.id) == name)
    for key in history.drawing.wanted.keys:
        part = PARTS[model][key]
        item = box["items"][part.item]
        wanted = part.versions[NEW] if status == "confirmed" else history.before[name][part.item]
        if item["active"] != wanted and not (status == "confirmed" and name in history.witness.shown):
            yield f"{key} runs {item['active']}, not {wanted}"
        if item["staged"] not in {None, item["active"]}:
            yield f"{key} {item['staged']} waits for the next reset"
    if box["scheduled"]:
        yield f"images for {box['scheduled']} wait to be written at the next reset"
    # To Redfish, a machine that hangs in POST with its old version looks as before.
    if box["bricked"] and status == "confirmed":
        yield f"it is bricked: {box['bricked']}"
    if box["host_power"] != "On":
        yield f"its host is {box['host_power']}"
    if box["force_update"]:
        yield "ForceUpdate is still set"


def _image(history: History, node: str, digest: str, at: float, versions: Mapping[str, str]) -> Iterator[str]:
    """Whether this image may go to this node now."""
    model = next(each.model for each in history.drawing.nodes if str(each.id) == node)
    known = {
        image(model, key, which)[1]: (key, which) for key in history.drawing.wanted.keys for which in (OLD, MIDDLE, NEW)
    }
    if digest not in known:
        yield f"{node}: an image {digest[:12]} was sent that nobody planned"
        return
    key, which = known[digest]
    part = PARTS[model][key]
    back = any(
        isinstance(item.event, ev.NodeRollingBack) and item.event.node == node
        for item in history.recorded
        if item.at <= at
    )
    if (which == OLD) != back:
        yield f"{node}: the image {key} {which} was sent while the node {'goes back' if back else 'goes forward'}"
    if which == OLD and not history.drawing.wanted.previous:
        yield f"{node}: sent back to {key} {which}, which nobody allowed"
    now, stone = versions[part.item], key in history.drawing.wanted.stones
    if which == NEW and stone and now == part.versions[OLD]:
        yield f"{node}: {key} {which} was sent although it runs {now}: it must pass over {part.versions[MIDDLE]}"


def alike(disturbed: History, calm: History) -> Iterator[str]:
    """I13: the same end as without the deaths. A node may end less certain, held for what a death left undecided, never otherwise."""
    parts = {
        str(node.id): [PARTS[node.model][key].item for key in disturbed.drawing.wanted.keys]
        for node in disturbed.drawing.nodes
    }
    for name, node in disturbed.state.nodes.items():
        other = calm.state.nodes[name]
        if node.status.value == "quarantined" and node.reason in {"outcome-unknown", "rollback-failed"}:
            continue
        if (node.status, node.reason) != (other.status, other.reason):
            yield f"I13: {name} is {node.status} ({node.reason}: {node.message}), without deaths {other.status} ({other.reason})"
            continue
        for item in parts[name]:
            versions = [each.truth["nodes"][name]["items"][item]["active"] for each in (disturbed, calm)]
            if versions[0] != versions[1]:
                yield f"I13: {name} {item} runs {versions[0]}, without deaths {versions[1]}"


CHECKS: Mapping[str, Check] = {
    "I1": once,
    "I2": owned,
    "I3": paced,
    "I5": windowed,
    "I6": identified,
    "I7": announced,
    "I8": sequent,
    "I9": obeyed,
    "I10": live,
    "I11": secretless,
    "I12": right,
}
"""I4 (power ledger) has nothing to check yet; I13 needs a second history (`alike`)."""
