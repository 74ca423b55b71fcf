"""What is installed on a node's disk: one OS, with a host key and a machine id of its own per installation."""

import hashlib

import asyncssh
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Disk:
    """The disk that a node boots from."""

    def __init__(self, salt: str, version_id: str) -> None:
        """`version_id` of the OS at the start (empty: bare metal). Keys and ids are a pure function of `salt`."""
        self._salt = salt
        self._key: asyncssh.SSHKey | None = None
        self.installation = 0
        """Number of installations, the one at the start included."""
        self.version_id = ""
        """Empty: nothing is installed."""
        self.folders: set[str] = set()
        """Made by somebody since it was installed."""
        self._identity = 0
        """Number of the installation whose keys and ids it has."""
        if version_id:
            self.install(version_id)

    @property
    def name(self) -> str:
        """Its stable name."""
        return f"/dev/disk/by-id/nvme-eui.{self._digest('disk').hex()[:16]}"

    @property
    def machine_id(self) -> str:
        """Of the installed OS, or empty."""
        return self._digest("machine").hex()[:32] if self.version_id else ""

    @property
    def host_key(self) -> asyncssh.SSHKey | None:
        """Of the installed OS; made when somebody asks for it."""
        if not self.version_id:
            return None
        if self._key is None:
            raw = Ed25519PrivateKey.from_private_bytes(self._digest("host key"))
            form, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            self._key = asyncssh.import_private_key(raw.private_bytes(serialization.Encoding.PEM, form, plain))
        return self._key

    @property
    def host_key_line(self) -> str:
        """The OpenSSH public key line of the installed OS, or empty."""
        key = self.host_key
        return "" if key is None else public_line(key)

    def wipe(self) -> None:
        """Writing begins: what was installed is gone."""
        self.version_id, self._key = "", None
        self.folders.clear()

    def install(self, version_id: str, *, golden: str = "") -> None:
        """An OS is complete on it. `golden`: not empty where the image brings the keys and ids of the installation before."""
        self.installation += 1
        self._identity = self._identity if golden else self.installation
        self.version_id, self._key = version_id, None

    def _digest(self, what: str) -> bytes:
        number = 0 if what == "disk" else self._identity
        return hashlib.sha256(f"{self._salt}/{what}/{number}".encode()).digest()


def public_line(key: asyncssh.SSHKey) -> str:
    """The OpenSSH public key line of `key`, without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])
