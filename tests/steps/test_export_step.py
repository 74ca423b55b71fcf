"""inventory.export over the journal, and what publishes: files on a disk, and a NetBox over TLS."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from step_rig import Life
from support.machine import Crash

from export_builder import hall, sighting  # isort: skip  (step_rig puts tests/inventory on the path)
from netbox_contract import Netbox, running  # isort: skip

from fleet.drivers.exports import Exports
from fleet.errors import NodeFault, Reason, Transient
from fleet.sim.certificates import Authority
from fleet.step import Met, StepSpec, Unmet
from inventory.exporters.snapshot import Sighting
from inventory.model import ExportTarget, Inventory, SecretRef
from inventory.observed import FirmwareItem, Observation
from playbooks.steps.export import InventoryExport

TOKEN = "0123456789abcdef0123456789abcdef01234567"
JSON = ("1 inventory.export json", StepSpec("inventory.export", {"to": "json"}), InventoryExport(to="json"))
CSV = ("2 inventory.export csv", StepSpec("inventory.export", {"to": "csv"}), InventoryExport(to="csv"))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def netbox(authority: Authority) -> Iterator[Netbox]:
    with running(Netbox(token=TOKEN), authority.issue("netbox", "127.0.0.1").context) as served:
        yield served


@pytest.fixture
def declared(tmp_path: Path) -> Inventory:
    return hall(tmp_path)


@pytest.fixture
def aimed(declared: Inventory, netbox: Netbox, authority: Authority, tmp_path: Path) -> Inventory:
    """The small hall, whose inventory says where NetBox is."""
    (tmp_path / "ca.pem").write_bytes(authority.pem())
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    target = ExportTarget(url=netbox.url, token=SecretRef.parse(f"file:{token}"), ca=tmp_path / "ca.pem")
    return replace(declared, exports={"netbox": target})


@dataclass(slots=True)
class Seen:
    """The part of fleet.ports.Bmc that a sighting needs."""

    looks: int = 0

    async def observe(self) -> Observation:
        """Version 25.1, and 25.2 when it is looked at again."""
        self.looks += 1
        items = (FirmwareItem(id="HostBMC_0", version=f"25.{self.looks}"),)
        return Observation(node="gpu1", serial="S1", uuid="u", model="M", items=items, read_at=0.0, source="test")  # type: ignore[arg-type]


@dataclass(slots=True)
class Publishing:
    """The part of fleet.edges.Edges that publishes, counted; and failing, the first times."""

    exports: Exports
    silent: int = 0
    published: list[str] = field(default_factory=list)

    async def publish(self, exporter: str, seen: Sighting) -> str:
        """See fleet.edges.Edges."""
        if self.silent:
            self.silent -= 1
            raise Transient(f"{exporter} does not answer")
        self.published.append(exporter)
        return await self.exports.publish(exporter, seen)


def life(folder: Path, inventory: Inventory) -> tuple[Life, Publishing]:
    edges = Publishing(Exports(inventory, folder / "out"))
    return Life(path=folder / "journal.db", node=inventory.nodes[0], edges=edges, bmc=Seen()), edges


def test_each_export_has_its_own_evidence(tmp_path: Path, declared: Inventory) -> None:
    place, edges = life(tmp_path, declared)

    async def story() -> dict[str, str]:
        await place.prepare()
        await place.walk([JSON, CSV])
        await place.walk([JSON, CSV])
        return await place.told()

    told = place.clock.run(story())
    assert told == {JSON[0]: str(tmp_path / "out/gpu1.json"), CSV[0]: str(tmp_path / "out/gpu1.csv")}
    assert edges.published == ["json", "csv"]
    (node,) = json.loads((tmp_path / "out/gpu1.json").read_text())["nodes"]
    assert (node["id"], node["observed"]["status"], node["observed"]["reading"]) == ("gpu1", "confirmed", "after")


def test_what_is_handed_on_is_read_now(tmp_path: Path, declared: Inventory) -> None:
    place, _ = life(tmp_path, declared)

    async def story() -> None:
        await place.prepare()
        await place.walk([JSON, CSV])

    place.clock.run(story())
    assert isinstance(place.bmc, Seen)
    assert place.bmc.looks == 2


def test_one_that_was_done_does_not_count_for_another(tmp_path: Path, declared: Inventory) -> None:
    """A process dies between the second's intent and its result."""
    place, edges = life(tmp_path, declared)

    async def story() -> tuple[Met | Unmet, Met | Unmet, Met | Unmet]:
        await place.prepare()
        await place.walk([JSON])
        with pytest.raises(Crash):
            await place.walk([JSON, CSV], dies_at=1, written=True)
        begun = await place.look([JSON, CSV], CSV[0])
        await place.walk([JSON, CSV])
        return begun, await place.look([JSON, CSV], JSON[0]), await place.look([JSON, CSV], CSV[0])

    assert place.clock.run(story()) == (
        Unmet("not yet handed on to csv"),
        Met(str(tmp_path / "out/gpu1.json")),
        Met(str(tmp_path / "out/gpu1.csv")),
    )
    assert edges.published == ["json", "csv"]


