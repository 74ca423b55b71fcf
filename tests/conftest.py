"""Puts `tests/` on the import path, so that tests can import `support`."""

import hypothesis  # noqa: F401  its plugin else imports it in the summary, deep in the stack, where CPython 3.11.7 fails to parse (SystemError)
