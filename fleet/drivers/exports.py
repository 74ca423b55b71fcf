"""Hand one node on by an exporter (fleet.edges.Edges.publish): documents into a directory, systems over the network.

Exporters are synchronous and run in threads. Documents are files of their own, one for each node and exporter. Systems are
spoken to one node at a time: two at once would both create the site, the rack or the switch that neither has found.
"""

import asyncio
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from fleet.errors import NodeFault, Reason, Transient
from inventory.exporters.exporter import Consent, Destination, Exporter, ExportError, Kind, Outcome, find
from inventory.exporters.snapshot import Sighting, Snapshot
from inventory.model import Inventory
from inventory.secrets import SecretError

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}", re.ASCII)
"""As inventory.placing has ids: no path, nothing hidden."""
_SHOWN_LINES, _SHOWN_CHARS = 3, 300
_BUSY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""What a proxy says while the system behind it restarts."""


class Exports:
    """See the module. Nothing has to be closed."""

    def __init__(self, inventory: Inventory, directory: Path) -> None:
        """`directory`: where documents go, as `NODE.EXPORTER`; made when the first one is written."""
        self._inventory = inventory
        self._directory = directory
        # One thread: a call whose caller went away is finished before the next one begins, which no lock would see to.
        self._systems = ThreadPoolExecutor(max_workers=1, thread_name_prefix="exports")

    async def publish(self, exporter: str, sighting: Sighting) -> str:
        """See fleet.edges.Edges."""
        try:
            found = await asyncio.to_thread(find, exporter)  # imports it
        except ExportError as unknown:
            raise NodeFault(Reason.NO_EDGE, str(unknown)) from unknown
        node = self._inventory.node(sighting.node)
        snapshot = Snapshot.of(self._inventory, [node], {node.id: sighting})
        if found.kind is Kind.DOCUMENT:
            return await asyncio.to_thread(self._write, exporter, found, snapshot)
        destination = self._destination(exporter)
        return await asyncio.get_running_loop().run_in_executor(
            self._systems, _hand_on, exporter, found, snapshot, destination
        )

    def _destination(self, exporter: str) -> Destination:
        target = self._inventory.exports.get(exporter)
        if target is None:
            raise NodeFault(
                Reason.NO_EDGE,
                f"nobody said where {exporter} is: the inventory needs"
                f" `exports: {{{exporter}: {{url: https://HOST, token: env:NAME}}}}`",
            )
        return Destination(url=target.url, token=target.token, ca=target.ca, consent=Consent.APPLY)

    def _write(self, exporter: str, found: Exporter, snapshot: Snapshot) -> str:
        name = f"{snapshot.entries[0].node.id}.{exporter}"
        if not _FILE.fullmatch(name):
            raise NodeFault(
                Reason.EXPORT_REFUSED, f"{name[:80]!r} is no name of a file: rename the node or the exporter"
            )
        outcome = _told(exporter, lambda: found.export(snapshot, Destination()))
        path = self._directory / name
        try:
            _replace(path, outcome.text)
        except OSError as error:
            raise NodeFault(
                Reason.EXPORT_REFUSED,
                f"{path} cannot be written: {error.strerror}; what was there before is there still",
            ) from error
        return str(path)


def _replace(path: Path, text: str) -> None:
    """Old or new, never half, and on the disk when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")  # no id begins with a dot
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _hand_on(exporter: str, found: Exporter, snapshot: Snapshot, destination: Destination) -> str:
    outcome = _told(exporter, lambda: found.export(snapshot, destination))
    if outcome.conflicts:
        lines = outcome.text.splitlines()
        said = [line for line in lines if line.startswith("!")] or lines
        raise NodeFault(
            Reason.EXPORT_REFUSED,
            f"{exporter} says something else of {outcome.conflicts} objects, which were left as they are:"
            f" {_short('; '.join(said[:_SHOWN_LINES]))}",
        )
    summary = outcome.text.strip().rpartition("\n")[2]
    return f"{exporter} at {urlsplit(destination.url).hostname}: {_short(summary)}"


def _told(exporter: str, export: Callable[[], Outcome]) -> Outcome:
    """The outcome. Raises Transient if asking again may help, NodeFault if not; what exporters raise holds no secret."""
    try:
        return export()
    except SecretError as lost:
        raise NodeFault(Reason.NO_EDGE, f"the token of {exporter} cannot be had: {lost}") from lost
    except ExportError as error:
        if _passes(error):
            raise Transient(str(error)) from error
        raise NodeFault(Reason.EXPORT_REFUSED, str(error)) from error


def _passes(error: ExportError) -> bool:
    """Whether it is a matter of not answering: by what the exporter met, which Python keeps as the context of its error."""
    import pynetbox  # noqa: PLC0415 (with requests 0.2 s to import, and rarely needed)
    import requests  # noqa: PLC0415 (as above)

    match error.__context__:
        case requests.exceptions.SSLError():
            return False
        case requests.ConnectionError() | requests.Timeout() | requests.exceptions.ChunkedEncodingError():
            return True
        case pynetbox.RequestError() as refused:
            return refused.req.status_code in _BUSY
    return False


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _SHOWN_CHARS else f"{plain[:_SHOWN_CHARS]}..."
