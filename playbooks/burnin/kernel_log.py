"""`journalctl -k -b`: Xid lines of the GPU driver since the kernel started (NVIDIA's Xid catalogue, see xids).

A log has no mark at its end. That it is whole rests on the exit status, which SSH delivers after all output.
"""

import re
from collections.abc import Mapping

from playbooks.burnin.verdict import Finding, Judged, Verdict, gpu, judged, not_known, unjudged
from playbooks.burnin.xids import ACTION_OF, MEANINGS, RECOVERY_CHANGED

TEST = "kernel-log"
ARGV = ("journalctl", "-k", "-b", "-o", "short-iso", "--no-pager")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]{1,20})\): (\d{1,5}), (.*)")
_NONE = re.compile(r"\bto 0x0 \(None\)", re.IGNORECASE)
_HEAD_LINES = 5


def judge(stdout: bytes, exit_status: int, addresses: Mapping[str, int]) -> Judged:
    """The verdict on what the driver reported. `addresses`: PCI address -> GPU."""
    text = stdout.decode("utf-8", "replace")
    lines = text.splitlines()
    if not text.endswith("\n"):
        return unjudged(TEST, "the kernel log is empty or ends in the middle")
    findings: dict[tuple[str, str], Finding] = {}
    if exit_status:
        findings["node", "status"] = not_known(f"journalctl ended with exit status {exit_status}")
    if not any(" kernel: Linux version " in line for line in lines[:_HEAD_LINES]):
        findings["node", "begin"] = not_known("the kernel log does not reach back to the start of the kernel")
    for line in lines:
        # SXid: NVSwitch; this also finds lines in a form that we do not know.
        if "xid" not in line.casefold() or ("nvrm" not in line.casefold() and "nvswitch" not in line.casefold()):
            continue
        found = _XID.search(line)
        if found is None:
            findings["node", line] = not_known(f"an Xid line of unknown form: {line}")
            continue
        address, code = found[1].casefold().removesuffix(".0"), int(found[2])
        entity = gpu(addresses[address]) if address in addresses else f"GPU at PCI {address}"
        verdict, action = _meaning(code, found[3])
        if verdict is not Verdict.PASS:
            text = f"Xid {code} ({action}): {found[3]}"
            findings.setdefault((entity, found[2]), Finding(verdict=verdict, entity=entity, text=text))
    return judged(TEST, findings.values())


def _meaning(code: int, said: str) -> tuple[Verdict, str]:
    if code == RECOVERY_CHANGED:
        return (Verdict.PASS if _NONE.search(said) else Verdict.FAIL_HW), "recovery action changed"
    action = ACTION_OF.get(code)
    return (Verdict.UNJUDGED, "no action is known") if action is None else (MEANINGS[action], action)
