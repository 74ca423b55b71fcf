"""One BMC, one request in flight: reads are retried, effects are sent once. Knows HTTP and errors, no resources."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redfish.aio import AsyncRedfishClient

from fleet.clock import Clock
from fleet.drivers.redfish import document, messages, tls
from fleet.drivers.redfish.document import NOTHING, Document
from fleet.drivers.redfish.retry_after import retry_after_s
from fleet.drivers.redfish.transport import Body, HttpTransport, LinkLost, NotSent, ReplyTooLong, Untrusted
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient
from fleet.limits import retrying
from inventory.model import Bmc

READ_S = 60.0
INVENTORY_S = 240.0
"""A cold DGX H100 takes two to three minutes for its firmware inventory (field guide 1.14, B.19)."""
FRESH_S = 5.0
"""An effect goes out only on a connection that answered this recently: on a stale one its fate would be unknown. Wall time:
what a middlebox or a BMC does to an idle socket is not compressed."""

OK = range(200, 300)
REDIRECTED = range(300, 400)
GONE = frozenset({404, 410})
UNAUTHORISED = 401
FORBIDDEN = 403
SERVER_ERROR = 500
TRANSIENT = frozenset({400, 408, 409, 423, 425, 429, 500, 502, 503, 504})
"""For reads. 400 among them: AMI answers so until it has booted (field guide 1.2, F24)."""


class Unauthorised(Exception):
    """401 to a request that carried our token: the session is gone, or never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole reply."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Document = field(repr=False)
    """Empty where there was none or, for an effect, none that could be read."""

    @property
    def told(self) -> tuple[messages.Message, ...]:
        """What the BMC says about the request."""
        return messages.of_reply(self.body)

    @property
    def sentence(self) -> str:
        """The status and the BMC's own words."""
        return ": ".join(filter(None, (f"HTTP {self.status}", messages.sentence(self.told))))

    @property
    def retry_after_s(self) -> float | None:
        """The BMC's hint, if it is one."""
        return retry_after_s(self.headers.get("Retry-After", ""), date=self.headers.get("Date", ""))


