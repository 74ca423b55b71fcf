"""YAML -> Playbook. No loops, conditions or templates: what needs a condition is a step. An unknown key names the nearest known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.gates import gates
from fleet.policy.power.spec import PowerSpec, read_power
from fleet.policy.spec import Amount, OnFailure, RolloutSpec
from fleet.policy.window import DAYS, Window, Windows, closed_dates
from fleet.step import StepSpec
from inventory.baseline import Baseline
from inventory.baseline_load import load_baseline
from inventory.document import Value, read_document
from inventory.reader import MappingReader
from inventory.scalar import Percent
from inventory.text import closest, nearest
from playbooks.names import NEED_BASELINE, resolved
from playbooks.registry import steps as known_steps

_CLOCK = 2
_WHOLE = 100
_LONGEST_CLOSED_DAYS = 366


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A step of the file whose name is known, and what it is given is not read yet."""

    name: str
    arguments: tuple[str, ...]
    given: MappingReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What to do to each node, and how fast."""

    name: str
    path: Path
    select: Mapping[str, str]
    """Selector in its mapping form: {model: DGXH100}; empty selects every node."""
    baseline: Baseline
    """Empty, and without a name, where no step needs one and none was given."""
    steps: tuple[StepSpec, ...]
    rollout: RolloutSpec
    power: PowerSpec = field(default_factory=PowerSpec)


def load_playbook(path: Path, *, baseline: Path | None = None) -> Playbook:
    """Read a playbook and its baseline; names of VLANs stay names until `playbooks.names.with_vlans`.

    Args:
        path: the playbook.
        baseline: a baseline that wins over the one that the playbook names.

    Raises:
        InputError: anything that cannot be used, with file and line.
    """
    reader = MappingReader(read_document(path), what="playbook")
    name = reader.text("playbook")
    select = reader.mapping("select", what="select")
    chosen = {key: value.text() for key, value in select.items()}
    named = tuple(_named(value) for value in reader.sequence("steps"))
    if not named:
        raise reader.error("a playbook needs at least one step", key="steps")
    wanted = _baseline(reader, baseline, named)
    steps = _steps(named, wanted)
    paced = reader.mapping("rollout")
    power = read_power(paced)
    spec = _rollout(paced)
    reader.finish()
    return Playbook(
        name=name, path=path.resolve(), select=chosen, baseline=wanted, steps=steps, rollout=spec, power=power
    )


def _baseline(reader: MappingReader, given: Path | None, named: Sequence[_Named]) -> Baseline:
    """The given one, else the one that the playbook names, else an empty one if no step needs more."""
    value = reader.value("baseline")
    if given is not None:
        return load_baseline(given)
    if value is not None:
        path = Path(value.file).parent / value.text()
        if not path.is_file():
            raise value.error(f"no baseline at {path}", hint="the path is relative to the playbook")
        return load_baseline(path)
    needing = next((step for step in named if step.name in NEED_BASELINE), None)
    if needing is None:
        return Baseline(name="", models=())
    if closest("baseline", reader.unread()):
        reader.required("baseline")  # says which key was probably meant
    raise needing.given.error(
        f"{needing.name} needs a baseline, and the playbook names none",
        hint="add baseline: FILE, or give --baseline FILE",
    )


def _named(value: Value) -> _Named:
    """`- name: {its arguments}`, or `- name` for a step that has none."""
    reader = None if value.kind == "text" else MappingReader(value, what="step")
    names = reader.keys() if reader else (value.text(),)
    if len(names) != 1:
        raise value.error("a step is one name with its arguments", hint="- firmware.update: {component: bmc}")
    name = names[0]
    known = {step: announced.arguments for step, announced in known_steps().items() if announced.arguments is not None}
    if name not in known:
        raise value.error(f"unknown step {name!r}", hint=nearest(name, known))
    nothing = MappingReader(Value({}, file=value.file, line=value.line), what=name)
    return _Named(name=name, arguments=known[name], given=reader.mapping(name, what=name) if reader else nothing)


def _steps(named: Sequence[_Named], baseline: Baseline) -> tuple[StepSpec, ...]:
    steps: list[StepSpec] = []
    for step in named:
        spec = resolved(step.name, step.arguments, step.given, baseline)
        if spec in steps:
            flashed = "a component is flashed once"
            hint = flashed if "component" in spec.args else "each step stands once with the same arguments"
            raise step.given.error(f"{spec.key!r} stands twice", hint=hint)
        steps.append(spec)
    return tuple(steps)


def _rollout(reader: MappingReader) -> RolloutSpec:
    default = RolloutSpec()
    pacing = reader.mapping("pacing")
    spread = reader.mapping("spread")
    gate = reader.mapping("gate")
    budget = reader.mapping("failure_budget")
    if "waves" in reader and "risk" in pacing:
        raise reader.error(
            "a rollout goes in explicit waves or is paced by its risk, not both",
            key="waves",
            hint="leave one of them out",
        )
    in_flight: Amount = pacing.percent_or_count("max_in_flight", default=default.max_in_flight)
    spec = RolloutSpec(
        waves=_waves(reader),
        risk=pacing.integer("risk", minimum=1, default=default.risk),
        tolerate=_rate(budget, "tolerate", default.tolerate),
        confidence=_rate(budget, "confidence", default.confidence),
        alike=budget.integer("alike", minimum=2, default=default.alike),
        max_in_flight=reader.percent_or_count("max_in_flight", default=in_flight),
        rack=spread.percent_or_count("rack", default=default.rack),
        feed=spread.percent_or_count("feed", default=default.feed),
        leaf=spread.percent_or_count("leaf", default=default.leaf),
        rail=spread.percent_or_count("rail", default=default.rail),
        tenant=spread.percent_or_count("tenant", default=default.tenant),
        nvlink_domain=spread.read("nvlink_domain", _whole, default=None),
        unit_order=reader.texts("unit_order", default=()),
        failure_budget=budget.percent_or_count("total", minimum=0, default=default.failure_budget),
        bake_s=reader.duration_s("bake", default=default.bake_s),
        approve=tuple(value.integer(minimum=1) for value in reader.sequence("approve")),
        on_failure=reader.choice("on_failure", OnFailure, default=default.on_failure),
        window=_window(reader),
        gates=tuple(_gate(value) for value in gate.sequence("require")),
        soak_s=gate.duration_s("soak", default=default.soak_s),
    )
    for part in (pacing, spread, budget, gate, reader):
        part.finish()
    return spec


def _gate(value: Value) -> str:
    name = value.text()
    if name not in gates():
        raise value.error(f"unknown gate {name!r}", hint=nearest(name, gates()))
    return name


def _whole(value: Value) -> Amount | None:
    """`whole`, which is the default, or how many of a domain may be out at once."""
    return None if value.text() == "whole" else value.percent_or_count()


def _rate(reader: MappingReader, key: str, default: Percent) -> Percent:
    """A share above 0 % and below 100 %."""
    value = reader.value(key)
    rate = default if value is None else value.percent_or_count(minimum=1)
    if not isinstance(rate, Percent) or not 0 < rate.percent < _WHOLE:
        raise reader.error(f"{key} is a share above 0% and below 100%", key=key, hint=f"{key}: {default}")
    return rate


def _waves(reader: MappingReader) -> tuple[Amount, ...]:
    values = reader.sequence("waves")
    amounts: tuple[Amount, ...] = tuple(value.percent_or_count(minimum=1) for value in values)
    shares = [amount.percent for amount in amounts if isinstance(amount, Percent)]
    counts = [amount for amount in amounts if isinstance(amount, int)]
    if shares != sorted(shares) or counts != sorted(counts):
        raise reader.error("waves are cumulative and must grow", key="waves", hint="waves: [1, 5%, 25%, 100%]")
    return amounts


def _window(reader: MappingReader) -> Window | Windows | None:
    """One mapping, or a list of them: then any of them will do."""
    value = reader.value("window")
    if value is None:
        return None
    if value.kind != "sequence":
        return _one_window(value)
    windows = tuple(_one_window(each) for each in value.sequence())
    if not windows:
        raise value.error(
            "a list of windows that holds none", hint="leave `window` out where work may start at any time"
        )
    return Windows(windows=windows) if len(windows) > 1 else windows[0]


def _one_window(value: Value) -> Window:
    window = MappingReader(value, what="window")
    days = tuple(_day(day) for day in window.sequence("days")) or DAYS
    start = window.read("start", _time_of_day)
    length_s = window.duration_s("length", minimum=60)
    zone = window.read("tz", _zone)
    until = window.read("until", _date, default="")
    closed = tuple(_closed(dates) for dates in window.sequence("except"))
    window.finish()
    return Window(days=days, start=start, length_s=length_s, tz=zone, until=until, closed=closed)


def _closed(value: Value) -> str:
    """A date, or two with `..` between them."""
    try:
        first, last = closed_dates(value.text())
    except ValueError as error:
        hint = "write YYYY-MM-DD, or YYYY-MM-DD..YYYY-MM-DD, both days included"
        raise value.error(f"{value.text()!r} is no date and no range of dates", hint=hint) from error
    if (last - first).days > _LONGEST_CLOSED_DAYS:
        raise value.error(f"{value.text()} is longer than a year", hint="is the year right?")
    return f"{first}..{last}"


def _day(value: Value) -> str:
    day = value.text().casefold()[:3]
    if day not in DAYS:
        raise value.error(f"{value.text()!r} is no day", hint=", ".join(DAYS))
    return day


def _time_of_day(value: Value) -> str:
    hour, _, minute = value.text().partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and len(minute) == _CLOCK and int(hour) < 24 and int(minute) < 60):  # noqa: PLR2004 (a clock)
        raise value.error(f"{value.text()!r} is no time of day", hint='write it as "22:00", quoted')
    return f"{int(hour):02}:{minute}"


def _zone(value: Value) -> str:
    name = value.text()
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise value.error(f"unknown time zone {name!r}", hint="a name such as America/Chicago or UTC") from error
    return name


def _date(value: Value) -> str:
    try:
        return date.fromisoformat(value.text()).isoformat()
    except ValueError as error:
        raise value.error(f"{value.text()!r} is no date", hint="write YYYY-MM-DD") from error
