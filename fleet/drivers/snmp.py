"""SNMPv3, authPriv only: GET and SET of integers and short texts. pysnmp behind the three calls that PDUs need.

An engine costs 100 ms and a SET or GET 4 to 6 ms of CPU once it is warm; above 50 requests in flight its one socket loses replies
(measurements.md). So one engine serves all devices of a credential, and 50 requests of all engines are in flight at most.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pysnmp.error import PySnmpError
from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import errind, rfc1902, rfc1905

from fleet.clock import Clock
from fleet.errors import NodeFault, NotDone, OutcomeUnknown, Reason, Transient
from inventory.secrets import Secret

IN_FLIGHT = 50
"""Measured: 50 lost nothing, 200 lost 3 to 11 % (measurements.md)."""
_REPLY_S = 5.0
"""A PDU's controller answers in milliseconds, and in seconds while somebody uses its web page [inf]."""
_DISCOVERIES = 6
"""Messages of one call at most: engine discovery and time synchronisation come before it (RFC 3414 section 4)."""
_TEXT_LIMIT = 255
"""DisplayString's own bound (RFC 2579)."""

Oid = tuple[int, ...]


class Auth(StrEnum):
    """How messages are signed (RFC 3414, RFC 7860)."""

    SHA = "SHA"
    SHA256 = "SHA-256"
    SHA512 = "SHA-512"


class Priv(StrEnum):
    """How messages are encrypted (RFC 3826); DES is not offered."""

    AES = "AES"
    AES256 = "AES-256"


_AUTH = {
    Auth.SHA: hlapi.USM_AUTH_HMAC96_SHA,
    Auth.SHA256: hlapi.USM_AUTH_HMAC192_SHA256,
    Auth.SHA512: hlapi.USM_AUTH_HMAC384_SHA512,
}
_PRIV = {Priv.AES: hlapi.USM_PRIV_CFB128_AES, Priv.AES256: hlapi.USM_PRIV_CFB256_AES}

_NOT_ALLOWED = frozenset(
    {"noAccess", "notWritable", "readOnly", "authorizationError", "noCreation", "noSuchName", "wrongType", "wrongValue"}
)
"""SNMP error-status values of a SET that say that nothing was changed (RFC 3416 section 4.2.5)."""
_SILENT = (errind.RequestTimedOut, errind.EmptyResponse)
_SHORTEST_KEY = 8
"""Characters (RFC 3414 section 11.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpUser:
    """A user of the User-based Security Model. Keys are pass phrases, localised to each device by pysnmp (RFC 3414 A.2)."""

    name: str
    auth_key: Secret
    priv_key: Secret
    auth: Auth = Auth.SHA
    priv: Priv = Priv.AES


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a device answers, and as whom it is asked."""

    device: str
    """Its id in the inventory, for messages."""
    address: str
    port: int = 161
    user: SnmpUser


