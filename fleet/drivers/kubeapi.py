"""Requests to one Kubernetes API server: bounded, over TLS that the declared CA vouches for, with a token from a secret reference.

The library (kubernetes_asyncio) knows paths, content types and TLS. Its models are not used: an answer is read here, no longer than
what a node and its pods can be, and as the data that it is.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aiohttp

from fleet.clock import Clock
from fleet.errors import NodeFault, Reason, Transient
from fleet.events import Json
from inventory.model import SecretRef
from inventory.secrets import SecretError, resolve

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, CoreV1Api

_ANSWER_S = 30.0
"""kubectl's own requests have no limit; the API server ends its at 60 s (--request-timeout)."""
_ANSWER_BYTES = 16 * 1024 * 1024
"""A node runs 110 pods by default and rarely more than 250 (Kubernetes, Considerations for large clusters); a pod is 10 to 50 kB."""
_AT_ONCE = 8
"""The API server shares itself out among everybody (API Priority and Fairness)."""
MANAGER = "fleetwave"
"""Who changed a field, in its managedFields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said to one request."""

    status: int
    body: Json
    """Of what was asked for, or a Status (meta/v1); empty where it was no JSON object."""
    retry_after_s: float = 0.0
    """Its Retry-After; 0 where it names none."""

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def words(self) -> str:
        """Its message, on one line."""
        said = self.body.get("message")
        return " ".join(said.split())[:300] if isinstance(said, str) and said else f"status {self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeAt:
    """Where a cluster's API server answers, and who we are there."""

    server: str
    """https://HOST:PORT."""
    ca: Path
    """Certificates of whoever may vouch for it, PEM."""
    token: SecretRef
    """Bearer token of a service account or user."""


Call = Callable[["ApiClient"], Awaitable[object]]


@dataclass(slots=True, kw_only=True)
class KubeApi:
    """One API server. Made when it is first asked: the library takes half a second to import."""

    at: KubeAt
    clock: Clock
    _client: "ApiClient | None" = None
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE), repr=False)

    async def ask(self, call: Call) -> Answer:
        """One request. A token that was refused is fetched anew once: those of service accounts are replaced every hour.

        Raises:
            Transient: no answer came, so that it is not known whether a change was made. NodeFault UNTRUSTED_TLS: somebody else
            answers there; LOGIN_REFUSED: the token cannot be had.
        """
        async with self._turn:
            answer = await self._once(call)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                await self._show_token()
                answer = await self._once(call)
        return answer

    async def may(self, verb: str, resource: str, subresource: str) -> Answer:
        """Whether our token may do so in every namespace: a SelfSubjectAccessReview (authorization/v1). Raises as `ask`."""
        from kubernetes_asyncio.client import AuthorizationV1Api  # noqa: PLC0415 (as in `_connected`)

        attributes = {"verb": verb, "resource": resource, "subresource": subresource}
        body: Any = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        return await self.ask(
            lambda client: AuthorizationV1Api(client).create_self_subject_access_review(body, _preload_content=False)
        )

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _once(self, call: Call) -> Answer:
        client = await self._connected()
        try:
            async with asyncio.timeout(self.clock.io_timeout_s(_ANSWER_S)):
                # With _preload_content=False the library hands out the response of aiohttp, whatever its status.
                response = cast("aiohttp.ClientResponse", await call(client))
                async with response:
                    return await _read(response)
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise NodeFault(
                Reason.UNTRUSTED_TLS, f"{self.at.server} does not prove who it is by {self.at.ca} ({error})"
            ) from error
        except TimeoutError as error:
            raise Transient(f"{self.at.server} does not answer within {_ANSWER_S:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{self.at.server} cannot be reached: {error}") from error

    async def _connected(self) -> "ApiClient":
        if self._client is None:
            from kubernetes_asyncio.client import ApiClient, Configuration  # noqa: PLC0415 (half a second)

            try:
                self._client = ApiClient(Configuration(host=self.at.server.rstrip("/"), ssl_ca_cert=str(self.at.ca)))
            except (OSError, ssl.SSLError) as error:
                raise NodeFault(Reason.UNTRUSTED_TLS, f"{self.at.ca} holds no usable certificates: {error}") from error
            self._client.user_agent = MANAGER
            await self._show_token()
        return self._client

    async def _show_token(self) -> None:
        try:
            secret = await asyncio.to_thread(resolve, self.at.token)
        except SecretError as lack:
            raise NodeFault(Reason.LOGIN_REFUSED, f"the token for {self.at.server}: {lack}") from lack
        assert self._client is not None  # noqa: S101  the caller made it
        self._client.set_default_header("authorization", f"Bearer {secret.reveal().strip()}")


def core(client: "ApiClient") -> "CoreV1Api":
    """The core group of the API."""
    from kubernetes_asyncio.client import CoreV1Api  # noqa: PLC0415 (half a second)

    return CoreV1Api(client)


async def _read(response: aiohttp.ClientResponse) -> Answer:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        data += chunk
        if len(data) > _ANSWER_BYTES:
            raise NodeFault(Reason.PROTOCOL, f"the API server answers with more than {_ANSWER_BYTES} bytes")
    try:
        body: Any = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        body = {}
    after = response.headers.get("Retry-After", "")
    return Answer(
        status=response.status,
        body=body if isinstance(body, dict) else {},
        retry_after_s=float(after) if after.isdecimal() and len(after) < 6 else 0.0,  # noqa: PLR2004 (a day is 86,400 s)
    )
