"""What a phone-home says, read without trust: whoever reaches the server may post (field guide 3.4, F57). Pure."""

import base64
import binascii
import ipaddress
import json
import re
import uuid
from typing import Any

from fleet.edges import PhoneHome

MAX_BODY_BYTES = 16 * 1024
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_KEY_CHARS = 2048
"""An RSA key of 8,192 bits has 1,400."""
_TEXT_CHARS = 128
_VERSION = re.compile(r"[A-Za-z0-9._+~-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class NotAPhoneHome(ValueError):
    """The text says what is wrong with it, and repeats nothing of it."""


def read_phone_home(body: bytes) -> tuple[str, PhoneHome]:
    """Token and content of a phone-home.

    Raises:
        NotAPhoneHome: a field is absent, too long, or of the wrong kind.
    """
    if len(body) > MAX_BODY_BYTES:
        raise NotAPhoneHome(f"longer than {MAX_BODY_BYTES} bytes")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAPhoneHome("not JSON") from None
    if not isinstance(said, dict):
        raise NotAPhoneHome("no JSON object")
    home = PhoneHome(
        serial=_text(said, "serial"),
        uuid=_uuid(_text(said, "uuid")),
        host_key=host_key_line(_text(said, "host_key", _KEY_CHARS)),
        address=_address(_text(said, "address")),
        os_release=_matching(_VERSION, said, "version_id"),
        image_sha256=_matching(_SHA256, said, "image_sha256") if said.get("image_sha256") else "",
    )
    return _matching(TOKEN, said, "token"), home


def host_key_line(text: str) -> str:
    """An OpenSSH public key line without its comment: the type and a blob that names the same type (RFC 4253, 6.6)."""
    kind, _, rest = text.strip().partition(" ")
    blob = rest.strip().partition(" ")[0]
    try:
        content = base64.b64decode(blob, validate=True)
    except (ValueError, binascii.Error):
        raise NotAPhoneHome("'host_key' is not base64") from None
    named = kind.encode()
    if kind not in _KEY_TYPES or content[:4] != len(named).to_bytes(4) or content[4 : 4 + len(named)] != named:
        raise NotAPhoneHome("'host_key' is no OpenSSH public key of a kind in use")
    return f"{kind} {blob}"


def _text(said: dict[str, Any], name: str, limit: int = _TEXT_CHARS) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > limit or not value.isprintable():
        raise NotAPhoneHome(f"'{name}' is not a printable text of 1 to {limit} characters")
    return value.strip()


def _matching(pattern: re.Pattern[str], said: dict[str, Any], name: str) -> str:
    text = _text(said, name)
    if not pattern.fullmatch(text):
        raise NotAPhoneHome(f"'{name}' does not look like one")
    return text


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise NotAPhoneHome("'uuid' is no UUID") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise NotAPhoneHome("'address' is no IP address") from None
