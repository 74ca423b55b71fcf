"""A Redfish client for tests that shares no code with the product's driver."""

import asyncio
import itertools
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from fleet.sim.bmc import BoxSpec
from fleet.sim.hall import Hall

INVENTORY = "/redfish/v1/UpdateService/FirmwareInventory"
PASSWORD = "correct horse"
_NUMBERS = itertools.count(1)


class Client:
    """One conversation with one BMC over TLS."""

    def __init__(self, hall: Hall, name: str, http: aiohttp.ClientSession) -> None:
        self.hall = hall
        self.bmc = hall.bmcs[name]
        self.name = name
        self.base = f"https://{self.bmc.spec.address}:{self.bmc.spec.port}"
        self.http = http
        self.headers: dict[str, str] = {}

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, body (JSON if it is) and headers."""
        async with self.http.request(method, self.base + path, headers=self.headers, **more) as response:
            text = await response.text()
            body = json.loads(text) if text and response.content_type == "application/json" else text
            return response.status, body, dict(response.headers)

    async def get(self, path: str) -> Any:
        """The JSON of a resource that must be there."""
        status, body, _ = await self.call("GET", path)
        assert status == 200, (path, status, body)
        return body

    async def post(self, path: str, body: Any) -> tuple[int, Any, dict[str, str]]:
        """POST a JSON body."""
        return await self.call("POST", path, json=body)

    async def log_in(self, password: str = PASSWORD) -> int:
        """Open a session; its status."""
        credentials = {"UserName": "admin", "Password": password, "Context": "test"}
        self.headers = {}
        status, _, headers = await self.post("/redfish/v1/SessionService/Sessions", credentials)
        if status == 201:
            self.headers = {"X-Auth-Token": headers["X-Auth-Token"]}
        return status

    async def log_in_quietly(self) -> int:
        """The status of a login; 0 if nobody answers."""
        try:
            return await self.log_in()
        except (aiohttp.ClientError, OSError):
            return 0

    async def push(self, uri: str, parameters: Any, image: bytes) -> tuple[int, Any, dict[str, str]]:
        """Upload an image as multipart."""
        with aiohttp.MultipartWriter("form-data") as form:
            form.append_json(parameters).set_content_disposition("form-data", name="UpdateParameters")
            form.append(image).set_content_disposition("form-data", name="UpdateFile", filename="image.fwpkg")
            return await self.call("POST", uri, data=form)

    async def until(self, look: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]) -> Any:
        """Ask again and again until the answer is good; the BMC's own latency paces it."""
        async with asyncio.timeout(20):
            while True:
                seen = await look()
                if good(seen):
                    return seen

    async def task_end(self, uri: str) -> Any:
        """The task when it has ended."""
        return await self.until(lambda: self.get(uri), lambda task: task["TaskState"] in {"Completed", "Exception"})

    async def versions(self) -> dict[str, str]:
        """Id -> version, from the expanded inventory."""
        listed = await self.get(f"{INVENTORY}?$expand=.($levels=1)")
        return {member["Id"]: member["Version"] for member in listed["Members"]}

    async def back(self) -> None:
        """Wait until the BMC lets us log in again and serves everything."""
        await self.until(self.log_in_quietly, lambda status: status == 201)
        await self.until(self.settled, bool)

    async def settled(self) -> bool:
        """Whether the baseboard is served, too."""
        await self.versions()
        return self.bmc.hmc_ready(self.hall.clock.now())

    async def settled_or_gone(self) -> bool:
        """Whether the BMC still answers us."""
        try:
            return (await self.call("GET", "/redfish/v1/SessionService"))[0] == 200
        except aiohttp.ClientError:
            return False

    def truth(self) -> Any:
        """The ground truth of this box."""
        self.bmc.agenda.advance(self.hall.clock.now())
        return self.bmc.truth()


Start = Callable[..., Awaitable[Client]]


def boxes(*models: str) -> tuple[BoxSpec, ...]:
    """One box per model at addresses of this process's own."""
    made = []
    for model in models:
        number = next(_NUMBERS)
        address = f"127.{40 + os.getpid() % 200}.{number // 250}.{number % 250 + 1}"
        made.append(BoxSpec(name=f"node{number:04d}", model=model, address=address))
    return tuple(made)