def test_the_same_exporter_later_is_another_export(tmp_path: Path, declared: Inventory) -> None:
    place, edges = life(tmp_path, declared)
    later = ("9 inventory.export json", JSON[1], JSON[2])

    async def story() -> None:
        await place.prepare()
        await place.walk([JSON, later])

    place.clock.run(story())
    assert edges.published == ["json", "json"]


@pytest.mark.parametrize("written", [False, True], ids=["before the disk", "after the disk"])
def test_a_crash_at_any_append_ends_with_one_document(tmp_path: Path, declared: Inventory, written: bool) -> None:  # noqa: FBT001  a parameter
    for dies_at in (1, 2, 3):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        place, edges = life(folder, declared)

        async def story(place: Life = place, dies_at: int = dies_at) -> dict[str, str]:
            await place.prepare()
            with pytest.raises(Crash):
                await place.walk([JSON], dies_at=dies_at, written=written)
            await place.walk([JSON])
            return await place.told()

        assert place.clock.run(story()) == {JSON[0]: str(folder / "out/gpu1.json")}
        assert [each.name for each in (folder / "out").iterdir()] == ["gpu1.json"]
        assert len(edges.published) == (2 if dies_at == 2 and not written else 1), f"died at append {dies_at}"


def test_a_system_that_is_away_is_waited_for(tmp_path: Path, declared: Inventory) -> None:
    place, edges = life(tmp_path, declared)
    edges.silent = 4

    async def story() -> float:
        await place.prepare()
        begun = place.clock.now()
        await place.walk([JSON])
        return place.clock.now() - begun

    assert place.clock.run(story()) == 240


def test_a_system_that_stays_away_holds_the_node(tmp_path: Path, declared: Inventory) -> None:
    place, edges = life(tmp_path, declared)
    edges.silent = 99

    async def story() -> NodeFault:
        await place.prepare()
        with pytest.raises(NodeFault) as held:
            await place.walk([JSON])
        return held.value

    held = place.clock.run(story())
    assert (held.reason, str(held)) == (
        Reason.EXPORT_REFUSED,
        "json does not answer; tried 10 times, and not handed on",
    )


def published(inventory: Inventory, folder: Path, exporter: str, node: str = "gpu1", **more: object) -> str:
    return asyncio.run(Exports(inventory, folder).publish(exporter, sighting(node, **more)))  # type: ignore[arg-type]


def refused(inventory: Inventory, folder: Path, exporter: str, node: str = "gpu1", **more: object) -> NodeFault:
    with pytest.raises(NodeFault) as told:
        published(inventory, folder, exporter, node, **more)
    assert TOKEN not in str(told.value)
    return told.value


@pytest.mark.parametrize("exporter", ["json", "csv", "ansible"])
def test_documents_are_of_one_node_and_the_same_again(tmp_path: Path, declared: Inventory, exporter: str) -> None:
    folder = tmp_path / "deep" / "out"
    path = Path(published(declared, folder, exporter))
    assert path == folder / f"gpu1.{exporter}"
    text = path.read_text()
    assert "gpu1" in text
    assert "gpu2" not in text
    assert published(declared, folder, exporter) == str(path)
    assert (path.read_text(), [each.name for each in folder.iterdir()]) == (text, [path.name])


def test_a_document_is_replaced_and_never_written_over(tmp_path: Path, declared: Inventory) -> None:
    """Whoever holds the former file open goes on reading all of it."""
    path = Path(published(declared, tmp_path / "out", "json"))
    with path.open() as former:
        published(declared, tmp_path / "out", "json", versions={"HostBMC_0": "99"})
        assert '"25.1"' in former.read()
    assert '"99"' in path.read_text()


def test_a_name_that_is_a_path_stays_in_its_directory(tmp_path: Path, declared: Inventory) -> None:
    first, *rest = declared.nodes
    odd = replace(declared, nodes=(replace(first, id="../../gpu1"), *rest))  # type: ignore[arg-type]  # no file says so
    assert refused(odd, tmp_path / "out", "json", "../../gpu1").reason is Reason.EXPORT_REFUSED
    assert not list(tmp_path.rglob("gpu1*"))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path, declared: Inventory) -> None:
    (tmp_path / "out").write_text("a file")
    told = refused(declared, tmp_path / "out", "json")
    assert (told.reason, str(tmp_path / "out/gpu1.json") in str(told)) == (Reason.EXPORT_REFUSED, True)


