"""Real machines, as captured: discovered, classified and observed without touching anything."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bmc_stand_in import SESSIONS, Certificate, MemoryLedger, Seen, error, reply, serving, session_reply

from fleet.drivers.redfish import RedfishDriver
from fleet.ports import PowerState, TellsCondition
from fleet.profile import Trust
from fleet.vendors import classify
from inventory.baseline import Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known of a captured machine, read from its files by eye."""

    tree: str
    profile: str
    serial: str
    bios: str
    bmc: str
    items: int
    components: dict[str, set[str]]
    offers: set[Activation]


RESETS = {Activation.BMC_RESET, Activation.WARM_RESET, Activation.DC_CYCLE}
MACHINES = [
    Machine(
        tree="nvidia-dgx-h100",
        profile="dgx-h100",
        serial="1662923610124",
        bios="1.1.3",
        bmc="23.11.20",
        items=66,
        components={
            "bmc": {"HostBMC_0 23.11.21"},
            "bios": {"HostBIOS_0 01.01.03"},
            "hgx": {"HGX_FW_GPU_SXM_8 96.00.89.00.01", "HGX_FW_FPGA_0 2.37"},
        },
        offers=RESETS,
    ),
    Machine(
        tree="supermicro-821ge-8xh100",
        profile="supermicro-hgx",
        serial="S889914X3710910",
        bios="1.4",
        bmc="11.01.01",
        items=106,
        components={
            "bmc": {"BMC 11.01.01"},
            "bios": {"BIOS BIOS Date: 08/04/2023 Ver 1.4"},
            "hgx": {"HGX_FW_GPU_SXM_1 96.00.61.00.01"},
        },
        offers=RESETS | {Activation.AC_CYCLE},
    ),
    Machine(
        tree="dell-r750-idrac9",
        profile="dell-idrac9",
        serial="F54P1G3",
        bios="1.8.2",
        bmc="6.00.30.00",
        items=21,
        components={
            "bmc": {"Installed-25227-6.00.30.00__iDRAC.Embedded.1-1 6.00.30.00"},
            "bios": {"Installed-159-1.8.2__BIOS.Setup.1-1 1.8.2"},
        },
        offers=RESETS,
    ),
    Machine(
        tree="hpe-dl385-ilo5",
        profile="hpe-ilo5",
        serial="MXQ302099S",
        bios="A42 v2.60 (08/11/2022)",
        bmc="iLO 5 v2.72",
        items=48,
        components={"bmc": {"iLO 5 2.72 Sep 04 2022"}, "bios": {"System ROM A42 v2.60 (08/11/2022)"}},
        offers=RESETS | {Activation.AC_CYCLE},
    ),
]


class Tree:
    """A captured tree that answers reads, and logins."""

    def __init__(self, root: Path, *, expands: bool) -> None:
        self.root = root
        self.expands = expands

    def __call__(self, seen: Seen) -> web.StreamResponse:
        """Answer one request."""
        if (seen.method, seen.path) == ("POST", SESSIONS):
            return session_reply()
        if (seen.method, seen.path) == ("DELETE", f"{SESSIONS}/1"):
            return web.Response(status=204)
        document = self.read(seen.path)
        if seen.method != "GET" or document is None:
            return error(404, "Base.1.0.ResourceMissingAtURI", f"no {seen.method} {seen.path}")
        if self.expands and "expand" in seen.query:
            document["Members"] = [self.read(member["@odata.id"]) or member for member in document["Members"]]
        return reply(document)

    def read(self, path: str) -> Any:
        """The document at a path, or None."""
        file = self.root / path.strip("/") / "index.json"
        return json.loads(file.read_text()) if file.is_file() else None


