"""One box without a transport, and a clock that the test moves by hand."""

import json
from typing import Any

from fleet.sim.bmc import Bmc, BoxSpec
from fleet.sim.boxmodel import load_box
from fleet.sim.clock import HandClock
from fleet.sim.faults import read_faults
from fleet.sim.message import Answer, Request
from fleet.sim.package import Component, Device, package_bytes

HGX = ["/redfish/v1/UpdateService/FirmwareInventory/HGX_0"]
DGX_RESET = "/redfish/v1/Systems/DGX/Actions/ComputerSystem.Reset"
BMC_RESET = "/redfish/v1/Managers/BMC/Actions/Manager.Reset"
BOUNDARY = b"--frontier"


class Bench:
    """One box, one clock."""

    def __init__(self, model: str, rules: list[dict[str, Any]] | None = None, **more: Any) -> None:
        faults = read_faults({"faults": "test", "rules": rules or []}, "test")
        spec = BoxSpec(name="n1", model=model, serial="S1", uuid="12345678-1234-1234-1234-123456789abc", **more)
        self.clock = HandClock()
        self.bmc = Bmc(spec, load_box(model), user="admin", password="p", faults=faults)
        self.token = ""
        self.log_in()

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """What the BMC answers now."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"X-Auth-Token": self.token} | (headers or {})
        request = Request(method=method, path=path, headers=fields, body=raw, body_size=len(raw))
        return self.bmc.answer(request, self.clock.now())

    def get(self, path: str) -> Any:
        """The JSON of a resource."""
        return json.loads(self.ask("GET", path).body)

    def log_in(self) -> None:
        """Open a session and use it from now on."""
        answer = self.ask("POST", "/redfish/v1/SessionService/Sessions", {"UserName": "admin", "Password": "p"})
        self.token = dict(answer.headers)["X-Auth-Token"]

    def push(self, bundle: str, components: dict[int, str], targets: list[str]) -> Answer:
        """Upload a package with these identifiers and versions as multipart."""
        fits = self.bmc.box.bundles[bundle]
        images = [
            Component(identifier=number, version=version, size_bytes=64) for number, version in components.items()
        ]
        data = package_bytes(components=images, devices=[Device(iana=fits.iana, sku=fits.sku)], version="1")
        head = b"\r\nContent-Disposition: form-data; name=%s\r\n\r\n"
        parameters = json.dumps({"Targets": targets}).encode()
        body = BOUNDARY + head % b'"UpdateParameters"' + parameters + b"\r\n" + BOUNDARY + head % b'"UpdateFile"' + data
        kind = {"Content-Type": "multipart/form-data; boundary=frontier"}
        return self.ask("POST", self.bmc.box.update.multipart, body + b"\r\n" + BOUNDARY + b"--\r\n", kind)

    def wait(self, sim_s: float) -> None:
        """Let simulated time pass."""
        self.bmc.link(self.clock.advance(sim_s))

    def reset(self, kind: str) -> None:
        """Reset the DGX host."""
        assert self.ask("POST", DGX_RESET, {"ResetType": kind}).status in {202, 204}

    def item(self, name: str) -> Any:
        """The truth about one inventory item."""
        return self.bmc.truth()["items"][name]
