"""The values that the markers of a box's resources stand for (`=serial`, `=version:HostBIOS_0|no-leading-zeros`)."""

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fleet.sim.boxmodel import Fill
from fleet.sim.host import Power
from fleet.sim.installer import Running

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

Fact = Callable[["Bmc", float, str, str], Any]
"""(bmc, now, argument, transform) -> JSON value."""


def fill_for(bmc: "Bmc", now: float) -> Fill:
    """Fills in markers with the state of `bmc` at `now`."""
    return lambda name, argument, transform: FACTS[name](bmc, now, argument, transform)


def spelled(version: str, transform: str) -> str:
    """The other spelling of a version that some resources use (field guide 1.13)."""
    if transform == "no-leading-zeros":  # 01.01.03 -> 1.1.3
        return re.sub(r"\b0+(?=\d)", "", version)
    if transform == "ilo":  # 2.72 Sep 04 2022 -> iLO 5 v2.72
        return f"iLO 5 v{version.partition(' ')[0]}"
    if transform == "after-ver":  # BIOS Date: 08/04/2023 Ver 1.4 -> 1.4
        return version.rpartition("Ver ")[2]
    return version


def _serial(bmc: "Bmc", _: float, __: str, suffix: str) -> str:
    return bmc.spec.serial + (f"-{suffix}" if suffix else "")


def _uuid(bmc: "Bmc", _: float, __: str, suffix: str) -> str:
    last = "".join(f"{ord(letter) % 16:x}" for letter in suffix)
    return bmc.spec.uuid[: len(bmc.spec.uuid) - len(last)] + last


def _boot_progress(bmc: "Bmc", now: float, _: str, __: str) -> str:
    if bmc.host.power is not Power.ON:
        return "None"
    if bmc.host.posting(now):
        return "MemoryInitializationStarted"
    return "OSBootStarted" if bmc.installer.running is Running.NOTHING else "OSRunning"


def _flash_percentage(bmc: "Bmc", now: float, _: str, __: str) -> str | None:
    percent = bmc.updates.percent(now)
    return None if percent is None else f"{percent}% done."


def _mac(bmc: "Bmc", _: float, __: str, ___: str) -> str:
    """A locally administered address, made from the serial number."""
    digest = hashlib.sha256(bmc.spec.serial.encode()).hexdigest()
    return ":".join(["02", *(digest[at : at + 2].upper() for at in range(0, 10, 2))])


def _hpe_state(bmc: "Bmc", _: float, __: str, ___: str) -> str:
    """Oem.Hpe.State of iLO (field guide 1.10)."""
    run = bmc.updates.running
    if run is not None:
        return {"Starting": "Uploading"}.get(run.task.state, "Verifying" if run.task.span is None else "Writing")
    last = next(reversed(bmc.tasks.kept.values()), None)
    if last is None or last.ended is None:
        return "Idle"
    return "Complete" if last.status == "OK" else "Error"


FACTS: dict[str, Fact] = {
    "hpe_state": _hpe_state,
    "percent": lambda bmc, now, *_: bmc.updates.percent(now) or 0,
    "mac": _mac,
    "address": lambda bmc, *_: bmc.spec.address,
    "host_name": lambda bmc, *_: bmc.spec.name,
    "serial": _serial,
    "uuid": _uuid,
    "power": lambda bmc, *_: bmc.host.power,
    "host_reset_time": lambda bmc, *_: bmc.stamp(bmc.host.last_reset),
    "bmc_reset_time": lambda bmc, *_: bmc.stamp(bmc.last_restart),
    "boot_progress": _boot_progress,
    "date_time": lambda bmc, now, *_: bmc.stamp(now),
    "version": lambda bmc, _, item, transform: spelled(bmc.firmware.parts[item].active, transform),
    "force_update": lambda bmc, *_: bmc.updates.sticky_force,
    "session_timeout": lambda bmc, *_: bmc.box.bmc.shown_session_timeout,
    "flash_percentage": _flash_percentage,
    "boot_enabled": lambda bmc, *_: bmc.media.override[0],
    "boot_target": lambda bmc, *_: bmc.media.override[1],
    "copies_itself": lambda bmc, _, chassis, __: bmc.roots.automatic(chassis),
    "copy_status": lambda bmc, _, chassis, __: bmc.roots.status(chassis),
    "bank_zero": lambda bmc, _, item, __: bmc.roots.bank(item, 0),
    "bank_one": lambda bmc, _, item, __: bmc.roots.bank(item, 1),
    "boot_bank": lambda bmc, _, item, __: bmc.firmware.parts[item].slot,
    "minimum_security": lambda bmc, _, item, __: bmc.roots.minimum(item),
    "update_status": lambda bmc, *_: None if bmc.updates.running is None else "Updating",
}
"""Every marker that box data may use."""
