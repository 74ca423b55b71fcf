"""What NetBox 4.x takes and refuses, for the objects that we use.

Read from its source: netbox/dcim/models/{sites,racks,devices,device_components,cables}.py, dcim/api/serializers_/, ipam/models/ip.py,
extras/models/tags.py, utilities/api.py (related objects), netbox/api/fields.py (choices). Stricter in two things, because
NetBox would pass over them in silence: fields that it does not know or that are read only, and filters that it does not have.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

Row = dict[str, Any]
Store = dict[str, dict[int, Row]]
Errors = dict[str, list[str]]


class Unfit(Exception):
    """One field, with NetBox's sentence."""


class Refused(Exception):
    """400, with NetBox's body."""

    def __init__(self, errors: Errors) -> None:
        super().__init__(errors)
        self.errors = errors


def wrong(name: str, message: str) -> Refused:
    return Refused({name: [message]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a writable field takes: `check` returns the value as stored, or raises Unfit with NetBox's sentence."""

    check: Callable[[Store, Any], Any]
    required: bool = False
    null: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One endpoint."""

    name: str
    fields: dict[str, Rule]
    unique: tuple[tuple[str, ...], ...] = ()
    read_only: frozenset[str] = frozenset()
    filters: frozenset[str] = frozenset()
    clean: Callable[[Store, Row], None] = lambda _store, _row: None
    show: dict[str, str] = field(default_factory=dict)
    """Choice fields and foreign keys: field -> `choice` or the endpoint."""


def text(maximum: int, *, blank: bool = True) -> Callable[[Store, Any], Any]:
    def check(_: Store, value: Any) -> Any:
        if not isinstance(value, str):
            raise Unfit("Not a valid string.")
        if not value.strip() and not blank:
            raise Unfit("This field may not be blank.")
        if len(value) > maximum:
            raise Unfit(f"Ensure this field has no more than {maximum} characters.")
        return value.strip()

    return check


def slug(_: Store, value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[-a-zA-Z0-9_]+", value):
        raise Unfit("Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.")
    return text(100)({}, value)


def color(_: Store, value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{6}", value):
        raise Unfit("Enter a valid hexadecimal RGB color code.")
    return value


def choice(*allowed: str) -> Callable[[Store, Any], Any]:
    def check(_: Store, value: Any) -> Any:
        if isinstance(value, dict | list):
            raise Unfit('Value must be passed directly (e.g. "foo": 123); do not use a dictionary or list.')
        if value not in allowed:
            raise Unfit(f"{value} is not a valid choice.")
        return value

    return check


def number(low: float, high: float, step: float = 1) -> Callable[[Store, Any], Any]:
    def check(_: Store, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit("A valid number is required.")
        if value < low:
            raise Unfit(f"Ensure this value is greater than or equal to {low}.")
        if value > high:
            raise Unfit(f"Ensure this value is less than or equal to {high}.")
        if value % step:
            raise Unfit(f"Must be in increments of {step}.")
        return value

    return check


def boolean(_: Store, value: Any) -> Any:
    if not isinstance(value, bool):
        raise Unfit("Must be a valid boolean.")
    return value


def related(endpoint: str) -> Callable[[Store, Any], Any]:
    def check(store: Store, value: Any) -> Any:
        if isinstance(value, dict):
            found = [
                key
                for key, row in store[endpoint].items()
                if all(row.get(name) == want for name, want in value.items())
            ]
            if len(found) != 1:
                raise Unfit(f"Related object not found using the provided attributes: {value}")
            return found[0]
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit(f"Related objects must be referenced by numeric ID or by dictionary of attributes. {value!r}")
        if value not in store[endpoint]:
            raise Unfit(f"Related object not found using the provided numeric ID: {value}")
        return value

    return check


def tags(store: Store, value: Any) -> Any:
    if not isinstance(value, list):
        raise Unfit(f'Expected a list of items but got type "{type(value).__name__}".')
    return [related("extras/tags")(store, item) for item in value]


def address(_: Store, value: Any) -> Any:
    try:
        found = ip_interface(value)
    except ValueError:
        raise Unfit(f"Invalid IP address format: {value}") from None
    if found.network.prefixlen == 0:
        raise Unfit("Cannot create IP address with /0 mask.")
    return found.with_prefixlen


def terminations(store: Store, value: Any) -> Any:
    if not isinstance(value, list):
        raise Unfit("Expected a list of items.")
    for item in value:
        if set(item) != {"object_type", "object_id"}:
            raise Unfit(f"This field is required: object_type, object_id (got {sorted(item)})")
        if item["object_type"] != "dcim.interface":
            raise Unfit(f"Invalid content type: {item['object_type']}")
        related("dcim/interfaces")(store, item["object_id"])
    return value


def clean_rack(store: Store, row: Row) -> None:
    if row["location"] and store["dcim/locations"][row["location"]]["site"] != row["site"]:
        raise wrong("__all__", "Assigned location must belong to parent site.")


def units(store: Store, row: Row) -> set[float]:
    height = store["dcim/device-types"][row["device_type"]]["u_height"]
    return {row["position"] + half / 2 for half in range(int(height * 2))}


def clean_device(store: Store, row: Row) -> None:
    rack = store["dcim/racks"].get(row["rack"])
    if rack is None and (row["face"] or row["position"]):
        raise wrong("position", "Cannot select a rack position without assigning a rack.")
    if row["position"] and not row["face"]:
        raise wrong("face", "Must specify rack face when defining rack position.")
    if rack:
        _clean_mounting(store, row, rack)
    for name in ("primary_ip4", "primary_ip6", "oob_ip"):
        if row[name] and _device_of(store, store["ipam/ip-addresses"][row[name]]) != row.get("id"):
            raise wrong(name, f"The specified IP address ({row[name]}) is not assigned to this device.")
    if rack and rack["location"]:
        row["location"] = rack["location"]  # Device.save()


def _clean_mounting(store: Store, row: Row, rack: Row) -> None:
    if rack["site"] != row["site"]:
        raise wrong("rack", f"Rack {rack['name']} does not belong to site {row['site']}.")
    if row["location"] and rack["location"] != row["location"]:
        raise wrong("rack", f"Rack {rack['name']} does not belong to location {row['location']}.")
    if not row["position"]:
        return
    if store["dcim/device-types"][row["device_type"]]["u_height"] == 0:
        raise wrong("position", "A 0U device type cannot be assigned to a rack position.")
    others = [
        other
        for other in store["dcim/devices"].values()
        if other["rack"] == row["rack"] and other["position"] and other["id"] != row.get("id")
    ]
    free = {half / 2 for half in range(2, 2 + int(rack["u_height"] * 2))}
    if not units(store, row) <= free.difference(*(units(store, other) for other in others)):
        said = (
            f"U{row['position']} is already occupied or does not have sufficient space to accommodate this device type"
        )
        raise wrong("position", said)


def _device_of(store: Store, ip: Row) -> int | None:
    interface = store["dcim/interfaces"].get(ip["assigned_object_id"] or 0)
    return interface["device"] if interface else None


def clean_address(store: Store, row: Row) -> None:
    host = ip_interface(row["address"]).ip
    for other in store["ipam/ip-addresses"].values():
        if other["id"] != row.get("id") and ip_interface(other["address"]).ip == host:
            raise wrong("address", f"Duplicate IP address found in global table: {other['address']}")
    if bool(row["assigned_object_type"]) != bool(row["assigned_object_id"]):
        raise wrong("assigned_object_type", "Both assigned_object_type and assigned_object_id are needed.")
    if row["assigned_object_id"]:
        try:
            related("dcim/interfaces")(store, row["assigned_object_id"])
        except Unfit as error:
            raise wrong("assigned_object_id", str(error)) from None
    old = store["ipam/ip-addresses"].get(row.get("id", 0))
    if old and old["assigned_object_id"] != row["assigned_object_id"]:
        for device in store["dcim/devices"].values():
            if row["id"] in {device["primary_ip4"], device["primary_ip6"], device["oob_ip"]}:
                raise wrong(
                    "__all__",
                    "Cannot reassign IP address while it is designated as the primary or out-of-band IP for the parent object",
                )


def clean_cable(store: Store, row: Row) -> None:
    if not row["a_terminations"] or not row["b_terminations"]:
        raise wrong("__all__", "Must define A and B terminations when creating a new cable.")
    ends = [end["object_id"] for end in (*row["a_terminations"], *row["b_terminations"])]
    if len(set(ends)) != len(ends):
        raise wrong("__all__", "A and B terminations cannot connect to the same object.")
    for other in store["dcim/cables"].values():
        for end in (*other["a_terminations"], *other["b_terminations"]):
            if other["id"] != row.get("id") and end["object_id"] in ends:
                raise wrong(
                    "__all__", f"Duplicate termination found for dcim.interface {end['object_id']}: cable {other['id']}"
                )
    for end in ends:
        if store["dcim/interfaces"][end]["type"] in {"virtual", "bridge", "lag"}:
            raise wrong("__all__", "Cables cannot be terminated to virtual interfaces")


_COMMON = {"description": Rule(check=text(200), default=""), "tags": Rule(check=tags, default=[])}
_COMMENTS = {"comments": Rule(check=text(100_000), default="")}
_READ_ONLY = frozenset({"id", "url", "display", "display_url", "created", "last_updated"})
_FILTERS = frozenset({"id", "limit", "offset", "q"})
_NAMED = {"name": Rule(check=text(100, blank=False), required=True), "slug": Rule(check=slug, required=True)}
_STATUS = {
    "dcim/sites": ("planned", "staging", "active", "decommissioning", "retired"),
    "dcim/racks": ("reserved", "available", "planned", "active", "deprecated"),
    "dcim/devices": ("offline", "active", "planned", "staged", "failed", "inventory", "decommissioning"),
    "ipam/ip-addresses": ("active", "reserved", "deprecated", "dhcp", "slaac"),
    "dcim/cables": ("connected", "planned", "decommissioning"),
    "dcim/inventory-items": ("offline", "active", "planned", "staged", "failed", "decommissioning"),
}


def _status(endpoint: str) -> dict[str, Rule]:
    allowed = _STATUS[endpoint]
    return {"status": Rule(check=choice(*allowed), default="connected" if "connected" in allowed else "active")}


def _to(endpoint: str, *, required: bool = False) -> Rule:
    return Rule(check=related(endpoint), required=required, null=not required)


def _slugged(name: str, **more: Rule) -> Model:
    return Model(
        name=name,
        fields={**_NAMED, **_COMMON, **more},
        unique=(("name",), ("slug",)),
        filters=frozenset({"slug", "name"}),
    )


MODELS: dict[str, Model] = {
    "extras/tags": Model(
        name="tag",
        fields={**_NAMED, "description": _COMMON["description"], "color": Rule(check=color, default="9e9e9e")},
        unique=(("name",), ("slug",)),
        filters=frozenset({"slug", "name"}),
    ),
    "dcim/sites": Model(
        name="site",
        fields={**_NAMED, **_COMMON, **_COMMENTS, **_status("dcim/sites"), "facility": Rule(check=text(50), default="")},
        unique=(("name",), ("slug",)),
        filters=frozenset({"slug", "name"}),
        show={"status": "choice"},
    ),
    "dcim/locations": Model(
        name="location",
        fields={**_NAMED, **_COMMON, **_status("dcim/sites"), "site": _to("dcim/sites", required=True)},
        unique=(("site", "name"), ("site", "slug")),
        filters=frozenset({"slug", "name", "site_id"}),
        show={"status": "choice", "site": "dcim/sites"},
    ),
    "dcim/racks": Model(
        name="rack",
        fields={
            "name": Rule(check=text(100, blank=False), required=True),
            "site": _to("dcim/sites", required=True),
            "location": _to("dcim/locations"),
            "u_height": Rule(check=number(1, 100), default=42),
            **_COMMON, **_COMMENTS, **_status("dcim/racks"),
        },
        unique=(("location", "name"),),
        filters=frozenset({"name", "name__ie", "site_id", "location_id"}),
        clean=clean_rack,
        show={"status": "choice", "site": "dcim/sites", "location": "dcim/locations"},
    ),
    "dcim/manufacturers": _slugged("manufacturer"),
    "dcim/device-roles": _slugged(
        "device role", color=Rule(check=color, default="9e9e9e"), vm_role=Rule(check=boolean, default=True)
    ),
    "dcim/inventory-item-roles": _slugged("inventory item role", color=Rule(check=color, default="9e9e9e")),
    "dcim/device-types": Model(
        name="device type",
        fields={
            "manufacturer": _to("dcim/manufacturers", required=True),
            "model": Rule(check=text(100, blank=False), required=True),
            "slug": Rule(check=slug, required=True),
            "u_height": Rule(check=number(0, 999.5, 0.5), default=1.0),
            **_COMMON, **_COMMENTS,
        },
        unique=(("manufacturer", "model"), ("manufacturer", "slug")),
        filters=frozenset({"slug", "model", "model__ie", "manufacturer_id"}),
        show={"manufacturer": "dcim/manufacturers"},
    ),
    "dcim/devices": Model(
        name="device",
        fields={
            "name": Rule(check=text(64), null=True),
            "device_type": _to("dcim/device-types", required=True),
            "role": _to("dcim/device-roles", required=True),
            "site": _to("dcim/sites", required=True),
            "location": _to("dcim/locations"),
            "rack": _to("dcim/racks"),
            "position": Rule(check=number(1, 100.5, 0.5), null=True),
            "face": Rule(check=choice("", "front", "rear"), default=""),
            "serial": Rule(check=text(50), default=""),
            "primary_ip4": _to("ipam/ip-addresses"),
            "primary_ip6": _to("ipam/ip-addresses"),
            "oob_ip": _to("ipam/ip-addresses"),
            **_COMMON, **_COMMENTS, **_status("dcim/devices"),
        },
        unique=(("site", "name"), ("rack", "position", "face"), ("oob_ip",)),
        read_only=frozenset({"primary_ip", "parent_device", "config_context", "interface_count"}),
        filters=frozenset({"name", "name__ie", "site_id", "rack_id", "serial"}),
        clean=clean_device,
        show={
            "status": "choice", "face": "choice", "device_type": "dcim/device-types", "role": "dcim/device-roles",
            "site": "dcim/sites", "location": "dcim/locations", "rack": "dcim/racks", "oob_ip": "ipam/ip-addresses",
        },
    ),
    "dcim/interfaces": Model(
        name="interface",
        fields={
            "device": _to("dcim/devices", required=True),
            "name": Rule(check=text(64, blank=False), required=True),
            "label": Rule(check=text(64), default=""),
            "type": Rule(check=choice("virtual", "bridge", "lag", "1000base-t", "400gbase-x-osfp", "other"), required=True),
            "enabled": Rule(check=boolean, default=True),
            "mgmt_only": Rule(check=boolean, default=False),
            **_COMMON,
        },
        unique=(("device", "name"),),
        read_only=frozenset({"cable", "cable_end", "link_peers", "mac_address", "_occupied"}),
        filters=frozenset({"name", "device_id"}),
        show={"type": "choice", "device": "dcim/devices"},
    ),
    "ipam/ip-addresses": Model(
        name="IP address",
        fields={
            "address": Rule(check=address, required=True),
            "assigned_object_type": Rule(check=choice("dcim.interface"), null=True),
            "assigned_object_id": Rule(check=number(1, 2**63), null=True),
            "dns_name": Rule(check=text(255), default=""),
            **_COMMON, **_COMMENTS, **_status("ipam/ip-addresses"),
        },
        read_only=frozenset({"family", "assigned_object", "nat_outside"}),
        filters=frozenset({"address", "vrf_id", "device_id"}),
        clean=clean_address,
        show={"status": "choice"},
    ),
    "dcim/cables": Model(
        name="cable",
        fields={
            "a_terminations": Rule(check=terminations, default=[]),
            "b_terminations": Rule(check=terminations, default=[]),
            "label": Rule(check=text(100), default=""),
            **_COMMON, **_COMMENTS, **_status("dcim/cables"),
        },
        filters=frozenset({"device_id"}),
        clean=clean_cable,
        show={"status": "choice"},
    ),
    "dcim/inventory-items": Model(
        name="inventory item",
        fields={
            "device": _to("dcim/devices", required=True),
            "name": Rule(check=text(64, blank=False), required=True),
            "label": Rule(check=text(64), default=""),
            "role": _to("dcim/inventory-item-roles"),
            "manufacturer": _to("dcim/manufacturers"),
            "part_id": Rule(check=text(50), default=""),
            "serial": Rule(check=text(50), default=""),
            "discovered": Rule(check=boolean, default=False),
            **_COMMON, **_status("dcim/inventory-items"),
        },
        unique=(("device", "name"),),
        read_only=frozenset({"component", "_depth"}),
        filters=frozenset({"name", "device_id"}),
        show={"status": "choice", "device": "dcim/devices", "role": "dcim/inventory-item-roles"},
    ),
}  # fmt: skip


def validated(store: Store, endpoint: str, given: Any, old: Row | None) -> Row:
    """The row to store. `old`: the row that a PATCH changes. Raises Refused."""
    model = MODELS[endpoint]
    if not isinstance(given, dict):
        raise wrong("non_field_errors", f"Invalid data. Expected a dictionary, but got {type(given).__name__}.")
    errors: Errors = {}
    row: Row = dict(old) if old else {name: rule.default for name, rule in model.fields.items()}
    for name, value in given.items():
        if name == "id" and old:
            continue
        rule = model.fields.get(name)
        if rule is None:
            known = name in model.read_only | _READ_ONLY
            errors[name] = ["This field is read only." if known else "No such field."]
        elif value is None:
            row[name] = None
            if not rule.null:
                errors[name] = ["This field may not be null."]
        else:
            try:
                row[name] = rule.check(store, value)
            except Unfit as error:
                errors[name] = [str(error)]
    if old is None:
        errors |= {
            n: ["This field is required."] for n, rule in model.fields.items() if rule.required and n not in given
        }
    if errors:
        raise Refused(errors)
    _unique(store, endpoint, row)
    model.clean(store, row)
    return row


def _unique(store: Store, endpoint: str, row: Row) -> None:
    for names in MODELS[endpoint].unique:
        # Lower("name") for devices; elsewhere case counts.
        folded = _folded if endpoint == "dcim/devices" else _plain
        mine = folded(row, names)
        if None in mine:
            continue  # SQL: NULL is never equal
        for other in store[endpoint].values():
            if other["id"] != row.get("id") and folded(other, names) == mine:
                said = f"{MODELS[endpoint].name} with this {' and '.join(names)} already exists."
                raise wrong(names[0] if len(names) == 1 else "__all__", said)


def _folded(row: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(value.casefold() if isinstance(value := row[name], str) else value for name in names)


def _plain(row: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
