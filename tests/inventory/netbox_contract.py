"""A NetBox for tests: its REST API over TLS, in a thread of its own, with NetBox's own rules (netbox_rules). It keeps a ledger."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from aiohttp import web
from netbox_rules import MODELS, Refused, Row, Store, validated

PAGE_LIMIT = 1000
"""MAX_PAGE_SIZE."""


@dataclass
class Netbox:
    """What it holds and what it was asked."""

    token: str
    url: str = ""
    page: int = 50
    """PAGINATE_COUNT."""
    store: Store = field(default_factory=lambda: {endpoint: {} for endpoint in MODELS})
    writes: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, endpoint, objects."""
    reads: int = 0
    version: str = "4.4"
    echo: str = ""
    """Said in every refusal: a server that repeats what it was sent."""

    def put(self, endpoint: str, **given: Any) -> int:
        """As a person would, by the same rules. Returns the id."""
        return self.save(endpoint, validated(self.store, endpoint, given, None))

    def save(self, endpoint: str, row: Row) -> int:
        """Store a row that was validated."""
        key = row.setdefault("id", max(self.store[endpoint], default=0) + 1)
        self.store[endpoint][key] = row
        return int(key)

    def rows(self, endpoint: str) -> list[Row]:
        """All of one endpoint."""
        return list(self.store[endpoint].values())

    def one(self, endpoint: str, **wanted: Any) -> Row:
        """The only row with these values."""
        (row,) = [row for row in self.rows(endpoint) if all(row[name] == value for name, value in wanted.items())]
        return row

    def brief(self, endpoint: str, key: int) -> Row:
        """A nested object."""
        row = self.store[endpoint][key]
        shown = {"id": key, "url": f"{self.url}/api/{endpoint}/{key}/", "display": row.get("name") or f"#{key}"}
        for name in ("name", "slug", "model", "address"):
            if name in row:
                shown[name] = row[name]
        if endpoint == "dcim/interfaces":
            shown["device"] = self.brief("dcim/devices", row["device"])
        return shown

    def full(self, endpoint: str, key: int) -> Row:
        """An object as a list or a detail shows it."""
        row = self.store[endpoint][key]
        shown = {**row, "url": f"{self.url}/api/{endpoint}/{key}/", "display": row.get("name") or f"#{key}"}
        for name, kind in MODELS[endpoint].show.items():
            value = row[name]
            if kind == "choice":
                shown[name] = {"value": value, "label": value.capitalize()} if value else None
            else:
                shown[name] = self.brief(kind, value) if value else None
        if "tags" in row:
            shown["tags"] = [self.brief("extras/tags", tag) for tag in row["tags"]]
        if endpoint == "ipam/ip-addresses":
            family = ip_interface(row["address"]).version
            shown["family"] = {"value": family, "label": f"IPv{family}"}
            assigned = row["assigned_object_id"]
            shown["assigned_object"] = self.brief("dcim/interfaces", assigned) if assigned else None
        if endpoint == "dcim/cables":
            for side in ("a_terminations", "b_terminations"):
                shown[side] = [{**end, "object": self.brief("dcim/interfaces", end["object_id"])} for end in row[side]]
        return shown

    def found(self, endpoint: str, query: list[tuple[str, str]]) -> list[int]:
        """Ids that a query selects; several values of one name mean or."""
        asked: dict[str, set[str]] = {}
        for name, value in query:
            if name not in MODELS[endpoint].filters | {"limit", "offset", "id"}:
                raise Refused({name: ["No such filter; NetBox would pass over it and return everything."]})
            asked.setdefault(name, set()).add(value)
        asked = {name: values for name, values in asked.items() if name not in {"limit", "offset"}}
        return sorted(
            key
            for key, row in self.store[endpoint].items()
            if all(self._meets(endpoint, row, name, values) for name, values in asked.items())
        )

    def _meets(self, endpoint: str, row: Row, name: str, values: set[str]) -> bool:
        if name.endswith("__ie"):
            return str(row[name.removesuffix("__ie")]).casefold() in {value.casefold() for value in values}
        if name == "address":
            return bool({row["address"], row["address"].partition("/")[0]} & values)
        if name == "vrf_id":
            return "null" in values  # there is only the global table here
        if name == "device_id" and endpoint == "dcim/cables":
            ends = (*row["a_terminations"], *row["b_terminations"])
            return any(str(self.store["dcim/interfaces"][end["object_id"]]["device"]) in values for end in ends)
        return str(row[name.removesuffix("_id") if name != "id" else name]) in values

    def _existing(self, endpoint: str, item: Row) -> Row:
        if item.get("id") not in self.store[endpoint]:
            raise Refused({"id": [f"Invalid pk {item.get('id')!r} - object does not exist."]})
        return self.store[endpoint][item["id"]]

    def write(self, method: str, endpoint: str, given: Any) -> Any:
        """POST or PATCH of one object or a list: all or nothing."""
        items = given if isinstance(given, list) else [given]
        before, errors, keys = deepcopy(self.store[endpoint]), [], []
        for item in items:
            try:
                old = self._existing(endpoint, item) if method == "PATCH" else None
                keys.append(self.save(endpoint, validated(self.store, endpoint, item, old)))
                errors.append({})
            except Refused as refused:
                errors.append({**refused.errors, **({"echo": [self.echo]} if self.echo else {})})
        if any(errors):
            self.store[endpoint] = before
            raise _Answer(errors if isinstance(given, list) else errors[0])
        self.writes.append((method, endpoint, len(items)))
        shown = [self.full(endpoint, key) for key in keys]
        return shown if isinstance(given, list) else shown[0]


