"""`fleet inventory`: hand on what was declared, joined with what was last observed. stdout is the document."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import opened
from fleet.cli.paths import DEFAULT_JOURNAL, JOURNAL_VARIABLE
from fleet.errors import Halt, UsageError
from fleet.exits import Exit
from fleet.sightings import sightings
from inventory.exporters import ansible
from inventory.exporters.exporter import Consent, Destination, Exporter, ExportError, Kind, Outcome, find
from inventory.exporters.json_document import SCHEMA
from inventory.exporters.snapshot import Sighting, Snapshot
from inventory.load import load
from inventory.model import Node, NodeId, SecretRef
from inventory.select import SelectorError, parse_selector

File = Annotated[
    Path | None,
    typer.Argument(envvar="FLEET_INVENTORY", help="inventory of the hall (YAML)", exists=True, dir_okay=False),
]
To = Annotated[str | None, typer.Option("--to", help="json, csv, ansible, netbox, or what a package brings")]
Select = Annotated[str, typer.Option("--select", help="only these nodes: model=DGXH100,rack=r[01-12],!tenant=acme")]
JournalFile = Annotated[
    Path | None,
    typer.Option("--journal", "-j", envvar=JOURNAL_VARIABLE, help=f"what was observed; unless given {DEFAULT_JOURNAL}"),
]
Rollout = Annotated[
    str | None,
    typer.Option("--rollout", help="what this one observed; unless given, for each node the newest that had it"),
]
List = Annotated[bool, typer.Option("--list", help="as an Ansible inventory script: every group and host")]
Host = Annotated[str | None, typer.Option("--host", help="as an Ansible inventory script: the variables of one host")]
Schema = Annotated[bool, typer.Option("--schema", help="print the JSON Schema of `--to json`")]
Url = Annotated[str, typer.Option("--url", help="of the system, such as https://netbox.example.net")]
Token = Annotated[
    str | None, typer.Option("--token", help="where its token is kept: env:NAME, file:/path, keyring:service/user")
]
Ca = Annotated[
    Path | None, typer.Option("--ca", help="authority of its certificate (PEM)", exists=True, dir_okay=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="really change the system; without it this is a dry run")]


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(inventory)


def inventory(
    file: File = None,
    *,
    to: To = None,
    list_: List = False,
    host: Host = None,
    schema: Schema = False,
    select: Select = "",
    journal: JournalFile = None,
    rollout: Rollout = None,
    url: Url = "",
    token: Token = None,
    ca: Ca = None,
    yes: Yes = False,
) -> None:
    """Export the inventory with what was observed: JSON, CSV, Ansible, NetBox. A system is changed with --yes only.

    Example: [bold]fleet inventory hall.yaml --to csv > hall.csv[/]
    """
    if schema:
        sys.stdout.write(SCHEMA.read_text(encoding="utf-8"))
        return
    asked = [name for name, given in (("--to", to), ("--list", list_), ("--host", host)) if given]
    if len(asked) != 1 or file is None:
        raise UsageError(
            f"give {'one of --to, --list and --host' if file else 'an inventory (or set FLEET_INVENTORY)'}"
        )
    try:
        exporter = find(to or "ansible")
        destination = _destination(exporter, url=url, token=token, ca=ca, consent=yes)
        snapshot = _snapshot(file, select, _seen(journal, rollout))
        outcome = exporter.export(snapshot, destination) if host is None else _one(snapshot, host)
    except ExportError as error:
        raise _as_ours(error) from error
    sys.stdout.write(outcome.text)
    if outcome.conflicts:
        raise typer.Exit(Exit.NODES_FAILED)


def _destination(exporter: Exporter, *, url: str, token: str | None, ca: Path | None, consent: bool) -> Destination:
    if exporter.kind is Kind.DOCUMENT and (url or token or ca or consent):
        raise UsageError("--url, --token, --ca and --yes are for a system; this export is a document on stdout")
    try:
        ref = SecretRef.parse(token) if token is not None else None
    except ValueError:
        # What was given is not repeated: it may be the token itself.
        raise UsageError(
            "--token takes no token but where it is kept: env:NAME, file:/path, keyring:service/user"
        ) from None
    return Destination(url=url, token=ref, ca=ca, consent=Consent.APPLY if consent else Consent.DRY_RUN)


def _snapshot(file: Path, select: str, seen: "_Seen") -> Snapshot:
    hall = load(file)
    try:
        nodes = parse_selector(select).nodes(hall)
    except SelectorError as error:
        raise UsageError(f"--select: {error}") from error
    if not nodes:
        raise UsageError(f"--select matches no node of {file}")
    return Snapshot.of(hall, nodes, seen.of(nodes))


class _Seen:
    """The sightings of a journal, read as far as needed: newest rollout first, until every node has one."""

    def __init__(self, journal: Path | None, rollout: str | None) -> None:
        self._journal, self._rollout = journal, rollout

    def of(self, nodes: Sequence[Node]) -> Mapping[NodeId, Sighting]:
        """By node; one that no rollout had is missing."""
        if self._journal is None:
            return {}
        missing = {node.id for node in nodes}
        found: dict[NodeId, Sighting] = {}
        with opened.view(self._journal) as view:
            chosen = [opened.pick(view, self._rollout)] if self._rollout else [row.id for row in view.rollouts()]
            for rollout in chosen:
                if not missing:
                    break
                for node, sighting in sightings(rollout, view.read(rollout)).items():
                    if node in missing:
                        found[node] = sighting
                        missing.discard(node)
        return found


def _seen(journal: Path | None, rollout: str | None) -> _Seen:
    """A journal that was named must be there; the default one may not have been begun."""
    if journal is None and (DEFAULT_JOURNAL.exists() or rollout):
        journal = DEFAULT_JOURNAL
    return _Seen(journal, rollout)


def _one(snapshot: Snapshot, host: str) -> Outcome:
    return Outcome(text=ansible.text(ansible.host(snapshot, host)))


def _as_ours(error: ExportError) -> UsageError | Halt:
    if not error.written:
        return UsageError(str(error))
    return Halt(f"{error}; {error.written} objects were written before and stay: the next run goes on from them")
