"""A scontrol with one node, as a process: state and mischief in `state.json` beside it. Texts are those of Slurm 22.05."""

import json
import sys
import time
from pathlib import Path

FILE = Path(__file__).with_name("state.json")
SHOWN = """NodeName={name} Arch=x86_64 CoresPerSocket=1 
   CPUAlloc=0 CPUEfctv=1 CPUTot=1 CPULoad=0.85
   OS=Linux 6.18.44 #1 SMP PREEMPT_DYNAMIC @0 
   State={state} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=all 
   ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s
   Comment=State=DOWN
"""  # noqa: W291  as printed


def show(now: dict) -> int:
    if now["runs"] > 0 and "DRAIN" in now["state"]:
        now["runs"] -= 1
        if not now["runs"]:
            now["state"] = "IDLE+DRAIN"
    sys.stdout.write(SHOWN.format(name="gpu0001", state=now["state"]))
    if now["reason"]:
        sys.stdout.write(f"   Reason={now['reason']} [root@2026-11-23T13:41:48]\n")
    return 0


def update(now: dict, wanted: dict[str, str]) -> int:
    now["updates"].append(wanted)
    if wanted["State"] == "DRAIN":
        now["state"], now["reason"] = ("MIXED+DRAIN" if now["runs"] else "IDLE+DRAIN"), wanted["Reason"]
    else:
        now["state"], now["reason"] = "IDLE", ""
    return 0


def main() -> int:
    now = json.loads(FILE.read_text())
    mischief = now["mischief"].pop(0) if now["mischief"] else ""
    verb, name = sys.argv[1], sys.argv[-1] if sys.argv[1] == "show" else sys.argv[2].partition("=")[2]
    status = 0
    FILE.write_text(json.dumps(now))
    if mischief == "flood":
        sys.stdout.write("x" * 1_000_000)
    elif mischief == "hang":
        time.sleep(600)
    elif mischief == "unreachable":
        sys.stderr.write("slurm_load_node error: Unable to contact slurm controller (connect failure)\n")
        status = 1
    elif mischief == "wrapped":
        sys.stderr.write("/usr/local/bin/scontrol: line 3: /opt/slurm/bin/scontrol: not found\n")
        status = 127
    elif mischief == "denied":
        sys.stderr.write("slurm_update error: Access/permission denied\n")
        status = 1
    elif name != "gpu0001":
        sys.stdout.write(f"Node {name} not found\n")
        status = 1
    else:
        status = show(now) if verb == "show" else update(now, dict(word.split("=", 1) for word in sys.argv[2:]))
        if mischief == "done, answer lost":
            sys.stderr.write("slurm_update error: Unable to contact slurm controller (connect failure)\n")
            status = 1
    FILE.write_text(json.dumps(now))
    return status


if __name__ == "__main__":
    sys.exit(main())
