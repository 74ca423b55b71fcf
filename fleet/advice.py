"""Reason -> what an operator can safely do next. Field-guide codes (F01 ...) stand where they are its section 6.

None of it is done by Fleetwave: these are the cases in which acting on a guess may cost a board.
"""

from collections.abc import Mapping

from fleet.errors import Reason
from fleet.state import NodeStatus

AGAIN = "Then apply the playbook again after this rollout has ended: what is at baseline already is left alone."
NO_POWER_CUT = "Do not cut its power before you know that nothing is being flashed: an interrupted flash may brick it."
TELL_FIRST = "Read its firmware inventory first (FirmwareInventory, both slots where it shows them): versions decide, tasks do not."

NEXT: Mapping[Reason, tuple[str, ...]] = {
    Reason.UNREACHABLE: (
        "Check the BMC's link, address and power: https://ADDRESS/redfish/v1 should answer from this host.",
        "If it answers by IPMI and not by HTTPS, restart the BMC (F30), unless an image was handed over to it.",
    ),
    Reason.LOGIN_REFUSED: (
        "Check the credential that the inventory names; three wrong logins may lock the account for a while (F31).",
        "If hostname and certificate changed as well, suspect a factory reset: it may have its default password again.",
    ),
    Reason.UNTRUSTED_TLS: (
        "Compare the certificate's fingerprint at the machine itself before you pin it in the inventory (F32).",
        "If nobody changed it, treat it as another machine in between.",
    ),
    Reason.IDENTITY_MISMATCH: (
        "Another machine answers at this address: check cabling and DHCP, find the node by its serial (F33, F34).",
        "Correct the inventory before anything else is done to either machine.",
    ),
    Reason.UNKNOWN_HARDWARE: (
        "Look at what it is; name a profile in the inventory once you have checked that it fits.",
    ),
    Reason.COMPONENT_MISSING: (
        "Wait ten minutes if it was reset just now: resources appear late (F39).",
        "Otherwise a part is missing or the baseline is for another machine: compare it with a neighbour.",
    ),
    Reason.NO_PATH: ("Check the baseline's models and stepping stones against this machine's versions.",),
    Reason.NO_ACTIVATION: (
        "If Redfish has no action for it, declare an outlet on each of its feeds in the inventory (`pdus: ... outlets`), and apply again.",
        "Or cycle its AC power yourself, at the PDU or by hand, once its host is off.",
    ),
    Reason.UPDATE_SERVICE_BUSY: (
        "See what its update service does (its tasks, its web page): somebody else may be updating it (F15).",
        "If it has hung for hours with no task, restart the BMC once.",
    ),
    Reason.UPDATE_REJECTED: (
        "Read the message: wrong model, refused signature, downgrade and licence are not cured by trying again (F19-F21, F25).",
        "Compare the image with the vendor's list for exactly this model.",
    ),
    Reason.UPDATE_FAILED: (
        TELL_FIRST,
        "Read the BMC's event log at the time of the failure; if two nodes say the same, suspect the image, not the node.",
    ),
    Reason.VERSION_MISMATCH: (
        TELL_FIRST,
        "It may have fallen back to its other slot (F07): look for AwaitToActivate and boot failures in its log.",
    ),
    Reason.STEP_TIMEOUT: (NO_POWER_CUT, "Look at its tasks and versions until they stop changing; then decide (F08)."),
    Reason.POWER_IGNORED: (
        "Look whether the host really is in the state that the BMC claims (F41).",
        "Turn it off and on, or cycle its AC power at the PDU, when nothing is being flashed.",
    ),
    Reason.BMC_GONE: (
        NO_POWER_CUT,
        "Give it 30 minutes in all, try IPMI, then cycle its AC power once at the PDU with its host drained (F29).",
    ),
    Reason.OUTCOME_UNKNOWN: (
        TELL_FIRST,
        "It is not known whether the image arrived: read slots, tasks and logs before anything is flashed again (F16).",
    ),
    Reason.PROTOCOL: (
        "Its BMC answers what no BMC should: restart the BMC if nothing is being flashed, and keep its version in mind (F36).",
    ),
    Reason.WRONG_CABLE: (
        "Look at both ends of the cable; then move it, or correct the inventory's links if the cabling is as it should be.",
    ),
    Reason.SWITCH_REFUSED: (
        "Read the switch's own words; look for an open configuration session of somebody else, and at its log.",
    ),
    Reason.NOT_HEALTHY: (
        "Look at its health and its event log: a part that is absent or in recovery takes no image, and none mends it (F49).",
        "Have it repaired, or leave it out with --skip-refused: the others can go on.",
    ),
    Reason.FORCE_LEFT_ON: (
        "Find out who forces updates on it: while the flag is on, any downgrade goes through (F22).",
        "Set HttpPushUriOptions.ForceUpdate of its UpdateService to false, and apply again.",
    ),
    Reason.WRITE_PROTECTED: (
        "Find out who locked it and why; nothing is unlocked by itself (F26).",
        "Have its owner take the lock off, apply again, and put the lock back afterwards.",
    ),
    Reason.ABORTED: ("Nothing is wrong with it; it stopped at a safe point because the rollout was aborted.",),
    Reason.NO_EDGE: (
        "Declare in the inventory what the step needs (switch, outlet, scheduler, shell), then apply again.",
    ),
    Reason.IMAGE_FAILED: (
        "Look at its console: the message says how far it came. Its disk may hold no OS, or half of one (F56).",
        "Media and boot override were taken back; if nothing else is wrong with it, apply the playbook again.",
    ),
    Reason.ROLLBACK_FAILED: (
        TELL_FIRST,
        "It is between two versions: bring it to either by hand; do not put it back to work with mixed versions (F10).",
    ),
    Reason.NOT_DRAINED: (
        "Nothing was done to it: look at what runs on it (`squeue -w NODE`), wait for it or agree with its owner on an end.",
        "Drain it yourself beforehand if it takes longer (`scontrol update NodeName=NODE State=DRAIN Reason=...`).",
    ),
    Reason.SHARED_CHASSIS: (
        "Nothing was cut: its AC cycle would take the power of a neighbour in its chassis that no rollout holds; the message names it.",
        "Select all of the chassis, or repair what its neighbour is refused for, then plan again.",
        "Or AC-cycle the chassis by hand, once all of it is out of service and nothing of it flashes.",
    ),
    Reason.BURNIN_FAILED: (
        "Keep it out of service. Run the named test again by hand, on the named part: twice the same is evidence, once may be chance.",
        "Could not be judged says nothing of the hardware: look at the tool, its version and its exit status first.",
        "A part that fails now and did not before the rollout: compare with a neighbour that has the same firmware.",
    ),
    Reason.EXPORT_REFUSED: (
        "The node itself is as it should be; only the books about it are not. Read what the system said, in the message.",
        "If it says something else of the node (`!`), find out which is true, then correct the system or the inventory.",
    ),
    Reason.GATE_FAILED: (
        "Read what the gate says (`fleet why` names the measurement): the node is as the steps left it and is not given back.",
        "If the gate is wrong for this hardware, take it out of the playbook's `gate:`; if it is right, the part is a case for repair.",
    ),
    Reason.DOMAIN_SPLIT: (
        "Select every node of the NVLink domain, and mend what refuses the others: a rack fabric of mixed versions does not work.",
        "If a mix is meant, say how many of a domain may be out at once: `spread: {nvlink_domain: 4}`.",
    ),
    Reason.ANTI_ROLLBACK: (
        "Nothing was done to it, and nothing brings that version onto it any more: take a newer image with the same purpose (F21).",
        "If you doubt it, compare MinimumSecurityVersion (Oem/NvidiaRoT of its root of trust) with the image's release notes.",
    ),
    Reason.HALF_UPDATED: (
        "It runs what it should, and its other slot holds something else: keep its AC power on until both are equal (F46).",
        "Read both slots (Oem.Nvidia of the inventory item, or AP_Firmware_Slot_0/1 of its ERoT's chassis) and BackgroundCopyStatus.",
        "Have the running one copied (NvidiaUpdateService.CommitImage), wait ten minutes, read them again.",
    ),
    Reason.DRIFTED: (
        "Something was verified in this rollout and is no longer so: find out who or what changed it, before you change it back.",
        "Look at `fleet why` for when it was verified, and at the logs of the BMC, the switch or the scheduler since then.",
        "If it comes and goes, suspect a part that restarts or falls back to its other slot (F07).",
    ),
}
"""First what to look at, then what to do."""


def advice(status: NodeStatus, reason: str) -> tuple[str, ...]:
    """What can be done next about a node, most careful first; empty if nothing needs to be done."""
    if status is NodeStatus.ROLLED_BACK:
        return ("It runs what it ran before and may work; find out why the update failed before you try again.",)
    if status is NodeStatus.UNCERTAIN:
        return ("Wait: the hardware is being read, and decides.", NO_POWER_CUT)
    if status is NodeStatus.PARKED:
        return ("Nothing: it goes on when the rollout does (`fleet resume`).",)
    if status not in {NodeStatus.QUARANTINED, NodeStatus.REFUSED}:
        return ()
    known = NEXT[Reason(reason)] if reason in set(Reason) else ()
    return (*known, AGAIN)
