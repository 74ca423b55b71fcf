"""Secrets: found where they are kept, and seen nowhere else."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import NoKeyringError

from inventory.model import SecretRef, SecretScheme
from inventory.secrets import Secret, SecretError, resolve

PASSWORD = "corr€ct horse"


class InMemoryKeyring(KeyringBackend):
    """A real keyring backend that forgets."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        """The one password it holds; no keyring at all for the service `broken`."""
        if service == "broken":
            raise NoKeyringError(PASSWORD)
        return PASSWORD if (service, username) == ("fleet/wave", "bmc") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Forget it."""

    def delete_password(self, service: str, username: str) -> None:
        """Nothing was kept."""


@pytest.fixture
def _keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(InMemoryKeyring())  # type: ignore[no-untyped-call]  # its base class is untyped
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize("text", ["env:FLEET_BMC", "file:/etc/fleet/bmc", "keyring:fleet/wave/bmc"])
def test_a_reference_reads_back_as_written(text: str) -> None:
    assert str(SecretRef.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["hunter2", "", "env:", "env:A B", "env:1X", "file:relative", "keyring:nouser", "keyring:/u", "http://x", "ENV:X"],
)
def test_what_is_no_reference_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="not a reference to a secret") as caught:
        SecretRef.parse(text)
    assert text not in str(caught.value) or text in {"", "env:"}


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SecretRef.parse("env:FLEET_TEST_SECRET")
    with pytest.raises(SecretError, match=r"^env:FLEET_TEST_SECRET: the variable is not set"):
        resolve(ref)
    monkeypatch.setenv("FLEET_TEST_SECRET", PASSWORD)
    assert resolve(ref).reveal() == PASSWORD
    monkeypatch.setenv("FLEET_TEST_SECRET", "")
    with pytest.raises(SecretError, match="is empty"):
        resolve(ref)


def test_from_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{PASSWORD}\nsecond line\n")
    ref = SecretRef(scheme=SecretScheme.FILE, name=str(file))
    file.chmod(0o640)
    with pytest.raises(SecretError, match="run: chmod 600") as caught:
        resolve(ref)
    assert PASSWORD not in str(caught.value)
    file.chmod(0o600)
    assert resolve(ref).reveal() == PASSWORD
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="is not UTF-8"):
        resolve(ref)


def test_files_that_hold_no_secret(tmp_path: Path) -> None:
    for name, words in (("none", "No such file"), ("", "is not a file")):
        with pytest.raises(SecretError, match=words):
            resolve(SecretRef(scheme=SecretScheme.FILE, name=str(tmp_path / name)))
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SecretError, match="is not a file"):
        resolve(SecretRef(scheme=SecretScheme.FILE, name=str(tmp_path / "pipe")))
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(10**6)
    (tmp_path / "large").chmod(0o600)
    with pytest.raises(SecretError, match="is larger than"):
        resolve(SecretRef(scheme=SecretScheme.FILE, name=str(tmp_path / "large")))


@pytest.mark.usefixtures("_keyring")
def test_from_the_keyring() -> None:
    assert resolve(SecretRef.parse("keyring:fleet/wave/bmc")).reveal() == PASSWORD
    with pytest.raises(SecretError, match="run: keyring set fleet/wave admin"):
        resolve(SecretRef.parse("keyring:fleet/wave/admin"))
    with pytest.raises(SecretError, match="NoKeyringError") as caught:
        resolve(SecretRef.parse("keyring:broken/bmc"))
    assert PASSWORD not in str(caught.value)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(PASSWORD)
    shown = (repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}")
    assert not [text for text in shown if PASSWORD in text]
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(secret)
