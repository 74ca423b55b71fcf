"""The kernel log of a node: dmesg and journalctl -k."""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from fleet.sim.gpus import gpus_of, xid_of

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_SPACE = uuid.UUID("0d5c7f0a-4f37-4d7e-a7f5-0d1b7f3f7f21")
_XID_TEXTS = {
    79: "pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
    48: "pid='<unknown>', name=<unknown>, An uncorrectable double bit error (DBE) has been detected on GPU.",
    94: "pid='<unknown>', name=<unknown>, Contained: CE User Channel (0x9). RST: No, D-RST: No",
}


def boot_id(bmc: "Bmc") -> uuid.UUID:
    """Of the present start of the kernel."""
    return uuid.uuid5(_SPACE, f"{bmc.spec.name}/{bmc.disk.installation}/{bmc.installer.boot}")


def text(bmc: "Bmc", tool: str, args: list[str], now: float) -> str:
    """What `tool` prints."""
    began = max(0.0, bmc.installer.since)
    out = []
    for after_s, message in _lines(bmc):
        at = began + after_s
        if at > now:
            break
        if tool == "journalctl":
            stamp = (bmc.epoch + timedelta(seconds=int(at))).strftime("%Y-%m-%dT%H:%M:%S+0000")
            out.append(f"{stamp} {bmc.spec.name} kernel: {message}")
        elif "--raw" in args or "-r" in args:
            out.append(f"<{4 if 'NVRM' in message else 6}>[{after_s:12.6f}] {message}")
        else:
            out.append(f"[{after_s:12.6f}] {message}")
    return "\n".join(out) + "\n"


def _lines(bmc: "Bmc") -> list[tuple[float, str]]:
    lines = [
        (0.0, "Linux version 5.15.0-185-generic (buildd@lcy02-amd64-032) (gcc 11.4.0) #195-Ubuntu SMP"),
        (0.1, f"DMI: {bmc.spec.model}"),
        (5.4, "nvidia: loading out-of-tree module taints kernel."),
        (6.2, "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024"),
    ]
    lines += [(7.0 + gpu.index / 10, f"nvidia {gpu.bus_id[4:].lower()}: enabling device") for gpu in gpus_of(bmc)]
    if (xid := xid_of(bmc)) is not None and bmc.box.gpus is not None:
        code, index = xid
        bus = f"0000:{0x1B + 0x17 * index:02x}:00"
        lines.append((30.0, f"NVRM: Xid (PCI:{bus}): {code}, {_XID_TEXTS.get(code, 'pid=1234, name=python')}"))
    return lines
