"""The texts of Update and TaskEvent messages (field guide 1.4), with the argument orders that real logs show."""

from typing import Any

from fleet.sim.message import message
from fleet.sim.selection import Pick, Skip


def transferring(pick: Pick) -> dict[str, Any]:
    """Update.TransferringToComponent."""
    version, item = pick.image.version, pick.part.item
    text = f"Image '{version}' is being transferred to '{item}'."
    return message("Update.1.0.TransferringToComponent", text, (version, item), resolution="")


def applied(pick: Pick) -> dict[str, Any]:
    """Update.UpdateSuccessful."""
    version, item = pick.image.version, pick.part.item
    text = f"Device '{item}' successfully updated with image '{version}'."
    return message("Update.1.0.UpdateSuccessful", text, (item, version), resolution="")


def awaits(pick: Pick) -> dict[str, Any]:
    """Update.AwaitToActivate."""
    version, item = pick.image.version, pick.part.item
    text = f"Awaiting for an action to proceed with activating image '{version}' on '{item}'."
    args = (item, version) if pick.part.component_first else (version, item)
    return message("Update.1.0.AwaitToActivate", text, args, resolution=pick.part.resolution)


def skipped(skip: Skip) -> dict[str, Any]:
    """Update.UpdateSkippedSameVersion or UpdateSkippedVersionTooLow."""
    version, item = skip.image.version, skip.part.item
    name = "UpdateSkippedSameVersion" if skip.same else "UpdateSkippedVersionTooLow"
    word = "the same as" if skip.same else "lower than"
    text = f"Update of '{item}' with image '{version}' was skipped: its version is {word} the active one."
    return message(f"Update.1.0.{name}", text, (item, version), "OK" if skip.same else "Warning")


def failed(name: str, why: str, what: str = "") -> dict[str, Any]:
    """Update.TransferFailed, VerificationFailed or ApplyFailed, with the reason in its text."""
    text = f"{name}{f' for {what!r}' if what else ''}: {why}"
    return message(f"Update.1.0.{name}", text, tuple(part for part in (why, what) if part), "Critical")
