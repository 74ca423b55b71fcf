"""What an inventory refers to and does not hold: secrets, and files that stand beside it."""

from __future__ import annotations

import os
from pathlib import Path

from inventory.document import Value
from inventory.model import SecretRef
from inventory.text import InputError


def read_secret(value: Value, *, of: str) -> SecretRef:
    """Where a secret is kept.

    Args:
        value: `env:NAME`, `file:/path` or `keyring:service/user`.
        of: whose it is, for messages: `credential 'bmc'`.

    Raises:
        InputError: anything else. Its text does not repeat the value: it may be the secret itself.
    """
    try:
        return SecretRef.parse(value.text())
    except InputError:
        raise
    except ValueError:
        raise value.error(
            f"the {value.what} of {of} is not a reference",
            hint="a secret never stands in this file; write env:NAME, file:/path or keyring:service/user",
        ) from None


def read_file(value: Value) -> Path:
    """The absolute path of a file that is there; a relative one counts from the folder of the file that names it.

    Raises:
        InputError: it is not there, or this user may not look.
    """
    text = value.text()
    try:
        path = Path(os.path.realpath(Path(value.file).parent / text))
        if path.is_file():
            return path
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise value.error(f"{value.what} {text!r} cannot be looked for: {reason}") from None
    raise value.error(f"{value.what} {text!r} is not there", hint=f"looked for {path}")
