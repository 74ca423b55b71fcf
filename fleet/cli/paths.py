"""Where the journal lies unless somebody says otherwise."""

from pathlib import Path

DEFAULT_JOURNAL = Path(".fleet/journal.db")
"""Beside the work, not in the home directory: a rollout belongs to the inventory it was started from. Commands take another
from `--journal` or `$FLEET_JOURNAL`."""
JOURNAL_VARIABLE = "FLEET_JOURNAL"
