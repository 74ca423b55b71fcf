"""What to do to one node: steps, and the playbooks that order them."""

from pathlib import Path

LIBRARY = Path(__file__).parent / "library"
"""Playbooks, burn-in profiles and templates that ship."""
