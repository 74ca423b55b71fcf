"""A hall in YAML -> `Inventory`. Whatever is wrong is found here, with file, line and the nearest known name.

The form of the file stands in docs/inventory.md; examples in inventory/examples.
"""

from __future__ import annotations

from pathlib import Path

from inventory.devices import add_links, add_nodes, add_pdus, add_switches
from inventory.document import Value, read_document
from inventory.hall import Hall
from inventory.model import (
    Credential,
    CredentialId,
    Feed,
    FeedId,
    Inventory,
    NodeId,
    NvlinkDomainId,
    Pod,
    PodId,
    Rack,
    RackId,
    Site,
    SiteId,
)
from inventory.particulars import Particulars, contradiction, overridden, read_particulars
from inventory.placing import read_ids, spread
from inventory.power_load import read_power
from inventory.ranges import expand
from inventory.reader import MappingReader
from inventory.references import read_secret
from inventory.surroundings import SURROUNDINGS, read_surroundings

EXAMPLES = Path(__file__).parent / "examples"
"""The inventories that ship with the package."""

SECTIONS = (
    "credentials",
    "feeds",
    "sites",
    "pods",
    "racks",
    "nodes",
    "switches",
    "pdus",
    "links",
    "power",
    "overrides",
)
"""The keys of the file beside `inventory` and the `SURROUNDINGS`; each may refer to what stands in those before it."""


def load(path: Path, *, overlay: Path | None = None) -> Inventory:
    """Read an inventory.

    Args:
        path: the YAML file.
        overlay: a second file with `overlay: <name of the inventory>` and `overrides`, which win over those of `path`:
            how a simulated hall says at which addresses it answers.

    Raises:
        InputError: anything that cannot be used, with file and line.
    """
    reader = MappingReader(read_document(path), what="inventory")
    name = reader.text("inventory")
    reader.expect(*SECTIONS, *SURROUNDINGS)
    reader.finish()
    hall = Hall(name=name, around=read_surroundings(reader))
    for section, read in (("credentials", _credentials), ("feeds", _feeds), ("sites", _sites), ("pods", _pods)):
        read(hall, reader, section)
    _racks(hall, reader, "racks")
    for said_in in (_overrides(reader), _overlay(hall.name, overlay)):
        for node, (value, particulars) in said_in.items():
            first = hall.overrides.get(node)
            hall.overrides[node] = (value, overridden(first[1], particulars) if first else particulars)
    add_nodes(hall, reader.mappings("nodes", what="node"))
    add_switches(hall, reader.mappings("switches", what="switch"))
    add_pdus(hall, reader.mappings("pdus", what="pdu"))
    add_links(hall, reader.mappings("links", what="link"))
    if "power" in reader:
        hall.power = read_power(hall, reader.mapping("power"))
    for node, (value, _) in hall.overrides.items():
        hall.nodes.get(node, value)
    return hall.inventory()


def _credentials(hall: Hall, reader: MappingReader, section: str) -> None:
    for name, value in reader.mapping(section).items():
        entry = MappingReader(value, what=f"credential {name!r}")
        user, password, privacy = entry.text("user"), entry.required("password"), entry.value("privacy")
        entry.finish()
        credential = Credential(
            id=CredentialId(name),
            user=user,
            password=read_secret(password, of=entry.what),
            privacy=read_secret(privacy, of=entry.what) if privacy else None,
        )
        hall.credentials.add(name, credential, value.place)


def _feeds(hall: Hall, reader: MappingReader, section: str) -> None:
    for entry in reader.mappings(section, what="feed"):
        power_w = entry.integer("power_w", minimum=1, default=None)
        for name in read_ids(entry.required("id")):
            hall.feeds.add(name, Feed(id=FeedId(name), power_w=power_w), entry.place)
        entry.finish()


def _sites(hall: Hall, reader: MappingReader, section: str) -> None:
    for entry in reader.mappings(section, what="site"):
        for name in read_ids(entry.required("id")):
            hall.sites.add(name, Site(id=SiteId(name)), entry.place)
        entry.finish()


def _pods(hall: Hall, reader: MappingReader, section: str) -> None:
    for entry in reader.mappings(section, what="pod"):
        site = hall.sites.get(entry.text("site"), entry.required("site")).id
        for name in read_ids(entry.required("id")):
            hall.pods.add(name, Pod(id=PodId(name), site=site), entry.place)
        entry.finish()


def _racks(hall: Hall, reader: MappingReader, section: str) -> None:
    for entry in reader.mappings(section, what="rack"):
        ids = read_ids(entry.required("id"))
        wanted = entry.required("pod")
        pods = [hall.pods.get(name, wanted).id for name in wanted.parsed(expand)]
        feeds = hall.feeds_named(entry.required("feeds"))
        power_w = entry.integer("power_w", minimum=1, default=None)
        domain = entry.text("nvlink_domain", default=None)
        for name, pod in zip(ids, spread(entry, ids, pods, key="pod", per_key="per_pod"), strict=True):
            nvlink_domain = NvlinkDomainId(domain.replace("{id}", name)) if domain else None
            rack = Rack(id=RackId(name), pod=PodId(pod), feeds=feeds, power_w=power_w, nvlink_domain=nvlink_domain)
            hall.racks.add(name, rack, entry.place)
        entry.finish()


def _overlay(name: str, path: Path | None) -> dict[NodeId, tuple[Value, Particulars]]:
    """The overrides of an overlay file."""
    if path is None:
        return {}
    reader = MappingReader(read_document(path), what="overlay")
    if reader.text("overlay") != name:
        raise reader.error(f"this overlay is for the inventory {reader.text('overlay')!r}, not {name!r}", key="overlay")
    overrides = _overrides(reader)
    reader.finish()
    return overrides


def _overrides(reader: MappingReader) -> dict[NodeId, tuple[Value, Particulars]]:
    """What is said of single nodes or of ranges of them, by node."""
    overrides: dict[NodeId, tuple[Value, Particulars]] = {}
    for pattern, value in reader.mapping("overrides").items():
        entry = MappingReader(value, what=f"override of {pattern!r}")
        particulars = read_particulars(entry)
        entry.finish()
        try:
            nodes = expand(pattern)
        except ValueError as error:
            raise value.error(f"{pattern!r} {error}") from None
        for node in map(NodeId, nodes):
            first = overrides.get(node)
            again = contradiction(first[1], particulars) if first else None
            if first and again:
                raise value.error(f"{again} of {node} is overridden twice", hint=f"see line {first[0].line}")
            overrides[node] = (value, overridden(first[1], particulars) if first else particulars)
    return overrides
