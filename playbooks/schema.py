"""YAML -> Playbook. No loops, conditions or templates: what needs a condition is a step. An unknown key names the nearest known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.policy.spec import Amount, OnFailure, RolloutSpec
from fleet.policy.window import DAYS, Window
from fleet.step import StepSpec
from inventory.baseline import Baseline
from inventory.baseline_load import load_baseline
from inventory.document import Value, read_document
from inventory.reader import MappingReader
from inventory.scalar import Percent
from inventory.text import nearest
from playbooks.registry import steps as known_steps

_CLOCK = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What to do to each node, and how fast."""

    name: str
    path: Path
    select: Mapping[str, str]
    """Selector in its mapping form: {model: DGXH100}; empty selects every node."""
    baseline: Baseline
    steps: tuple[StepSpec, ...]
    rollout: RolloutSpec


def load_playbook(path: Path) -> Playbook:
    """Read a playbook and the baseline that it names. Raises inventory.text.InputError with file and line."""
    reader = MappingReader(read_document(path), what="playbook")
    name = reader.text("playbook")
    select = reader.mapping("select", what="select")
    chosen = {key: value.text() for key, value in select.items()}
    named = reader.required("baseline")
    baseline_path = path.parent / named.text()
    if not baseline_path.is_file():
        raise named.error(f"no baseline at {baseline_path}", hint="the path is relative to the playbook")
    baseline = load_baseline(baseline_path)
    steps = tuple(_step(value, baseline) for value in reader.sequence("steps"))
    twice = next((step.key for index, step in enumerate(steps) if step in steps[:index]), "")
    if twice:
        raise reader.error(f"{twice!r} stands twice; a component is flashed once", key="steps")
    if not steps:
        raise reader.error("a playbook needs at least one step", key="steps")
    spec = _rollout(reader.mapping("rollout"))
    reader.finish()
    return Playbook(name=name, path=path.resolve(), select=chosen, baseline=baseline, steps=steps, rollout=spec)


def _step(value: Value, baseline: Baseline) -> StepSpec:
    reader = MappingReader(value, what="step")
    names = reader.keys()
    if len(names) != 1:
        raise value.error("a step is one name with its arguments", hint="- firmware.update: {component: bmc}")
    name = names[0]
    known = {step: announced.arguments for step, announced in known_steps().items() if announced.arguments is not None}
    if name not in known:
        raise value.error(f"unknown step {name!r}", hint=nearest(name, known))
    content = reader.mapping(name, what=name)
    args = {argument: content.text(argument) for argument in known[name]}
    content.finish()
    component = args.get("component")
    if component is not None and component not in baseline.components:
        raise content.error(
            f"baseline {baseline.name} has no component {component!r}",
            key="component",
            hint=nearest(component, baseline.components),
        )
    return StepSpec(name, args)


def _rollout(reader: MappingReader) -> RolloutSpec:
    default = RolloutSpec()
    spread = reader.mapping("spread")
    budget = reader.mapping("failure_budget")
    spec = RolloutSpec(
        waves=_waves(reader) or default.waves,
        max_in_flight=reader.percent_or_count("max_in_flight", default=default.max_in_flight),
        rack=spread.percent_or_count("rack", default=default.rack),
        feed=spread.percent_or_count("feed", default=default.feed),
        failure_budget=budget.percent_or_count("total", minimum=0, default=default.failure_budget),
        bake_s=reader.duration_s("bake", default=default.bake_s),
        approve=tuple(value.integer(minimum=1) for value in reader.sequence("approve")),
        on_failure=reader.choice("on_failure", OnFailure, default=default.on_failure),
        window=_window(reader),
    )
    for part in (spread, budget, reader):
        part.finish()
    return spec


def _waves(reader: MappingReader) -> tuple[Amount, ...]:
    values = reader.sequence("waves")
    amounts: tuple[Amount, ...] = tuple(value.percent_or_count(minimum=1) for value in values)
    shares = [amount.percent for amount in amounts if isinstance(amount, Percent)]
    counts = [amount for amount in amounts if isinstance(amount, int)]
    if shares != sorted(shares) or counts != sorted(counts):
        raise reader.error("waves are cumulative and must grow", key="waves", hint="waves: [1, 5%, 25%, 100%]")
    return amounts


def _window(reader: MappingReader) -> Window | None:
    if "window" not in reader:
        return None
    window = reader.mapping("window")
    days = tuple(_day(value) for value in window.sequence("days")) or DAYS
    start = window.read("start", _time_of_day)
    length_s = window.duration_s("length", minimum=60)
    zone = window.read("tz", _zone)
    until = window.read("until", _date, default="")
    window.finish()
    return Window(days=days, start=start, length_s=length_s, tz=zone, until=until)


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
