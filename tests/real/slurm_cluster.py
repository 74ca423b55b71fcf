"""A real Slurm on loopback, for one test module: munged, slurmctld and a few slurmd, as processes of the test's own."""

import asyncio
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

TOOLS = ("munged", "slurmctld", "slurmd", "scontrol", "sbatch", "squeue")
NODES = ("gpu0001", "gpu0002", "gpu0003")
_LOGGED = re.compile(r"\[([^\]]+)\] (.*)")
_SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def lacking() -> str:
    """Why there can be no cluster here; empty if there can."""
    if os.getuid() != 0:
        return "slurmd starts work as other users: needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_SBIN) is None]
    return f"not installed: {', '.join(missing)} (tests/real/install.sh)" if missing else ""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A running cluster."""

    directory: Path
    conf: Path
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *argv: str) -> asyncio.subprocess.Process:
        """A daemon in the foreground, its output in a file of its own."""
        with (self.directory / f"{Path(argv[0]).name}-{len(self.processes)}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, env=self.environment(), stdout=log, stderr=log)
        self.processes.append(process)
        return process

    async def run(self, *argv: str) -> str:
        """A command to its end; what it printed."""
        process = await asyncio.create_subprocess_exec(
            *argv, env=self.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        return output.decode()

    def environment(self) -> dict[str, str]:
        """Where this cluster's configuration is."""
        return {"PATH": _SBIN, "LC_ALL": "C", "SLURM_CONF": str(self.conf)}

    async def until(self, good: str, *argv: str) -> str:
        """What the command prints, once `good` is in it; the test's own timeout ends a vain wait."""
        while good not in (said := await self.run(*argv)):
            for process in self.processes:
                if process.returncode is not None:
                    logs = "\n".join(path.read_text()[-2000:] for path in sorted(self.directory.glob("*.log")))
                    raise AssertionError(f"a daemon ended with {process.returncode}\n{logs}")
            await asyncio.sleep(0.2)
        return said

    async def submit(self, node: str, script: str) -> str:
        """Work on one node; its number."""
        path = self.directory / f"work-{secrets.token_hex(4)}.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        said = await self.run(
            "sbatch", "--parsable", "-w", node, "-D", str(self.directory), "-o", "/dev/null", str(path)
        )
        assert said.strip().isdigit(), said
        return said.strip()

    async def stop_controller(self) -> None:
        """End slurmctld as its service would: it keeps its state."""
        controller = self.processes.pop(1)
        controller.terminate()
        await controller.wait()

    async def start_controller(self) -> None:
        """Start slurmctld; it goes on from what it kept. It is the second process from then on, as before."""
        started = await self.start("slurmctld", "-D", "-f", str(self.conf))
        self.processes.remove(started)
        self.processes.insert(1, started)

    async def states(self, node: str) -> set[str]:
        """Base state and flags of a node: IDLE, ALLOCATED, DRAIN ..."""
        said = await self.run("scontrol", "show", "node", node)
        found = re.search(r"^ +State=(\S+)", said, re.MULTILINE)
        assert found, said
        return set(found.group(1).split("+"))

    async def reason(self, node: str) -> str:
        """Why it is held, as it was given; empty where nobody gave a reason."""
        said = await self.run("scontrol", "show", "node", node)
        found = re.search(r"^ +Reason=(.*) \[\w+@[^]]*\]$", said, re.MULTILINE)
        return found.group(1) if found else ""

    def wrote(self, about: str) -> list[tuple[float, str]]:
        """What slurmctld wrote into its own log with these words in it: epoch seconds and message, oldest first."""
        lines = [_LOGGED.fullmatch(line) for line in (self.directory / "slurmctld.log").read_text().splitlines()]
        told = [(line.group(1), line.group(2)) for line in lines if line]
        return [(datetime.fromisoformat(at).timestamp(), text) for at, text in told if about in text]


@asynccontextmanager
async def cluster(directory: Path, nodes: tuple[str, ...] = NODES) -> AsyncIterator[Cluster]:
    """Start one; stop every process of it at the end."""
    made = Cluster(directory=directory, conf=_configure(directory, nodes))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_stop, made)
        # Paths of Unix sockets are short (108 bytes), those of pytest are not.
        munge = directory / "munge"
        munge.mkdir(mode=0o755)
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        await made.start(
            "munged", "--foreground", f"--key-file={key}", f"--socket={_socket(directory)}",
            f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}",
            "--force",
        )  # fmt: skip
        await made.until(
            "Success (0)", "sh", "-c", f"munge -S {_socket(directory)} -n | unmunge -S {_socket(directory)}"
        )
        await made.start_controller()
        for node in nodes:
            await made.start("slurmd", "-D", "-N", node, "-f", str(made.conf))
        for node in nodes:
            await made.until("State=IDLE ", "scontrol", "show", "node", node)
        yield made


def _socket(directory: Path) -> Path:
    own = hashlib.sha256(str(directory).encode()).hexdigest()[:16]  # several runs share this machine
    return Path("/tmp") / f"fw-munge-{own}.sock"  # noqa: S108  a short path; removed at the end


def _configure(directory: Path, names: tuple[str, ...]) -> Path:
    controller, *ports = free_ports(1 + len(names))
    nodes = [
        f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs=1"
        for name, port in zip(names, ports, strict=True)
    ]
    lines = [
        "ClusterName=real",
        f"SlurmctldHost={socket.gethostname()}(127.0.0.1)",
        f"SlurmctldPort={controller}",
        "CommunicationParameters=NoInAddrAny",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={_socket(directory)}",
        "CryptoType=crypto/munge",
        f"StateSaveLocation={directory / 'state'}",
        f"SlurmdSpoolDir={directory / 'spool-%n'}",
        f"SlurmctldPidFile={directory / 'slurmctld.pid'}",
        f"SlurmdPidFile={directory / 'slurmd-%n.pid'}",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "JobAcctGatherType=jobacct_gather/none",
        "AccountingStorageType=accounting_storage/none",
        "SwitchType=switch/none",
        "MpiDefault=none",
        "SelectType=select/cons_tres",
        "SchedulerType=sched/builtin",
        "ReturnToService=0",
        f"SlurmctldLogFile={directory / 'slurmctld.log'}",
        "SlurmctldDebug=verbose",
        "LogTimeFormat=iso8601_ms",
        *nodes,
        f"PartitionName=all Nodes={','.join(names)} Default=YES State=UP",
    ]
    directory.chmod(0o755)
    (directory / "state").mkdir()
    conf = directory / "slurm.conf"
    conf.write_text("\n".join(lines) + "\n")
    return conf


async def _stop(made: Cluster) -> None:
    if len(made.processes) > 1 and made.processes[1].returncode is None:
        # Or its steps outlive the daemons, for they have nobody to report to.
        await made.run("scancel", "--full", "--signal=KILL", "--user=root")
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                while "RUNNING" in await made.run("squeue", "--noheader", "--states=all", "--Format=State"):
                    continue
                while "COMPLETING" in await made.run("scontrol", "show", "nodes"):
                    continue
    for process in reversed(made.processes):
        if process.returncode is None:
            process.terminate()
    for process in made.processes:
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    _forget_sockets(made.directory)


def _forget_sockets(directory: Path) -> None:
    for suffix in ("", ".lock"):
        Path(f"{_socket(directory)}{suffix}").unlink(missing_ok=True)