@pytest.mark.parametrize("expands", [True, False], ids=["expands", "ignores-expand"])
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.tree)
async def test_a_captured_machine_is_known_and_read(
    machine: Machine,
    *,
    expands: bool,
    trees: Path,
    certificate: Certificate,
    driver: RedfishDriver,
    ledger: MemoryLedger,
) -> None:
    async with serving(certificate, Tree(trees / machine.tree, expands=expands)) as served:
        profile = classify(await driver.discover(served.node(), ledger))
        assert profile.name == machine.profile
        bmc = driver.bmc(served.node(), profile, ledger)
        await bmc.connect()
        before = len(served.seen)
        observed = await bmc.observe()
        requests = len(served.seen) - before
        offers = bmc.offers()
        state = await bmc.power_state()
        ready = await bmc.readiness()
        await bmc.close()

    assert (observed.serial, observed.bios_version, observed.bmc_version) == (machine.serial, machine.bios, machine.bmc)
    assert len(observed.items) == machine.items
    for component, expected in machine.components.items():
        globs = profile.components[component].items
        found = {f"{i.id} {i.version}" for i in observed.items if any(fnmatchcase(i.id, glob) for glob in globs)}
        assert expected <= found
    assert machine.offers == offers - {Activation.AUTOMATIC, Activation.SELF_CONTAINED}
    assert state is PowerState.ON
    assert ready.enabled
    assert not ready.alive
    if expands:
        assert requests <= 6
    assert {path for _, path in served.effects()} == {SESSIONS, f"{SESSIONS}/1"}
    assert served.max_in_flight == 1
    assert not ledger.open_uris


@pytest.mark.parametrize("expands", [True, False], ids=["expands", "ignores-expand"])
@pytest.mark.parametrize(
    ("tree", "part", "serial", "parts"),
    [
        ("nvidia-dgx-h100", "GPU_SXM_1", "1652923003067", 8),
        ("supermicro-821ge-8xh100", "GPU4", "1652323019737", 26),
        ("dell-r750-idrac9", "Video.Slot.2-1", "1654422007043", 1),
        ("hpe-dl385-ilo5", "", "", 0),
    ],
)
async def test_its_condition_is_read_with_few_requests(
    tree: str,
    part: str,
    serial: str,
    parts: int,
    *,
    expands: bool,
    trees: Path,
    certificate: Certificate,
    driver: RedfishDriver,
    ledger: MemoryLedger,
) -> None:
    async with serving(certificate, Tree(trees / tree, expands=expands)) as served:
        bmc = driver.bmc(served.node(), classify(await driver.discover(served.node(), ledger)), ledger)
        await bmc.connect()
        before = len(served.seen)
        assert isinstance(bmc, TellsCondition)
        told = await bmc.condition()
        requests = len(served.seen) - before
        await bmc.close()
    assert told.parts.get(part, "") == serial
    assert len(told.parts) == parts
    assert told.ahead_s is not None
    assert told.ahead_s < 0  # they were captured years ago
    assert not told.media
    assert not told.supplies
    assert not told.obstacles
    assert requests <= (20 if expands else 40)


async def test_every_dgx_task_on_record_is_read(
    trees: Path, certificate: Certificate, driver: RedfishDriver, ledger: MemoryLedger
) -> None:
    """Five of nine recorded resets ended in Exception with status OK: failures, whatever the status says (F05)."""
    async with serving(certificate, Tree(trees / "nvidia-dgx-h100", expands=False)) as served:
        bmc = driver.bmc(served.node(), classify(await driver.discover(served.node(), ledger)), ledger)
        readings = [await bmc.read_task(f"/redfish/v1/TaskService/Tasks/{number}") for number in range(1, 10)]
        unknown = await bmc.read_task("/redfish/v1/TaskService/Tasks/99")
        await bmc.close()

    phases = [reading.phase.value for reading in readings if reading is not None]
    assert phases.count("failed") == 5
    assert phases.count("done") == 4
    assert unknown is None


def test_a_machine_nobody_knows_is_left_alone() -> None:
    from fleet.vendors import Discovery  # noqa: PLC0415 (beside its only use)

    stranger = classify(Discovery(manufacturer="ACME", model="DGXH100", vendor="AMI"))
    assert (stranger.name, stranger.trust) == ("generic", Trust.READ_ONLY)
