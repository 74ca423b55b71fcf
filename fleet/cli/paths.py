"""Where the journal lies unless somebody says otherwise."""

import os
from pathlib import Path

DEFAULT_JOURNAL = Path(".fleet/journal.db")
"""Beside the work, not in the home directory: a rollout belongs to the inventory it was started from."""


def journal_path(named: Path | None) -> Path:
    """The journal that was named, else `$FLEET_JOURNAL`, else DEFAULT_JOURNAL."""
    if named is not None:
        return named
    return Path(os.environ.get("FLEET_JOURNAL") or DEFAULT_JOURNAL)
