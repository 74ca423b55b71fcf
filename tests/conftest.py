"""Puts `tests/` on the import path, so that tests can import `support`."""
