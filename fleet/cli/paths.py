"""Where the journal lies unless somebody says otherwise, and where the playbooks lie that ship."""

from pathlib import Path

import typer

from inventory.text import nearest
from playbooks import LIBRARY

DEFAULT_JOURNAL = Path(".fleet/journal.db")
"""Beside the work, not in the home directory: a rollout belongs to the inventory it was started from. Commands take another
from `--journal` or `$FLEET_JOURNAL`."""
JOURNAL_VARIABLE = "FLEET_JOURNAL"


def playbook_file(given: str) -> Path:
    """A playbook's path as it was given, or that of a shipped one by its name. Raises BadParameter, which is exit code 2."""
    path, shipped = Path(given), LIBRARY / f"{given}.yaml"
    if path.is_file():
        return path
    if given == Path(given).name and shipped.is_file():
        return shipped
    known = sorted(each.stem for each in LIBRARY.glob("*.yaml"))
    raise typer.BadParameter(f"no file {given!r}, and no playbook of that name ships; {nearest(given, known)}")