class _Answer(Exception):
    """Anything but success."""

    def __init__(self, body: Any, status: int = 400) -> None:
        super().__init__(body)
        self.body, self.status = body, status


def application(netbox: Netbox) -> web.Application:
    """The API."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body, status = await _answer(netbox, request), _OK[request.method]
        except _Answer as answer:
            body, status = answer.body, answer.status
        return web.json_response(body, status=status, headers={"API-Version": netbox.version})

    app = web.Application(client_max_size=10 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


_OK = {"GET": 200, "POST": 201, "PATCH": 200}


async def _answer(netbox: Netbox, request: web.Request) -> Any:
    if request.headers.get("Authorization") != f"Token {netbox.token}":
        raise _Answer({"detail": f"Invalid token {netbox.echo}"}, 403)
    if request.method not in _OK:
        raise _Answer({"detail": f'Method "{request.method}" not allowed.'}, 405)
    api, *parts = request.match_info["path"].strip("/").split("/")
    endpoint, number = "/".join(parts[:2]), "".join(parts[2:])
    if api != "api" or (endpoint and endpoint not in MODELS) or not request.path.endswith("/"):
        raise _Answer({"error": "Page not found."}, 404)
    if not endpoint:
        return {name: f"{netbox.url}/api/{name}/" for name in ("dcim", "ipam", "extras")}
    if request.method == "GET":
        netbox.reads += 1
        return netbox.full(endpoint, int(number)) if number else _page(netbox, request, endpoint)
    body = await request.json()
    return netbox.write(request.method, endpoint, {**body, "id": int(number)} if number else body)


def _page(netbox: Netbox, request: web.Request, endpoint: str) -> Row:
    try:
        found = netbox.found(endpoint, list(request.query.items()))
    except Refused as refused:
        raise _Answer(refused.errors) from refused
    limit = min(int(request.query.get("limit", 0)) or netbox.page, PAGE_LIMIT, netbox.page)
    offset = int(request.query.get("offset", 0))
    after = offset + limit
    following = request.url.update_query(limit=limit, offset=after) if after < len(found) else None
    return {
        "count": len(found),
        "next": str(following) if following else None,
        "previous": None,
        "results": [netbox.full(endpoint, key) for key in found[offset:after]],
    }


@contextmanager
def running(netbox: Netbox, context: ssl.SSLContext) -> Iterator[Netbox]:
    """Serve it on loopback; `netbox.url` says where."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application(netbox))

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        netbox.url = f"https://127.0.0.1:{asyncio.run_coroutine_threadsafe(start(), loop).result(10)}"
        yield netbox
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
