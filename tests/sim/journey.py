"""A hall with switches, PDUs and an image server, for tests of everything that is not a BMC."""

import asyncio
import itertools
import json
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import asyncssh
from aiohttp import web
from hall_client import PASSWORD, Client

from fleet.sim.faults import read_faults
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.layout import read_layout

_NUMBERS = itertools.count(1)


def document(*models: str, **more: Any) -> dict[str, Any]:
    """Boxes gpu1, gpu2 ... in one rack with one leaf per platform and two PDUs, at addresses of this test's own."""
    first, number = 40 + os.getpid() % 115, next(_NUMBERS)
    boxes = [
        {"name": f"gpu{n}", "model": model, "slot": n, "feeds": ["A", "B"], "address": f"127.{first}.{number}.{n}"}
        | more.get("box", {})
        for n, model in enumerate(models, 1)
    ]
    leaves = [("leaf1", "arista_eos", "Ethernet{}"), ("leaf2", "cumulus_linux", "swp{}")]
    return {
        "boxes": boxes,
        "switches": [
            {"name": name, "platform": platform, "address": f"127.{first}.{number}.{n}", **more.get("switch", {})}
            for n, (name, platform, _) in enumerate(leaves, 201)
        ],
        "pdus": [
            {"name": "pdu-A", "feed": "A", "address": f"127.{first}.{number}.221", "model": "raritan-px"},
            {"name": "pdu-B", "feed": "B", "address": f"127.{first}.{number}.222", "model": "apc-rpdu2"},
        ],
        "links": [
            {"a": f"{box['name']}:eth{n}", "b": f"{name}:{pattern.format(box['slot'])}"}
            for box in boxes
            for n, (name, _, pattern) in enumerate(leaves)
        ],
        "breakers": more.get("breakers", []),
    }


class Journey:
    """A running hall, and ways to reach its parts that share no code with the product."""

    def __init__(self, hall: Hall, directory: Path, http: aiohttp.ClientSession) -> None:
        self.hall = hall
        self.http = http
        self.doc: dict[str, Any] = json.loads((directory / "hall.json").read_text())

    def bmc(self, node: str) -> Client:
        """A Redfish client, not logged in."""
        return Client(self.hall, node, self.http)

    async def node_where(self, good: Callable[[Any], Any], node: str = "gpu1") -> Any:
        """The truth about a node once it is good; requests to its BMC pace the looking."""
        client = self.bmc(node)

        async def look() -> Any:
            await client.log_in_quietly()
            return self.truth()["nodes"][node]

        return await client.until(look, good)

    def truth(self) -> Any:
        """The ground truth, as a reader of the socket gets it."""
        return json.loads(json.dumps(self.hall._truth.document()))

    def ssh(self, node: str, host_key: str = "") -> Any:
        """A connection to the OS of a node, whose host key must be this one."""
        host = self.doc["hosts"][node]
        known = f"[{host['address']}]:{host['port']} {host_key or host['host_key']}\n"
        return asyncssh.connect(
            host["address"],
            host["port"],
            username=host["user"],
            client_keys=[self.doc["host_client_key"]],
            known_hosts=asyncssh.import_known_hosts(known),
            config=None,
            agent_path=None,
        )

    def secret(self, kind: str, name: str, key: str) -> str:
        """The text in a file that hall.json names."""
        return Path(self.doc[kind][name][key]).read_text()


Open = Callable[..., Awaitable[Journey]]


async def open_journey(
    stack: Any, directory: Path, raw: dict[str, Any], *, rules: list[dict[str, Any]], speed: float
) -> Journey:
    """Start a hall on `stack`."""
    layout = read_layout(raw, "test")
    spec = HallSpec(
        boxes=layout.boxes,
        switches=layout.switches,
        pdus=layout.pdus,
        links=layout.links,
        breakers=layout.breakers,
        directory=directory,
        speed=speed,
        faults=read_faults({"faults": "test", "rules": rules}, "test"),
        password=PASSWORD,
    )
    hall = await stack.enter_async_context(Hall(spec))
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=directory / "ca.pem"))
    return Journey(hall, directory, await stack.enter_async_context(aiohttp.ClientSession(connector=connector)))


class ImageServer:
    """Serves one image with ranges, and hears phone-homes."""

    def __init__(self, image: Path) -> None:
        self.image = image
        self.ranges: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.called = asyncio.Event()
        """Set when somebody has phoned home."""
        self.base = ""
        app = web.Application()
        app.router.add_get("/{name}", self._get)
        app.router.add_post("/phone-home", self._post)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.base = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]  # the site is started
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range", ""))
        return web.FileResponse(self.image)

    async def _post(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        self.called.set()
        return web.Response(status=204)
