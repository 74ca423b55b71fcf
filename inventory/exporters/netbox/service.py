"""The edge: NetBox's REST API through pynetbox, over verified TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pynetbox
import requests
from requests.adapters import HTTPAdapter

from inventory.exporters.exporter import Destination, ExportError
from inventory.exporters.netbox.objects import Kind, Record
from inventory.secrets import Secret

BATCH = 50
"""Objects a request: each filter of a reading stands in the URL, each batch of a writing is one transaction."""
_TIMEOUT_S = 60.0
"""A batch of 50 is checked object by object; NetBox takes seconds for it."""
_SAID = 1_000
"""Characters of NetBox's own words in an error."""


class Service:
    """One NetBox. Each call blocks; each raises ExportError, in which the token never stands."""

    def __init__(self, destination: Destination, token: Secret) -> None:
        """Raises ExportError for an address that is not https."""
        parts = urlsplit(destination.url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise ExportError(f"--url {destination.url!r} is no address of a NetBox; write https://HOST")
        self._token = token
        self._api: Any = pynetbox.api(destination.url, token=token.reveal())
        self._api.http_session = _session(str(destination.ca) if destination.ca else "")
        self.written = 0
        """Objects created or changed so far."""

    def require_version(self) -> None:
        """Raise ExportError unless this is a NetBox 4."""
        version = str(self._told(lambda: self._api.version))
        if version.partition(".")[0] != "4":
            raise ExportError(f"this needs NetBox 4.x; {version or 'no version'} is what answers there")

    def read(self, kind: Kind, queries: Iterable[Mapping[str, Any]]) -> Iterator[Record]:
        """Every object that one of the queries selects."""
        for query in queries:
            yield from self._told(partial(self._filtered, kind, query))

    def create(self, kind: Kind, objects: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Create these, as NetBox gives them back. A batch is created whole or not at all."""
        return self._write(self._endpoint(kind).create, objects)

    def update(self, kind: Kind, objects: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Change these, each with its `id`. A batch is changed whole or not at all."""
        return self._write(self._endpoint(kind).update, objects)

    def _write(self, write: Callable[[Any], Any], objects: Sequence[Mapping[str, Any]]) -> list[Record]:
        done: list[Record] = []
        for start in range(0, len(objects), BATCH):
            batch = [dict(each) for each in objects[start : start + BATCH]]
            done += [dict(each) for each in self._told(partial(write, batch), batch)]
            self.written += len(batch)
        return done

    def _filtered(self, kind: Kind, query: Mapping[str, Any]) -> list[Record]:
        return [dict(each) for each in self._endpoint(kind).filter(**query)]

    def _endpoint(self, kind: Kind) -> Any:
        app, _, name = kind.partition("/")
        return getattr(getattr(self._api, app), name.replace("-", "_"))

    def _told(self, call: Callable[[], Any], batch: Sequence[Mapping[str, Any]] = ()) -> Any:
        try:
            return call()
        except pynetbox.RequestError as error:
            raise ExportError(self._safe(_refusal(error, batch)), written=self.written) from None
        except (pynetbox.ContentError, pynetbox.AllocationError) as error:
            raise ExportError(self._safe(f"NetBox: {error}"), written=self.written) from None
        except requests.exceptions.SSLError as error:
            said = f"NetBox's certificate is not trusted: {error}; --ca names the authority that signed it"
            raise ExportError(self._safe(said), written=self.written) from None
        except requests.RequestException as error:
            raise ExportError(self._safe(f"NetBox cannot be reached: {error}"), written=self.written) from None

    def _safe(self, text: str) -> str:
        """Without the token, should anything have repeated it; on one line, for a terminal."""
        plain = "".join(letter if letter.isprintable() else " " for letter in text)
        return plain.replace(self._token.reveal(), "(token)")[:_SAID]


def _session(ca: str) -> requests.Session:
    session = requests.Session()
    session.mount("https://", _Strict(ca))
    # Without an auth of its own requests puts what ~/.netrc says in the place of the token.
    session.auth = _as_it_is
    # The API answers where it is asked; whoever redirects us would get the token, or our objects.
    session.max_redirects = 0
    return session


class _Strict(HTTPAdapter):
    """Lets the given authority decide alone, and gives up at last.

    Said at the session, requests would prefer $REQUESTS_CA_BUNDLE to the authority; a time limit it has none of.
    """

    def __init__(self, ca: str) -> None:
        super().__init__()
        self._ca = ca

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """As requests does, within the limit."""
        trusted = self._ca or options.get("verify") or True
        return super().send(request, *args, **{**options, "timeout": _TIMEOUT_S, "verify": trusted})


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _refusal(error: pynetbox.RequestError, batch: Sequence[Mapping[str, Any]]) -> str:
    """What NetBox says, with the name of the object that it says it of."""
    status = error.req.status_code
    if status in {401, 403}:
        return f"NetBox answers {status}: the token is not accepted, or may not do this ({error.req.request.method} {error.base})"
    try:
        said = error.req.json()
    except ValueError:
        return f"NetBox answers {status} {error.req.reason} to {error.req.request.method} {error.base}"
    for item, refused in zip(batch, said if isinstance(said, list) else (), strict=False):
        if refused:
            which = item.get("name") or item.get("address") or item.get("id") or item
            return f"NetBox refuses {which!r} ({error.base}): {refused}"
    return f"NetBox answers {status} to {error.req.request.method} {error.base}: {said}"
