"""The operating system of a node as a shell over SSH shows it: a function of command, state and clock."""

import shlex
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fleet.sim import bandwidth, dcgm, kernellog, smi
from fleet.sim.faults import Effect
from fleet.sim.gpus import Gpu, gpus_of
from fleet.sim.host import Power
from fleet.sim.installer import Running

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_BOOT_S = 45.0
"""From the end of POST until sshd answers."""
_SLOW_S = {"nvidia-smi": 1.5, "nvbandwidth": 60.0}
_DIAG_S = {1: 10.0, 2: 120.0, 3: 900.0, 4: 5400.0}
"""dcgmi diag by level: seconds, about 2 min, about 15 min, 45 min and more (rollout-science 2.1)."""
_SHORT_S = 0.1
_NOT_FOUND = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command did."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_status: int | None = 0
    """None: it never ends by itself."""
    lasts_s: float = _SHORT_S


def _said(text: str, **more: Any) -> Ran:
    return Ran(stdout=text.encode(), **more)


def _wrong(text: str, exit_status: int) -> Ran:
    return Ran(stderr=text.encode() + b"\n", exit_status=exit_status)


class NodeOs:
    """The installed OS of one node."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc

    def up(self, now: float) -> bool:
        """Whether sshd answers: power, POST, an OS on the disk that was booted, and no fault."""
        bmc = self._bmc
        return (
            bmc.host.power is Power.ON
            and bmc.installer.running is Running.DISK
            and now >= bmc.installer.since + _BOOT_S
            and not any(rule.effect is Effect.SSH_REFUSED for rule in bmc.faults.rules)
        )

    def truth(self) -> dict[str, Any]:
        """What is installed, as plain data."""
        disk = self._bmc.disk
        return {
            "version_id": disk.version_id or None,
            "installation": disk.installation,
            "machine_id": disk.machine_id or None,
            "host_key": disk.host_key_line or None,
            "up": self._bmc.installer.running is Running.DISK and self._bmc.host.power is Power.ON,
        }

    def run(self, command: str, now: float) -> Ran:
        """Begin `command` at `now`."""
        try:
            argv = shlex.split(command)
        except ValueError as cause:
            return _wrong(f"bash: -c: {cause}", 2)
        while argv and argv[0] in {"sudo", "-n", "env", "LC_ALL=C", "LANG=C"}:
            argv = argv[1:]
        if not argv or any(word in {"|", ";", "&&", "||", ">", "<", "&"} for word in argv):
            return _wrong("bash: the simulated hall runs one plain command", 2)
        tool = argv[0].rpartition("/")[2]
        self._bmc.ledger.commands[tool] += 1
        return self._do(tool, argv[1:], now)

    def _do(self, tool: str, args: list[str], now: float) -> Ran:
        plain = {
            "true": "",
            "hostname": f"{self._bmc.spec.name}\n",
            "uname": "5.15.0-185-generic\n" if args == ["-r"] else "Linux\n",
            "uptime": f"{self._started():%Y-%m-%d %H:%M:%S}\n",
        }
        if tool in plain:
            return _said(plain[tool])
        if tool == "cat":
            return self._cat(args)
        if tool in {"mkdir", "test"}:
            return self._folder(tool, args)
        if tool in {"dmesg", "journalctl"}:
            return _said(kernellog.text(self._bmc, tool, args, now))
        if tool in {"nvidia-smi", "dcgmi", "nvbandwidth"} and self._bmc.box.gpus is not None:
            return self._gpu_tool(tool, args, gpus_of(self._bmc), now)
        return _wrong(f"bash: line 1: {tool}: command not found", _NOT_FOUND)

    def _gpu_tool(self, tool: str, args: list[str], gpus: tuple[Gpu, ...], now: float) -> Ran:
        hangs = self._bmc.faults.peek(Effect.TOOL_HANGS)
        if hangs is not None and hangs.text("tool", "dcgmi") == tool:
            self._bmc.faults.take(Effect.TOOL_HANGS)
            return Ran(exit_status=None, lasts_s=float("inf"))
        if tool == "dcgmi":
            return self._busy(self._dcgmi(args, gpus), now)
        if tool == "nvbandwidth":
            return _said(bandwidth.report(self._bmc, gpus, args), lasts_s=_SLOW_S[tool])
        text, status = smi.report(self._bmc, gpus, args)
        return _said(text, exit_status=status, lasts_s=_SLOW_S[tool])

    def _busy(self, ran: Ran, now: float) -> Ran:
        """A diag beyond level 1 loads every GPU while it runs."""
        if ran.lasts_s >= _DIAG_S[2]:
            self._bmc.fittings.draw.work(now, now + ran.lasts_s)
        return ran

    def _dcgmi(self, args: list[str], gpus: tuple[Gpu, ...]) -> Ran:
        if args in (["-v"], ["--version"]):
            return _said(dcgm.version(self._bmc))
        level = dcgm.level(args)
        if level is None:
            return _wrong("Error: only dcgmi diag -r 1..4 -j is known here.", 1)
        document, status = dcgm.diag(self._bmc, gpus, level)
        if self._bmc.faults.take(Effect.JSON_TRUNCATED):
            document, status = document[: len(document) // 2], 0
        return _said(document, exit_status=status, lasts_s=_DIAG_S[level])

    def _folder(self, tool: str, args: list[str]) -> Ran:
        """`mkdir -p DIR`, `test -d DIR`: of those that somebody made."""
        folders = self._bmc.disk.folders
        match tool, args:
            case "mkdir", ["-p", str(name)]:
                folders.add(name)
                return Ran()
            case "test", ["-d", str(name)]:
                return Ran(exit_status=0 if name in folders else 1)
        return _wrong(f"{tool}: only mkdir -p DIR and test -d DIR are known here", 2)

    def _cat(self, paths: list[str]) -> Ran:
        out: list[str] = []
        for path in paths:
            text = self._file(path)
            if text is None:
                return Ran(
                    stdout="".join(out).encode(),
                    stderr=f"cat: {path}: No such file or directory\n".encode(),
                    exit_status=1,
                )
            out.append(text)
        return _said("".join(out))

    def _file(self, path: str) -> str | None:
        spec, disk = self._bmc.spec, self._bmc.disk
        files = {
            "/etc/machine-id": f"{disk.machine_id}\n",
            "/etc/hostname": f"{spec.name}\n",
            "/proc/sys/kernel/random/boot_id": f"{self.boot_id}\n",
            "/sys/class/dmi/id/product_serial": f"{spec.serial}\n",
            "/sys/class/dmi/id/product_uuid": f"{spec.uuid}\n",
            "/sys/class/dmi/id/product_name": f"{spec.model}\n",
            "/etc/os-release": (
                f'PRETTY_NAME="Ubuntu {disk.version_id} LTS"\nNAME="Ubuntu"\nVERSION_ID="{disk.version_id}"\n'
                f'VERSION="{disk.version_id} LTS"\nID=ubuntu\nID_LIKE=debian\nHOME_URL="https://www.ubuntu.com/"\n'
            ),
        }
        return files.get(path)

    @property
    def boot_id(self) -> str:
        """Of this start of the kernel."""
        return str(kernellog.boot_id(self._bmc))

    def _started(self) -> Any:
        return self._bmc.epoch + timedelta(seconds=int(max(0.0, self._bmc.installer.since)))
