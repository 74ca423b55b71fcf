"""What a machine's slots and fuses make of a component's way back (field guide 1.11, rollout-science 1.6). Pure.

A profile says what a platform can do; what this machine can do now is read from it: whether its other slot will keep what runs, and
which security versions its fuses still let through.
"""

from fleet.profile import ComponentProfile, CopyPolicy, Rollback
from fleet.slots import SlotReading
from inventory.baseline import ComponentBaseline, PreviousImage


def mine(slots: SlotReading | None, part: ComponentProfile) -> SlotReading:
    """What was read of one component; nothing where nothing could be read, or the profile names no root of trust."""
    return SlotReading() if slots is None or not part.roots else slots.of(part.items, part.roots)


def fused(wanted: ComponentBaseline | PreviousImage, read: SlotReading) -> str:
    """Why the fuses refuse this image for ever, in words; empty where they do not, or where one of the two numbers is not known."""
    least, item = max(((number, item) for item, number in read.minimum.items()), default=(0, ""))
    own = wanted.security_version
    if own is None or own >= least:
        return ""
    return (
        f"{item} takes nothing below security version {least} (MinimumSecurityVersion), and {wanted.version} has {own}"
    )


def capability(
    part: ComponentProfile, previous: PreviousImage, read: SlotReading, *, flashes: bool
) -> tuple[Rollback, str]:
    """How it goes back, and what to say of it before "flashes ... again".

    `flashes`: the goal is not running yet, so that what runs now will stand in the other slot.
    """
    if not read.shown:
        return part.rollback, ""
    waits = part.background_copy is CopyPolicy.DEFER or all(root.automatic is False for root in read.roots)
    if not read.roots or not waits:
        return Rollback.REFLASH, ", slot swap not available: it copies by itself"
    kept = flashes and not read.half
    kept = kept or (not flashes and any(_holds(banks.inactive.version, previous) for banks in read.half))
    if kept:
        return (
            Rollback.SLOT_SWAP,
            f": the other slot keeps {previous.version} until the copy behind the gate; then reflash",
        )
    return Rollback.REFLASH, ", slot swap not available: both slots hold the same" if not read.half else (
        f", slot swap not available: the other slot does not hold {previous.version}"
    )


def unproven(previous: PreviousImage, read: SlotReading) -> str:
    """What is not known of the fuses, in words; empty where nothing is fused or the baseline says enough."""
    least = max(read.minimum.values(), default=0)
    if not least or previous.security_version is not None:
        return ""
    return (
        f"; whether its fuses let {previous.version} through is not known: they want security version {least}, and the baseline gives"
        " none (`security_version`)"
    )


def _holds(version: str, previous: PreviousImage) -> bool:
    return version.strip().casefold() in {text.strip().casefold() for text in (previous.version, *previous.accepts)}