class Channel:
    """Requests to one BMC, in turn. Who is asking is decided by `use`."""

    def __init__(self, bmc: Bmc, transport: HttpTransport, clock: Clock) -> None:
        host = f"[{bmc.address}]" if ":" in bmc.address else bmc.address
        self.base = f"https://{host}:{bmc.port}"
        """The URL of the service; also what observations name as their source."""
        self.clock = clock
        self.went_silent = False
        """No answer came at least once since this was last set to False: one half of the proof of a restart."""
        self._bmc = bmc
        self._transport = transport
        self._turn = asyncio.Lock()
        self._anonymous = AsyncRedfishClient(self.base, session=transport)
        self._client = self._anonymous
        self._answered_at: float | None = None

    def use(self, *, token: str, session: str) -> None:
        """From now on send this session's token. Without a password the client cannot log in behind our back."""
        self._client = AsyncRedfishClient(
            self.base, session=self._transport, session_key=token, session_location=session
        )

    async def use_basic(self, user: str, password: str) -> None:
        """From now on send the password with each request: only where a service has no sessions at all."""
        client = AsyncRedfishClient(self.base, username=user, password=password, session=self._transport)
        await client.login(auth="basic")
        self._client = client

    def use_nobody(self) -> None:
        """From now on send no credentials."""
        self._client = self._anonymous

    async def drop(self) -> None:
        """Close the connection."""
        async with self._turn:
            await self._transport.drop()

    async def close(self) -> None:
        """Close the connection for good."""
        await self._transport.close()

    async def get(self, path: str, *, read_s: float = READ_S) -> Reply:
        """Read a resource that must be there; retried while that may help.

        Raises:
            Transient: still no readable answer after the last attempt.
            NodeFault: PROTOCOL: an answer that will not get better. UNTRUSTED_TLS.
            Unauthorised: 401.
        """
        reply = await self.find(path, read_s=read_s)
        if reply is None:
            raise NodeFault(Reason.PROTOCOL, f"{self.base}{path} is not there, though the BMC links to it")
        return reply

    async def find(self, path: str, *, read_s: float = READ_S) -> Reply | None:
        """As `get`; None where the BMC does not know the resource (404, 410)."""
        return await retrying(lambda: self._read(path, read_s), clock=self.clock)

    async def send(
        self, method: str, path: str, body: dict[str, Any] | Body | None, *, effect: str, read_s: float = READ_S
    ) -> Reply:
        """Send an effect, once. Any status is an answer, left to the caller to judge.

        Args:
            method: POST, PATCH or DELETE.
            path: where to.
            body: JSON, something to stream, or nothing.
            effect: names it in errors.
            read_s: seconds of field time until an answer is given up.

        Raises:
            Transient: it was not sent.
            OutcomeUnknown: it may have been.
        """
        if self._answered_at is None or self.clock.wall_s() - self._answered_at > FRESH_S:
            await self.drop()
        headers = None
        if isinstance(body, Body):
            headers = {"Content-Type": body.content_type, "Content-Length": str(body.size_bytes)}
        try:
            return await self._once(method, path, body=body, headers=headers, read_s=read_s)
        except NotSent as error:
            raise Transient(f"{self.base}: {effect} was not sent: {error}") from None
        except LinkLost as error:
            raise OutcomeUnknown(effect, f"{self.base}: {effect}: no answer came: {error}") from None

    async def _read(self, path: str, read_s: float) -> Reply | None:
        where = f"{self.base}{path}"
        try:
            reply = await self._once("GET", path, read_s=read_s)
        except ReplyTooLong as error:
            raise NodeFault(Reason.PROTOCOL, f"{where}: {error}") from None
        except (NotSent, LinkLost) as error:
            raise Transient(f"{where}: {error}") from None
        if reply.status in GONE:
            return None
        if reply.status == UNAUTHORISED:
            raise Unauthorised(where)
        if reply.status in TRANSIENT or reply.status > SERVER_ERROR:
            raise Transient(f"{where}: {reply.sentence}", retry_after_s=reply.retry_after_s)
        if reply.status == FORBIDDEN:
            raise NodeFault(Reason.LOGIN_REFUSED, f"{where}: not allowed for this user or licence: {reply.sentence}")
        if reply.status in REDIRECTED:
            raise NodeFault(Reason.PROTOCOL, f"{where}: redirects are not followed: {reply.sentence}")
        if reply.status not in OK:
            raise NodeFault(Reason.PROTOCOL, f"{where}: {reply.sentence}")
        return reply

    async def _once(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | Body | None = None,
        headers: dict[str, str] | None = None,
        read_s: float = READ_S,
    ) -> Reply:
        async with self._turn:
            timeout_s = self.clock.io_timeout_s(read_s)
            try:
                # The client's own verbs differ in nothing but the method; `_request` is what they call.
                ask = getattr(self._client, method.lower())
                extra = {} if body is None else {"body": body}
                raw = await ask(path, headers=headers, timeout=timeout_s, **extra)
            except Untrusted as error:
                raise tls.refusal(self._bmc, error.fingerprint) from None
            except (NotSent, LinkLost):
                self.went_silent = True
                self._answered_at = None
                raise
            self._answered_at = self.clock.wall_s()
        return _reply(method, f"{self.base}{path}", raw)


def _reply(method: str, where: str, raw: Any) -> Reply:
    """Parse what came. A read needs a readable body; for an effect the status is answer enough."""
    headers = dict(raw.getheaders())
    try:
        body = document.parse(raw.read)
    except document.Unreadable as error:
        if method == "GET" and raw.status in OK and raw.status != 204:  # noqa: PLR2004 (No Content)
            raise Transient(f"{where}: {error}") from None
        body = NOTHING
    return Reply(status=raw.status, headers=_Headers(headers), body=body)


class _Headers(dict[str, str]):
    """Headers found in any case."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in headers.items()})

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)
