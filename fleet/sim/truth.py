"""The ground truth over a Unix socket: only tests and the report read it."""

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from fleet.sim.hall import Hall


class TruthServer:
    """GET /truth, POST /ac?node=NAME, POST /breaker?name=NAME, POST /repair?node=NAME&part=PART&version=OLD, POST /quit."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self._runner: web.AppRunner | None = None
        self._path: Path | None = None

    async def open(self, path: Path) -> None:
        """Listen on the Unix socket `path`; a socket left there by a dead hall is replaced."""
        app = web.Application()
        app.router.add_get("/truth", self._get)
        app.router.add_post("/ac", self._ac)
        app.router.add_post("/breaker", self._breaker)
        app.router.add_post("/repair", self._repair)
        app.router.add_post("/quit", self._quit)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        _clear(path)
        await web.UnixSite(self._runner, str(path)).start()
        self._path = path

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def document(self) -> dict[str, Any]:
        """The whole truth, as plain data."""
        now = self._hall.clock.now()
        nodes = {}
        requests = 0
        for name, bmc in self._hall.bmcs.items():
            self._hall.faces[name].look()
            nodes[name] = bmc.truth()
            requests += bmc.ledger.requests
        around = {} if self._hall.around is None else self._hall.around.truth(now)
        return {"now": now, "nodes": nodes, **around, "process": _process() | {"requests": requests}}

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response(self.document())

    async def _ac(self, request: web.Request) -> web.Response:
        name = request.query.get("node", "")
        if name not in self._hall.faces:
            return web.json_response({"error": f"no node is called {name!r}"}, status=404)
        self._hall.ac_cycle(name)
        return web.json_response({})

    async def _breaker(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "")
        try:
            self._hall.close_breaker(name)
        except KeyError:
            return web.json_response({"error": f"no breaker is called {name!r}"}, status=404)
        return web.json_response({})

    async def _repair(self, request: web.Request) -> web.Response:
        """A part is replaced by another, with the firmware that lay on the shelf."""
        told = request.query
        bmc = self._hall.bmcs.get(told.get("node", ""))
        if bmc is None or not bmc.repaired(told.get("part", ""), told.get("version", "")):
            return web.json_response({"error": f"no such part: {dict(told)}"}, status=404)
        return web.json_response({})

    async def _quit(self, _: web.Request) -> web.Response:
        self._hall.stop()
        return web.json_response({})


def _clear(path: Path) -> None:
    path.unlink(missing_ok=True)


def _process() -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, KiB elsewhere
    statm = Path("/proc/self/statm")
    rss = int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else peak_bytes
    return {"cpu_s": time.process_time(), "rss_bytes": rss, "peak_rss_bytes": peak_bytes}
