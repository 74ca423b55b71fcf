"""One node of bring-up-256 for each kind of fault, and how each must end: over the wire, and in a twin."""

FAULTS = """
faults: one-of-each
seed: 0
rules:
  - {name: gpu-gone, select: {node: gpu0002}, effect: gpu-missing}
  - {name: dcgm-says-no, select: {node: gpu0003}, effect: dcgm-fails, times: always}
  - {name: dcgm-cut-short, select: {node: gpu0130}, effect: json-truncated, times: always}
  - {name: no-shell, select: {node: gpu0004}, effect: ssh-refused}
  - {name: silent, select: {node: gpu0005}, effect: no-phone-home}
  - {name: somebody-else, select: {node: gpu0006}, effect: wrong-identity}
  - {name: bad-media, select: {node: gpu0131}, effect: image-unreadable, times: always}
  - {name: media-lost, select: {node: gpu0132}, effect: media-dropped}
  - {name: device-refuses, select: {node: gpu0007}, effect: update-fails, times: always}
  - {name: falls-back, select: {node: gpu0133}, effect: version-unchanged, times: always}
  - {name: task-gone, select: {node: gpu0008}, effect: task-vanishes, times: always}
  - {name: crossed, select: {node: gpu0161}, effect: wrong-cable}
  - {name: refuses-twice, select: {node: leaf2-a}, effect: commit-refused, times: 2}
  - {name: refuses, select: {node: leaf3-b}, effect: commit-refused, times: always}
  - {name: lets-go-early, select: {node: leaf7-a}, effect: link-drops-in-commit, applied: false}
  - {name: lets-go-late, select: {node: leaf7-b}, effect: link-drops-in-commit}
  - {name: sticks-once, select: {node: pdu-r03-A}, effect: outlet-stuck}
  - {name: sticks, select: {node: pdu-r14-B}, effect: outlet-stuck, times: always}
"""
ENDS = {
    "gpu0001": "",  # Cumulus Linux
    "gpu0129": "",  # Arista EOS
    "gpu0002": "burnin-failed",
    "gpu0003": "burnin-failed",
    "gpu0130": "burnin-failed",
    "gpu0004": "image-failed",
    "gpu0005": "image-failed",
    "gpu0006": "identity-mismatch",
    "gpu0131": "image-failed",
    "gpu0132": "image-failed",
    "gpu0007": "update-failed",
    "gpu0133": "version-mismatch",
    "gpu0008": "",
    "gpu0161": "wrong-cable",
    "gpu0162": "wrong-cable",
    "gpu0033": "",  # both PDUs and a leaf of it are told again, or read
    "gpu0065": "switch-refused",
    "gpu0193": "",
    "gpu0209": "power-ignored",
}
"""Node -> the reason for which it is held or rolled back; empty: it is accepted."""
ROLLED_BACK = {"gpu0007", "gpu0133"}
AT_ONCE = """rollout:
  waves: [100%]
  max_in_flight: 100%
  spread: {rack: 8}
  failure_budget: {total: 100%}
  on_failure: roll_back_node
"""
