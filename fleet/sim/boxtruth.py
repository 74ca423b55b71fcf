"""The ground truth of one box, as plain data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc


def box_truth(bmc: "Bmc") -> dict[str, Any]:
    """What is really so: only tests and the report read it."""
    ledger = bmc.ledger
    items = {
        item: {"active": state.active, "staged": state.staged, "flashes": ledger.flashes_of(item)}
        for item, state in bmc.firmware.parts.items()
    }
    sessions = {
        "open": len(bmc.sessions.open),
        "created": ledger.sessions_created,
        "deleted": ledger.sessions_deleted,
        "lost": ledger.sessions_lost,
        "expired": ledger.sessions_expired,
    }
    return {
        "model": bmc.spec.model,
        "items": items,
        "scheduled": [pick.part.item for run in bmc.updates.scheduled for pick in run.picks],
        "power_cuts_in_flash": ledger.power_cuts_in_flash,
        "interrupted_posts": ledger.interrupted_posts,
        "bricked": ledger.bricked,
        "sessions": sessions,
        "failed_logins": ledger.failed_logins,
        "max_in_flight": ledger.max_in_flight,
        "requests": ledger.requests,
        "submits": ledger.submits,
        "received_bytes": ledger.received_bytes,
        "resets": ledger.resets,
        "host_power": bmc.host.power,
        "phase": bmc.phase,
        "force_update": bmc.updates.sticky_force,
        "settings": bmc.fittings.truth(),
        "slots": bmc.roots.truth(),
        "strain": dict(bmc.strain.counts),
        "faults": [rule.name for rule in bmc.faults.rules],
        "os": bmc.os.truth(),
        "boot_override": list(bmc.media.override),
        "media": bmc.media.mounted or None,
        **ledger.journey(),
    }
