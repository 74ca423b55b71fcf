"""What a BMC tells beside its firmware: settings that a flash may reset (field guide F38), sensors, and the parts of the machine.

Faults strike after the first restart of the BMC, as a flash that goes wrong does: `settings-reset` puts the settings back to what
the factory gave and deletes the users that were added, `gpu-lost-lanes` lets a GPU come up with fewer lanes, `device-missing`
takes a device away.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from fleet.sim.boxmodel import ROOT
from fleet.sim.draw import Draw
from fleet.sim.faults import Effect
from fleet.sim.message import Answer, answer, collection, encode

if TYPE_CHECKING:
    from fleet.sim.bmc import Bmc

_BASEBOARD = f"{ROOT}/Systems/HGX_"
_NTP = ("10.20.0.1", "10.20.0.2")
_BOOT_ORDER = ("Boot0003", "Boot0001", "Boot0000")
_POLICY = "LastState"
_CPUS, _DIMMS, _NICS, _LANES = 2, 4, 2, 16
_SENSORS = (
    "Inlet_Temp",
    "Outlet_Temp",
    "CPU0_Temp",
    "CPU1_Temp",
    "Fan0_Speed",
    "Fan1_Speed",
    "PSU0_Power",
    "PSU1_Power",
)
_TASTES = ("AlwaysOn", "AlwaysOff", "LastState")


class Fittings:
    """Of one box. They outlive its restarts, but for what a fault resets."""

    def __init__(self, bmc: "Bmc") -> None:
        self._bmc = bmc
        box = bmc.box
        self._system = next(
            (at.partition("/Actions/")[0] for at, does in box.actions.items() if does == "host-reset"), ""
        )
        self._manager = next(
            (at.partition("/Actions/")[0] for at, does in box.actions.items() if does == "bmc-reset"), ""
        )
        chassis = (
            at for at in box.resources if at.startswith(f"{ROOT}/Chassis/") and at.count("/") == ROOT.count("/") + 2
        )
        self._chassis = next(chassis, "")
        self.draw = Draw(bmc, self._chassis)
        self._board = self._baseboard()
        self._swapped: dict[str, int] = {}
        """Part -> how often it was replaced."""
        self.ntp: tuple[str, ...] = _NTP
        declared = box.resources[self._system].render(lambda *_: None) if self._system in box.resources else b"{}"
        factory = json.loads(declared).get("PowerRestorePolicy")
        self._shows_policy = factory is not None
        """Dell, HPE, Lenovo and Supermicro keep it as a BIOS or OEM attribute (field guide 2.1)."""
        self.policy: str = factory or _POLICY
        self.boot_order: tuple[str, ...] = _BOOT_ORDER
        self._dressed: dict[str, tuple[tuple[bytes, str, tuple[str, ...]], bytes]] = {}
        """Path -> what the last body there was made of, and that body."""

    def restarted(self) -> None:
        """The BMC comes up; its new firmware may not have kept its settings."""
        if self._bmc.faults.take(Effect.SETTINGS_RESET):
            self.ntp, self.boot_order = (), tuple(sorted(_BOOT_ORDER))
            self.policy = "AlwaysOff" if self._shows_policy else self.policy
            self._bmc.sessions.accounts.reset(self._bmc.sessions.accounts.first.password)

    def swap(self, part: str) -> None:
        """A technician replaces a part: the new one has another serial number."""
        self._swapped[part] = self._swapped.get(part, 0) + 1

    def truth(self) -> dict[str, Any]:
        """For the ground truth."""
        return {"ntp": list(self.ntp), "restore_policy": self.policy, "boot_order": list(self.boot_order)}

    def comes_on(self, *, was_on: bool) -> bool:
        """Whether the host comes on when AC returns (ComputerSystem.PowerRestorePolicy)."""
        return {"AlwaysOn": True, "AlwaysOff": False}.get(self.policy, was_on)

    def get(self, path: str, now: float) -> Answer | None:
        """The resource at `path`; None if it is none of these."""
        parent, _, last = path.rpartition("/")
        if shown := self.draw.get(path, now):
            return answer(200, shown)
        if path == f"{self._manager}/NetworkProtocol":
            return answer(200, self._network_protocol())
        members = self._members(path, now)
        if members is not None:
            return answer(200, _collection(path, [each["@odata.id"] for each in members]))
        found = next((each for each in self._members(parent, now) or () if each["Id"] == last), None)
        return None if found is None else answer(200, found)

    def dressed(self, path: str, body: bytes) -> bytes:
        """The body of one of the box's own resources, with the links to these and the settings that stand in it."""
        if path not in {self._system, self._manager, self._chassis, self._board} - {""}:
            return body
        key = (body, self.policy, self.boot_order)
        last = self._dressed.get(path)
        if last is None or last[0] != key:  # who waits for a state asks again and again, and nothing has changed
            last = self._dressed[path] = (key, self._dress(path, body))
        return last[1]

    def _dress(self, path: str, body: bytes) -> bytes:
        document = json.loads(body)
        if path == self._board:
            document |= _links(path, "Processors")
        elif path == self._system:
            document |= ({"PowerRestorePolicy": self.policy} if self._shows_policy else {}) | _links(
                path, "Processors", "Memory"
            )
            document["Boot"] = document.get("Boot", {}) | {"BootOrder": list(self.boot_order)}
        elif path == self._manager:
            document |= _links(path, "NetworkProtocol")
        else:
            document |= _links(path, "Sensors", "PCIeDevices") | self.draw.links()
        return encode(document)

    def settable(self, path: str) -> bool:
        """Whether something at `path` may be changed."""
        return path in {self._system, f"{self._manager}/NetworkProtocol"}

    def patch(self, path: str, said: dict[str, Any]) -> Answer | None:
        """Change one of the settings; None if nothing of it is known here."""
        if path == f"{self._manager}/NetworkProtocol" and isinstance(said.get("NTP"), dict):
            servers = said["NTP"].get("NTPServers", [])
            if said["NTP"].get("ProtocolEnabled", True):
                self.ntp = _patched(self.ntp, servers if isinstance(servers, list) else [])
            else:
                self.ntp = ()
            return Answer(status=204)
        if path == self._system and self._shows_policy and said.get("PowerRestorePolicy") in _TASTES:
            self.policy = said["PowerRestorePolicy"]
            return Answer(status=204)
        order = said["Boot"].get("BootOrder") if path == self._system and isinstance(said.get("Boot"), dict) else None
        if isinstance(order, list) and sorted(order) == sorted(_BOOT_ORDER):
            self.boot_order = tuple(order)
            return Answer(status=204)
        return None

    def _members(self, path: str, now: float) -> list[dict[str, Any]] | None:
        match path:
            case _ if self._system and path == f"{self._system}/Processors":
                return self._cpus(path)
            case _ if self._board and path == f"{self._board}/Processors":
                return self._gpus(path)
            case _ if self._system and path == f"{self._system}/Memory":
                return [_dimm(path, number, self._serial(f"dimm{number}")) for number in range(_DIMMS)]
            case _ if self._chassis and path == f"{self._chassis}/PCIeDevices":
                return self._devices(path)
            case _ if self._chassis and path == f"{self._chassis}/Sensors":
                return [_sensor(path, name) for name in _SENSORS] + self._power_sensor(path, now)
        return None

    def _power_sensor(self, path: str, now: float) -> list[dict[str, Any]]:
        """The one that shows what the machine draws; without a reading where that is missing."""
        found = self.draw.sensor(now)
        if found is None:
            return []
        name, watts = found
        told = _sensor(path, name) | {"ReadingType": "Power", "Reading": watts}
        return [{key: value for key, value in told.items() if value is not None}]

    def _network_protocol(self) -> dict[str, Any]:
        return {
            "@odata.id": f"{self._manager}/NetworkProtocol",
            "@odata.type": "#ManagerNetworkProtocol.v1_5_0.ManagerNetworkProtocol",
            "Id": "NetworkProtocol",
            "Name": "Manager Network Protocol",
            "HostName": self._bmc.spec.name,
            "NTP": {"ProtocolEnabled": bool(self.ntp), "NTPServers": list(self.ntp)},
            "HTTPS": {"ProtocolEnabled": True, "Port": 443},
            "SSH": {"ProtocolEnabled": True, "Port": 22},
            "Status": {"State": "Enabled", "Health": "OK"},
        }

    def _baseboard(self) -> str:
        """The "system" beside the host that holds the GPUs, on boxes that show one (captured DGX H100; field guide 5)."""
        beside = (
            at for at in self._bmc.box.resources if at.startswith(_BASEBOARD) and at.count("/") == _BASEBOARD.count("/")
        )
        return next(beside, "")

    def _cpus(self, path: str) -> list[dict[str, Any]]:
        return [self._processor(path, f"CPU_{number}", "CPU", "Processor") for number in range(_CPUS)]

    def _gpus(self, path: str) -> list[dict[str, Any]]:
        """Called as their firmware is: GPU_SXM_1 has HGX_FW_GPU_SXM_1."""
        gpus = self._bmc.box.gpus
        if gpus is None:
            return []
        names = [
            gpus.part.format(number)[gpus.part.find("GPU") :] for number in range(gpus.first, gpus.first + gpus.count)
        ]
        return [self._processor(path, name, "GPU", gpus.product) for name in names]

    def _processor(self, path: str, name: str, kind: str, model: str) -> dict[str, Any]:
        return {
            "@odata.id": f"{path}/{name}",
            "@odata.type": "#Processor.v1_11_0.Processor",
            "Id": name,
            "Name": name,
            "ProcessorType": kind,
            "Model": model,
            "SerialNumber": self._serial(name),
            "Status": {"State": "Enabled", "Health": "OK"},
        }

    def _devices(self, path: str) -> list[dict[str, Any]]:
        gpus = self._bmc.box.gpus
        names = [f"GPU_{number}" for number in range(gpus.count if gpus else 0)] + [f"NIC_{at}" for at in range(_NICS)]
        lost, narrow = self._struck(Effect.DEVICE_MISSING, "NIC_1"), self._struck(Effect.GPU_LOST_LANES, "GPU_0")
        return [
            _device(path, name, self._serial(name), _LANES // 2 if name == narrow else _LANES)
            for name in names
            if name != lost
        ]

    def _struck(self, effect: Effect, otherwise: str) -> str:
        """The device that a fault has hit since the BMC restarted; empty: none."""
        restarted = any(reset["what"] == "bmc" for reset in self._bmc.ledger.resets)
        rule = self._bmc.faults.peek(effect) if restarted else None
        return "" if rule is None else rule.text("device", otherwise)

    def _serial(self, name: str) -> str:
        swapped = self._swapped.get(name, 0)
        which = f"{self._bmc.spec.name}/{name}" + (f" {swapped}" if swapped else "")
        return hashlib.sha256(which.encode()).hexdigest()[:12].upper()


def _patched(kept: tuple[str, ...], said: list[Any]) -> tuple[str, ...]:
    """An array after PATCH: ``{}`` leaves an element, null removes it, a shorter one truncates (DSP0266, PATCH)."""
    old = [*kept, *(None for _ in said)]
    new = [before if each == {} else each for before, each in zip(old, said, strict=False)]
    return tuple(str(each) for each in new if each)


def _links(path: str, *names: str) -> dict[str, Any]:
    return {name: {"@odata.id": f"{path}/{name}"} for name in names}


def _collection(path: str, members: list[str]) -> dict[str, Any]:
    kind = {"Processors": "Processor", "PCIeDevices": "PCIeDevice", "Sensors": "Sensor"}.get(
        path.rpartition("/")[2], "Memory"
    )
    return collection(path, kind, f"{kind} Collection", members)


def _dimm(path: str, number: int, serial: str) -> dict[str, Any]:
    return {
        "@odata.id": f"{path}/DIMM_{number}",
        "@odata.type": "#Memory.v1_9_0.Memory",
        "Id": f"DIMM_{number}",
        "Name": f"DIMM {number}",
        "CapacityMiB": 65536,
        "SerialNumber": serial,
        "Status": {"State": "Enabled", "Health": "OK"},
    }


def _device(path: str, name: str, serial: str, lanes: int) -> dict[str, Any]:
    return {
        "@odata.id": f"{path}/{name}",
        "@odata.type": "#PCIeDevice.v1_5_0.PCIeDevice",
        "Id": name,
        "Name": name,
        "DeviceType": "SingleFunction",
        "SerialNumber": serial,
        "PCIeInterface": {"PCIeType": "Gen5", "MaxPCIeType": "Gen5", "LanesInUse": lanes, "MaxLanes": _LANES},
        "Status": {"State": "Enabled", "Health": "OK"},
    }


def _sensor(path: str, name: str) -> dict[str, Any]:
    return {
        "@odata.id": f"{path}/{name}",
        "@odata.type": "#Sensor.v1_2_0.Sensor",
        "Id": name,
        "Name": name,
        "Reading": 40,
        "Status": {"State": "Enabled", "Health": "OK"},
    }
