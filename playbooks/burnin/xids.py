"""What NVIDIA's Xid catalogue asks for, by code. Source: Xid-Catalog.xlsx as of oracle-quickstart/oci-hpc (UPL-1.0).

Codes for which it says CONTACT_SUPPORT, codes without an action and codes that it does not list are left out: they are UNJUDGED.
"""

from collections.abc import Mapping

from playbooks.burnin.verdict import Verdict

RECOVERY_CHANGED = 154
"""`GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)`: what it changed to overrides the others."""

ACTIONS: Mapping[str, tuple[int, ...]] = {
    "IGNORE": (
        14, 37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161,
    ),
    "RESTART_APP": (
        8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94, 96, 97, 98,
        99, 100, 101, 102, 103, 104, 105, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139,
    ),
    "RESET_GPU": (46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    "RESTART_BM": (79,),
    "RESTART_VM": (151,),
    "CHECK_MECHANICALS": (54,),
    "UPDATE_SWFW": (78,),
    "CHECK_UVM": (159,),
    "WORKFLOW_XID_45": (45,),
    "WORKFLOW_XID_48": (48,),
    "WORKFLOW_NVLINK_ERR": (74,),
    "WORKFLOW_NVLINK5_ERR": (144, 145, 146, 147, 148, 149, 150),
    "XID_154": (RECOVERY_CHANGED,),
}  # fmt: skip

MEANINGS: Mapping[str, Verdict] = {
    "IGNORE": Verdict.PASS,
    "RESTART_APP": Verdict.DEGRADED,
    "RESET_GPU": Verdict.FAIL_HW,
    "RESTART_BM": Verdict.FAIL_HW,
    "RESTART_VM": Verdict.FAIL_HW,
    "CHECK_MECHANICALS": Verdict.FAIL_HW,
    "UPDATE_SWFW": Verdict.FAIL_CONFIG,
    "CHECK_UVM": Verdict.FAIL_CONFIG,
    "WORKFLOW_XID_48": Verdict.FAIL_HW,
    "WORKFLOW_XID_45": Verdict.UNJUDGED,
    "WORKFLOW_NVLINK_ERR": Verdict.UNJUDGED,
    "WORKFLOW_NVLINK5_ERR": Verdict.UNJUDGED,
}
"""On a drained node that has just been booted: an application fault there is our own test's, and so DEGRADED. Workflows are for people."""

ACTION_OF: Mapping[int, str] = {code: action for action, codes in ACTIONS.items() for code in codes}