@pytest.mark.parametrize(("exporter", "hint"), [("jsn", "json"), ("netbox", "exports: {netbox: {url:")])
def test_what_is_not_declared_is_said_with_what_to_do(
    tmp_path: Path, declared: Inventory, exporter: str, hint: str
) -> None:
    told = refused(declared, tmp_path, exporter)
    assert told.reason is Reason.NO_EDGE
    assert hint in str(told)


def test_one_node_arrives_in_netbox_once(tmp_path: Path, aimed: Inventory, netbox: Netbox) -> None:
    where = published(aimed, tmp_path, "netbox")
    assert where.startswith("netbox at 127.0.0.1: ")
    assert (netbox.one("dcim/devices", name="gpu1")["status"], netbox.one("dcim/devices", name="gpu1")["serial"]) == (
        "active",
        "S-gpu1",
    )
    assert not [row for row in netbox.rows("dcim/devices") if row["name"] == "gpu2"]
    done = list(netbox.writes)
    assert published(aimed, tmp_path, "netbox") == "netbox at 127.0.0.1: 0 created, 0 changed, 0 left as they are"
    assert netbox.writes == done


def test_nodes_at_once_share_what_they_share(tmp_path: Path, aimed: Inventory, netbox: Netbox) -> None:
    """All four need the site, the leaf and the device type, which are not there yet."""
    names = ("gpu1", "gpu2", "gpu3", "gpu4")

    async def story() -> list[str]:
        exports = Exports(aimed, tmp_path)
        return await asyncio.gather(*(exports.publish("netbox", sighting(name)) for name in names))

    assert len(asyncio.run(story())) == 4
    assert sorted(row["name"] for row in netbox.rows("dcim/devices")) == [*names, "leaf1"]
    assert len(netbox.rows("dcim/sites")) == 1


def test_a_conflict_is_a_refusal_that_names_it(tmp_path: Path, aimed: Inventory, netbox: Netbox) -> None:
    for maker in ("one", "two"):
        number = netbox.put("dcim/manufacturers", name=maker, slug=maker)
        netbox.put("dcim/device-types", manufacturer=number, model="GB300 NVL", slug="gb300")
    told = refused(aimed, tmp_path, "netbox")
    assert told.reason is Reason.EXPORT_REFUSED
    assert "! dcim/device-types gb300 nvl: is there more than once; left as it is" in str(told)


def test_a_token_that_is_not_accepted_is_a_refusal(tmp_path: Path, aimed: Inventory, netbox: Netbox) -> None:
    netbox.token = "another"
    told = refused(aimed, tmp_path, "netbox")
    assert told.reason is Reason.EXPORT_REFUSED
    assert "403" in str(told)


def test_a_token_that_is_gone_is_not_declared(tmp_path: Path, aimed: Inventory, netbox: Netbox) -> None:
    (tmp_path / "token").unlink()
    told = refused(aimed, tmp_path, "netbox")
    assert (told.reason, netbox.reads) == (Reason.NO_EDGE, 0)
    assert f"file:{tmp_path / 'token'}" in str(told)


def test_another_certificate_is_no_matter_of_time(tmp_path: Path, aimed: Inventory) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority().pem())
    assert refused(aimed, tmp_path, "netbox").reason is Reason.EXPORT_REFUSED


@contextmanager
def proxy(authority: Authority, status: int) -> Iterator[str]:
    """Something in front of NetBox that answers this to everything, or, by 0, closes the connection. Its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Into no test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.socket = authority.issue("proxy", "127.0.0.1").context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(
    ("status", "passes"), [(503, True), (502, True), (429, True), (0, True), (500, False), (404, False)]
)
def test_what_a_proxy_says(tmp_path: Path, aimed: Inventory, authority: Authority, status: int, passes: bool) -> None:  # noqa: FBT001  a parameter
    with proxy(authority, status) as url:
        there = replace(aimed, exports={"netbox": replace(aimed.exports["netbox"], url=url)})
        with pytest.raises(Transient if passes else NodeFault) as told:
            published(there, tmp_path, "netbox")
    assert str(status or "cannot be reached") in str(told.value)


def test_a_closed_port_is_a_matter_of_time(tmp_path: Path, aimed: Inventory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = replace(aimed, exports={"netbox": replace(aimed.exports["netbox"], url=f"https://127.0.0.1:{port}")})
    with pytest.raises(Transient, match="cannot be reached"):
        published(away, tmp_path, "netbox")
