"""Fetching a secret from where it is kept, at the moment of use, and keeping it out of sight until it is used."""

from __future__ import annotations

import os
import stat
from typing import NoReturn

import keyring
import keyring.errors

from inventory.model import SecretRef, SecretScheme

SIZE_LIMIT_BYTES = 65_536
"""Larger than any password or private key; a wrong path must not fill the memory."""


class SecretError(Exception):
    """A secret cannot be had. Its text names the reference and what to do, never the value."""

    def __init__(self, ref: SecretRef, message: str) -> None:
        self.ref = ref
        super().__init__(f"{ref}: {message}")


class Secret:
    """A password that does not show itself: not in repr, str, format, a pickle or a traceback's locals."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The password, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere: pass its SecretRef and resolve it there")


def resolve(ref: SecretRef) -> Secret:
    """Fetch the secret that a reference names. Blocks: a keyring may ask its daemon.

    Raises:
        SecretError: it is not there, is empty, or is readable by others.
    """
    if ref.scheme is SecretScheme.ENV:
        value = os.environ.get(ref.name)
        if value is None:
            raise SecretError(ref, f"the variable is not set; set {ref.name} in the environment of the engine")
    elif ref.scheme is SecretScheme.FILE:
        value = _from_file(ref)
    else:
        value = _from_keyring(ref)
    if not value:
        raise SecretError(ref, "is empty")
    return Secret(value)


def _from_file(ref: SecretRef) -> str:
    """The first line of the file, without its end."""
    try:
        # Without O_NONBLOCK the open of a named pipe would wait for a writer.
        descriptor = os.open(ref.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SecretError(ref, f"cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(ref, "is not a file")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretError(ref, f"can be read or written by others; run: chmod 600 {ref.name}")
        if status.st_size > SIZE_LIMIT_BYTES:
            raise SecretError(ref, f"is larger than {SIZE_LIMIT_BYTES} bytes; is it the right file?")
        return os.read(descriptor, SIZE_LIMIT_BYTES).partition(b"\n")[0].rstrip(b"\r").decode()
    except UnicodeDecodeError:
        raise SecretError(ref, "is not UTF-8 text") from None
    except OSError as error:
        raise SecretError(ref, f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _from_keyring(ref: SecretRef) -> str:
    service, _, user = ref.name.rpartition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise SecretError(ref, f"the keyring cannot be read ({type(error).__name__})") from None
    if value is None:
        raise SecretError(ref, f"is not in the keyring; run: keyring set {service} {user}")
    return value
