"""What DSP0266 demands of every answer and every request, whoever made the BMC: headers, methods, OData documents."""

import json
import re
from dataclasses import replace
from functools import cache

from fleet.sim.boxmodel import ROOT, BoxModel
from fleet.sim.message import Answer, Request, error

_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})
_TYPE = re.compile(rb'"@odata\.type":\s*"#([A-Za-z]+)((?:\.v\d+_\d+_\d+)?)\.')
_TYPE_WITHIN = 300
"""@odata.type stands at the beginning of every document of ours."""
_KNOWN_QUERIES = {"$expand": "ExpandQuery", "$select": "SelectQuery", "$filter": "FilterQuery"}
METADATA, SERVICE_DOCUMENT = f"{ROOT}/$metadata", f"{ROOT}/odata"


def refused(request: Request, box: BoxModel) -> Answer | None:
    """What is wrong with a request before anybody asks what it is about."""
    version = request.header("OData-Version")
    if version and version != "4.0":
        return error(412, f"{box.registry}.PreconditionFailed", f"OData-Version {version} is not supported.")
    if request.method not in _METHODS:
        return error(501, f"{box.registry}.GeneralError", f"The method {request.method} is not implemented.")
    if request.method == "GET" and "$" in request.query:
        features = offered(box)
        for word in request.query.split("&"):
            name = word.partition("=")[0]
            if name == "$skip" and "/LogServices/" in request.path:
                continue  # as its own nextLink has it
            if name.startswith("$") and not features.get(_KNOWN_QUERIES.get(name, "")):
                text = f"Querying by {name} is not supported by the operation."
                return error(501, f"{box.registry}.QueryNotSupported", text)
    return None


def public(path: str, box: BoxModel) -> Answer | None:
    """The OData documents, which need no login."""
    if path == METADATA:
        return Answer(status=200, body=_metadata(box), content_type="application/xml")
    if path == SERVICE_DOCUMENT:
        return Answer(status=200, body=_service_document(box))
    return None


def dressed(request: Request, result: Answer, allow: str) -> Answer:
    """The answer with the headers that every service must send; HEAD without its body."""
    headers = (("OData-Version", "4.0"), ("Cache-Control", "no-cache"), *result.headers)
    if request.method in {"GET", "HEAD"} or result.status == 405:  # noqa: PLR2004  method not allowed
        headers = (*headers, ("Allow", allow))
    if request.method in {"GET", "HEAD"} and (kind := _TYPE.search(result.body, 0, _TYPE_WITHIN)):
        schema = (kind[1] + kind[2]).decode()
        headers = (*headers, ("Link", f"<http://redfish.dmtf.org/schemas/v1/{schema}.json>; rel=describedby"))
    return replace(result, headers=headers, body=b"" if request.method == "HEAD" else result.body)


@cache
def offered(box: BoxModel) -> dict[str, object]:
    """ProtocolFeaturesSupported of the service root."""
    root = box.resources[ROOT].render(lambda *_: "")
    features: dict[str, object] = json.loads(root).get("ProtocolFeaturesSupported", {})
    return features


@cache
def _service_document(box: BoxModel) -> bytes:
    root = json.loads(box.resources[ROOT].render(lambda *_: ""))
    children = {
        name: value["@odata.id"] for name, value in root.items() if isinstance(value, dict) and "@odata.id" in value
    }
    value = [{"name": "Service", "kind": "Singleton", "url": f"{ROOT}/"}]
    value += [{"name": name, "kind": "Singleton", "url": url} for name, url in children.items()]
    sessions = root["Links"]["Sessions"]["@odata.id"]
    value.append({"name": "Sessions", "kind": "Singleton", "url": sessions})
    return json.dumps({"@odata.context": METADATA, "value": value}).encode()


@cache
def _metadata(box: BoxModel) -> bytes:
    text = b"".join(resource.literals[0] for resource in box.resources.values())
    kinds = {(kind.decode(), version.decode()) for kind, version in _TYPE.findall(text)}
    kinds |= {(name, "") for name in ("Task", "Session", "ManagerAccount", "Role", "AccountService")}
    lines = [
        f'<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/{kind}_v1.xml"><edmx:Include Namespace="{kind}"/>'
        + (f'<edmx:Include Namespace="{kind}{version}"/>' if version else "")
        + "</edmx:Reference>"
        for kind, version in sorted(kinds)
    ]
    head = '<?xml version="1.0" encoding="UTF-8"?><edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0">'
    container = (
        '<edmx:DataServices><Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" Namespace="Service">'
        '<EntityContainer Name="Service" Extends="ServiceRoot.v1_0_0.ServiceContainer"/></Schema></edmx:DataServices>'
    )
    service_root = (
        '<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/ServiceRoot_v1.xml">'
        '<edmx:Include Namespace="ServiceRoot.v1_0_0"/></edmx:Reference>'
    )
    return "".join((head, service_root, *lines, container, "</edmx:Edmx>")).encode()
