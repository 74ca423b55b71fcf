"""YAML -> Profile. Every key is known or refused; every profile names its sources."""

from dataclasses import dataclass
from pathlib import Path

from fleet.profile import (
    AcCycle,
    BootProperty,
    ComponentProfile,
    CopyPolicy,
    Force,
    MediaProfile,
    Obstacle,
    Profile,
    Push,
    Quirks,
    Rollback,
    Setting,
    Timings,
    Trust,
    UpdateLog,
)
from inventory.baseline import Activation
from inventory.document import Value, read_document
from inventory.reader import MappingReader

_COMPONENT = ComponentProfile(items=(), push=())
_MEDIA = MediaProfile()
_TIMINGS = Timings()
_QUIRKS = Quirks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A profile and how its machines are recognised."""

    profile: Profile
    signals: tuple[tuple[str, tuple[str, ...]], ...]
    """Field of Discovery -> globs, one of which must match. All fields must; none: never chosen by itself."""


def read_platform(path: Path) -> Platform:
    """Read one profile. Raises InputError with file and line."""
    reader = MappingReader(read_document(path), what="profile")
    name = reader.text("profile")
    recognise = reader.mapping("recognise")
    platform = Platform(
        profile=Profile(
            name=name,
            title=reader.text("title"),
            trust=reader.choice("trust", Trust),
            system=reader.text("system", default="*"),
            bmc=reader.text("bmc", default="*"),
            components={
                key: _component(MappingReader(value, what=f"component {key}"))
                for key, value in reader.mapping("components").items()
            },
            ac_cycle=_ac_cycle(reader),
            power_sensor=reader.text("power_sensor", default=""),
            media=_media(reader.mapping("media")),
            restores=frozenset(value.choice(Setting) for value in reader.sequence("restores")),
            obstacles=tuple(_obstacle(MappingReader(value, what="obstacle")) for value in reader.sequence("obstacles")),
            timings=_timings(reader.mapping("timings")),
            quirks=_quirks(reader.mapping("quirks")),
            sources=reader.texts("sources"),
        ),
        signals=tuple((signal, globs.texts()) for signal, globs in recognise.items()),
    )
    reader.finish()
    return platform


def _obstacle(reader: MappingReader) -> Obstacle:
    found = Obstacle(
        path=reader.text("path"),
        keys=reader.texts("property"),
        blocks=reader.text("blocks"),
        says=reader.text("says"),
        components=frozenset(reader.texts("components", default=())),
    )
    reader.finish()
    return found


def _component(reader: MappingReader) -> ComponentProfile:
    component = ComponentProfile(
        items=reader.texts("items"),
        push=tuple(value.choice(Push) for value in reader.sequence("push")),
        targets=reader.texts("targets", default=()),
        apply_time=reader.text("apply_time", default=None),
        activation=frozenset(value.choice(Activation) for value in reader.sequence("activation")),
        rollback=reader.choice("rollback", Rollback, default=_COMPONENT.rollback),
        roots=reader.texts("roots_of_trust", default=()),
        background_copy=reader.choice("background_copy", CopyPolicy, default=_COMPONENT.background_copy),
        force=reader.choice("force", Force, default=_COMPONENT.force),
        flash_s=reader.duration_s("flash", default=_COMPONENT.flash_s),
        deadline_s=reader.duration_s("deadline", default=_COMPONENT.deadline_s),
        log=_update_log(reader),
        copies=reader.texts("copies", default=()),
    )
    reader.finish()
    return component


def _update_log(parent: MappingReader) -> UpdateLog | None:
    if "log" not in parent:
        return None
    reader = parent.mapping("log")
    log = UpdateLog(
        entries=reader.text("entries"),
        tells=reader.texts("tells", default=()),
        tells_version=reader.texts("tells_version", default=()),
    )
    reader.finish()
    return log


def _ac_cycle(parent: MappingReader) -> AcCycle | None:
    if "ac_cycle" not in parent:
        return None
    reader = parent.mapping("ac_cycle")
    cycle = AcCycle(
        target=reader.text("target"),
        body=_pairs(reader.mapping("body")),
        host_off_first=reader.boolean("host_off_first", default=True),
    )
    reader.finish()
    return cycle


def _media(reader: MappingReader) -> MediaProfile:
    media = MediaProfile(
        boot_target=reader.text("boot_target", default=_MEDIA.boot_target),
        empty_texts=reader.texts("empty_texts", default=()),
        always_send=frozenset(value.choice(BootProperty) for value in reader.sequence("always_send")),
    )
    reader.finish()
    return media


def _timings(reader: MappingReader) -> Timings:
    timings = Timings(
        bmc_return_s=reader.duration_s("bmc_return", default=_TIMINGS.bmc_return_s),
        bmc_return_hard_s=reader.duration_s("bmc_return_hard", default=_TIMINGS.bmc_return_hard_s),
        settle_interval_s=reader.duration_s("settle_interval", default=_TIMINGS.settle_interval_s),
        settle_reads=reader.integer("settle_reads", minimum=1, default=_TIMINGS.settle_reads),
        power_off_s=reader.duration_s("power_off", default=_TIMINGS.power_off_s),
        off_dwell_s=reader.duration_s("off_dwell", default=_TIMINGS.off_dwell_s),
        post_s=reader.duration_s("post", default=_TIMINGS.post_s),
        overall_s=reader.duration_s("overall", default=_TIMINGS.overall_s),
    )
    reader.finish()
    return timings


def _quirks(reader: MappingReader) -> Quirks:
    quirks = Quirks(
        tasks_kept_s=reader.duration_s("tasks_kept", default=_QUIRKS.tasks_kept_s),
        expand=reader.boolean("expand", default=_QUIRKS.expand),
        dell_item_ids=reader.boolean("dell_item_ids", default=_QUIRKS.dell_item_ids),
        serial_is_sku=reader.boolean("serial_is_sku", default=_QUIRKS.serial_is_sku),
        states=_pairs(reader.mapping("states")),
    )
    reader.finish()
    return quirks


def _pairs(reader: MappingReader) -> tuple[tuple[str, str], ...]:
    return tuple((key, Value.text(value)) for key, value in reader.items())
