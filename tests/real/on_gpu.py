"""Burn-in's commands and judgements on a machine with a real GPU: `python tests/real/on_gpu.py`, where the driver is installed.

It runs what the step runs, by this shell in place of SSH, and prints what the step would have believed: idle, under load, and where eight
GPUs are expected. Tools that are not installed have to end UNJUDGED, never PASS.
"""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playbooks.burnin.judging import argv, judge, overall
from playbooks.burnin.profile import ORDER, BurninProfile
from playbooks.burnin.verdict import Judged

_LOAD_S = 25
_LOAD = f"""
import time, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
end = time.monotonic() + {_LOAD_S}
while time.monotonic() < end:
    a @ a
torch.cuda.synchronize()
"""


def profile(gpus: int) -> BurninProfile:
    """Every test that there is."""
    return BurninProfile(
        name=f"{gpus}-gpu",
        gpus=gpus,
        timeout_s=dict.fromkeys(ORDER, 60),
        minimum_gbps={"host_to_device_memcpy_ce": 48.0},
        spread_percent=2.0,
        worse_percent=3.0,
    )


def ran(test: str, of: BurninProfile, addresses: dict[str, int]) -> Judged:
    """One test, as the step judges it."""
    command = argv(test, of)
    try:
        done = subprocess.run(command, capture_output=True, timeout=of.timeout_s[test], check=False)
    except FileNotFoundError:
        return judge(test, of, b"", 127, addresses)
    except subprocess.TimeoutExpired:
        return judge(test, of, b"", None, addresses)
    return judge(test, of, done.stdout, done.returncode, addresses)


def show(title: str, of: BurninProfile) -> None:
    """All tests of a profile."""
    results: list[Judged] = []
    addresses: dict[str, int] = {}
    for test in of.tests:
        one = ran(test, of, addresses)
        addresses = addresses or dict(one.addresses)
        results.append(one)
    print(f"{title}: {overall(of, results)}")  # noqa: T201 (a report)
    for one in results:
        for finding in one.findings or ():
            print(f"  {one.test}: {one.verdict}: {finding}"[:300])  # noqa: T201 (a report)
        if not one.findings:
            print(f"  {one.test}: {one.verdict}")  # noqa: T201 (a report)


def main() -> None:
    """Print what was seen."""
    named = ["nvidia-smi", "--query-gpu=name,driver_version,power.draw,clocks.sm", "--format=csv,noheader"]
    print(subprocess.run(named, capture_output=True, text=True, check=False).stdout.strip())  # noqa: T201 (a report)
    one = profile(1)
    show("idle, one GPU expected", one)
    smi = replace(one, timeout_s={"nvidia-smi": 60})
    show("idle, nvidia-smi alone", smi)
    with subprocess.Popen([sys.executable, "-c", _LOAD]) as load:
        time.sleep(_LOAD_S * 0.6)
        print(subprocess.run(named, capture_output=True, text=True, check=False).stdout.strip())  # noqa: T201 (a report)
        show("under load, nvidia-smi alone", smi)
        load.wait()
    show("eight GPUs expected", replace(profile(8), timeout_s={"nvidia-smi": 60}))


if __name__ == "__main__":
    main()