@dataclass(slots=True)
class Snmp:
    """Everything that this process asks by SNMP."""

    clock: Clock
    _engines: dict[tuple[str, ...], tuple[Any, Any]] = field(default_factory=dict, repr=False)
    _targets: dict[tuple[str, int], Any] = field(default_factory=dict, repr=False)
    _binds: dict[tuple[Oid, int | None], Any] = field(default_factory=dict, repr=False)
    """Resolved once: resolving costs three times what the request does (measurements.md)."""
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT), repr=False)

    async def get(self, where: Endpoint, oid: Oid) -> int | str | None:
        """One value; None where the device has nothing at `oid`.

        Raises:
            Transient: no answer.
            NodeFault: LOGIN_REFUSED for a wrong user or key, PROTOCOL for what no agent should answer.
        """
        try:
            status, value = await self._ask(hlapi.get_cmd, where, self._bind(oid))
        except TimeoutError as silence:
            raise Transient(f"{where.device}: no SNMP answer from {where.address}:{where.port}") from silence
        if status:
            raise NodeFault(Reason.PROTOCOL, f"{where.device}: answers a GET with {status}")
        return _plain(where, value)

    async def put(self, where: Endpoint, oid: Oid, number: int) -> None:
        """SET one integer, sent once.

        Raises:
            NodeFault: LOGIN_REFUSED, or NO_ACTIVATION where the device does not let this user: nothing was changed.
            OutcomeUnknown: no answer came, or one that leaves it open.
        """
        try:
            status, _ = await self._ask(hlapi.set_cmd, where, self._bind(oid, number))
        except NodeFault as refused:
            if refused.reason is Reason.LOGIN_REFUSED:
                raise NotDone(refused.reason, str(refused)) from refused
            raise
        except TimeoutError as silence:
            raise OutcomeUnknown("set", f"{where.device}: no answer to an SNMP SET") from silence
        if status in _NOT_ALLOWED:
            message = f"{where.device}: does not let user {where.user.name} set {_dotted(oid)} ({status}): give it write access"
            raise NodeFault(Reason.NO_ACTIVATION, message)
        if status:
            raise OutcomeUnknown("set", f"{where.device}: answered the SET with {status}")

    def close(self) -> None:
        """Close the sockets."""
        for engine, _ in self._engines.values():
            engine.close_dispatcher()
        self._engines.clear()
        self._targets.clear()

    async def _ask(self, how: Callable[..., Awaitable[Any]], where: Endpoint, bind: Any) -> tuple[str, Any]:
        """(error status or empty, value). TimeoutError: nobody answered."""
        async with self._turn:
            engine, user = self._engine(where)
            # Retransmissions are ours to decide: a SET that comes twice, the second time late, would undo what followed.
            limit_s = self.clock.io_timeout_s(_REPLY_S)
            try:
                target = await self._target(where, limit_s)
                async with asyncio.timeout(limit_s * _DISCOVERIES):
                    failed, status, _, found = await how(
                        engine, user, target, hlapi.ContextData(), bind, lookupMib=False
                    )
            except PySnmpError as error:
                raise NodeFault(Reason.PROTOCOL, f"{where.device}: SNMP: {error}") from error
        if isinstance(failed, _SILENT):
            raise TimeoutError
        if failed is not None:
            message = (
                f"{where.device}: SNMP user {where.user.name} is refused ({failed}); check user, keys and protocols"
            )
            raise NodeFault(Reason.LOGIN_REFUSED, message)
        return ("" if not int(status) else str(status.prettyPrint())), found[0][1] if found else None

    def _engine(self, where: Endpoint) -> tuple[Any, Any]:
        """Keys of one user name must be the same throughout an engine, so each credential has its own: one, in most halls."""
        user = where.user
        key = (user.name, user.auth, user.priv, user.auth_key.reveal(), user.priv_key.reveal())
        if key not in self._engines:
            if min(len(user.auth_key.reveal()), len(user.priv_key.reveal())) < _SHORTEST_KEY:
                message = (
                    f"{where.device}: both SNMP keys of user {user.name} need {_SHORTEST_KEY} characters (RFC 3414)"
                )
                raise NodeFault(Reason.LOGIN_REFUSED, message)
            identity = hlapi.UsmUserData(
                user.name,
                user.auth_key.reveal(),
                user.priv_key.reveal(),
                authProtocol=_AUTH[user.auth],
                privProtocol=_PRIV[user.priv],
            )
            self._engines[key] = hlapi.SnmpEngine(), identity
        return self._engines[key]

    async def _target(self, where: Endpoint, limit_s: float) -> Any:
        key = (where.address, where.port)
        if key not in self._targets:
            kind = hlapi.Udp6TransportTarget if ":" in where.address else hlapi.UdpTransportTarget
            self._targets[key] = await kind.create(key, timeout=limit_s, retries=0)
        return self._targets[key]

    def _bind(self, oid: Oid, number: int | None = None) -> Any:
        key = (oid, number)
        if key not in self._binds:
            value = () if number is None else (rfc1902.Integer32(number),)
            self._binds[key] = hlapi.ObjectType(hlapi.ObjectIdentity(oid), *value)
        return self._binds[key]


def _plain(where: Endpoint, value: Any) -> int | str | None:
    match value:
        case None | rfc1905.NoSuchObject() | rfc1905.NoSuchInstance() | rfc1905.EndOfMibView() | rfc1902.Null():
            return None
        case rfc1902.OctetString():
            text = bytes(value)[:_TEXT_LIMIT].decode("utf-8", "replace")
            return "".join(character for character in text if character.isprintable())
        case rfc1902.Integer32() | rfc1902.Integer() | rfc1902.Unsigned32() | rfc1902.Counter32() | rfc1902.Gauge32():
            return int(value)
        case _:
            raise NodeFault(Reason.PROTOCOL, f"{where.device}: answers with a {type(value).__name__}")


def _dotted(oid: Oid) -> str:
    return ".".join(map(str, oid))
