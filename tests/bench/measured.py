"""What a command costs: wall, CPU of its whole process tree, peak memory of the tree. Only standard rusage and psutil."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are not among the dev tools

_SAMPLE_S = 0.5
_MEBI = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took."""

    command: str
    exit_code: int
    """Negative: the signal that ended it."""
    wall_s: float
    cpu_s: float
    """User and system time of the process and of every descendant that was waited for (wait4)."""
    peak_rss_mib: float
    """Largest sum of resident memory over the tree, sampled twice a second; pages that processes share count once for each."""
    biggest_rss_mib: float
    """Largest resident memory of any one process of the tree, as the kernel recorded it."""


def measure(
    command: Sequence[str | Path], *, log: Path, limit_s: float, extra_env: Mapping[str, str] | None = None
) -> Cost:
    """Run `command` to its end, or kill its process group after `limit_s`; what it prints goes to `log`."""
    words = [str(word) for word in command]
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            words, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=_env(extra_env), process_group=0
        )
        watch = _TreeWatch(process.pid)
        timer = threading.Timer(limit_s, os.killpg, (process.pid, 9))
        timer.start()
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        watch.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    kernel_mib = usage.ru_maxrss / 1024
    return Cost(
        command=" ".join(words),
        exit_code=process.returncode,
        wall_s=time.monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_rss_mib=max(watch.peak_bytes / _MEBI, kernel_mib),
        biggest_rss_mib=kernel_mib,
    )


def _env(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment without proxies: every address here is loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | dict(extra or {})


class _TreeWatch(threading.Thread):
    """Sums the resident memory of a process and its descendants until it is stopped."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        """Sample."""
        while not self._over.wait(_SAMPLE_S):
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(self._pid))

    def stop(self) -> None:
        """The tree is gone."""
        self._over.set()
        self.join()


def _tree_bytes(pid: int) -> int:
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.Error:  # ended since it was listed
            continue
    return total
