"""`fleet.ports.BmcDriver` over Redfish, and the look at a machine that comes before a profile is chosen."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from fleet.clock import Clock
from fleet.drivers.digests import Digests
from fleet.drivers.redfish import discovery
from fleet.drivers.redfish.access import Access, Login
from fleet.drivers.redfish.bmc import RedfishBmc
from fleet.drivers.redfish.channel import Channel
from fleet.drivers.redfish.https import HttpsTransport
from fleet.drivers.redfish.transport import HttpTransport
from fleet.drivers.redfish.update import ImageSource
from fleet.errors import NodeFault, Reason, UsageError
from fleet.limits import Limits, Transfers
from fleet.ports import SessionLedger
from fleet.profile import Profile
from fleet.vendors.discovery import Discovery
from inventory.model import Bmc, Credential, CredentialId, Node
from inventory.secrets import SecretError, resolve

TransportMaker = Callable[[Bmc], HttpTransport]
"""Gives the way to one BMC: HTTPS, or in tests of time an in-memory one."""


class RedfishDriver:
    """Makes BMCs. A secret is fetched when its first BMC is opened, off the event loop, and kept sealed."""

    def __init__(
        self,
        credentials: Iterable[Credential],
        *,
        clock: Clock,
        limits: Limits | None = None,
        images: ImageSource | None = None,
        transfers: Transfers | None = None,
        transport: TransportMaker | None = None,
    ) -> None:
        """`images` lets BMCs pull (SimpleUpdate); without it images are only pushed. `transfers`: what all that is sent shares."""
        self._credentials: Mapping[CredentialId, Credential] = {each.id: each for each in credentials}
        self._logins: dict[CredentialId, asyncio.Task[Login]] = {}
        self._clock = clock
        self._limits = limits or Limits()
        self._images = images
        self._transfers = transfers
        self._digests = Digests()
        self._transport = transport or self._https

    def bmc(self, node: Node, profile: Profile, ledger: SessionLedger) -> RedfishBmc:
        """A BMC that is not connected yet."""
        return self._of(node, profile, self._access(node, ledger))

    async def meet(self, node: Node, ledger: SessionLedger, choose: Callable[[Discovery], Profile]) -> RedfishBmc:
        """A connected BMC with the profile that `choose` finds: one connection and one session for both."""
        access = self._access(node, ledger)
        try:
            await access.open()
            bmc = self._of(node, choose(await discovery.discover(access)), access)
            await bmc.connect()
        except BaseException:
            await access.end()
            raise
        return bmc

    async def discover(self, node: Node, ledger: SessionLedger) -> Discovery:
        """Look at a machine through a session of its own, reads only. Raises what `Bmc.connect` raises."""
        async with discovery.opened(self._access(node, ledger)) as access:
            return await discovery.discover(access)

    async def close(self) -> None:
        """Close whatever is shared."""
        logins = tuple(self._logins.values())
        self._logins.clear()
        for login in logins:
            login.cancel()
        await asyncio.gather(*logins, return_exceptions=True)

    def _of(self, node: Node, profile: Profile, access: Access) -> RedfishBmc:
        return RedfishBmc(node, profile, access, digests=self._digests, images=self._images, transfers=self._transfers)

    def _access(self, node: Node, ledger: SessionLedger) -> Access:
        channel = Channel(node.bmc, self._transport(node.bmc), self._clock)
        return Access(channel, lambda: self._login(node), ledger)

    def _https(self, bmc: Bmc) -> HttpTransport:
        return HttpsTransport(bmc, clock=self._clock, limits=self._limits)

    async def _login(self, node: Node) -> Login:
        """The login of a node's credential, fetched once for all nodes that share it."""
        key = node.bmc.credential
        credential = self._credentials.get(key)
        if credential is None:
            raise UsageError(f"node {node.id}: the inventory declares no credential {key!r}")
        if key not in self._logins:
            self._logins[key] = asyncio.ensure_future(_resolved(credential))
        try:
            return await asyncio.shield(self._logins[key])
        except SecretError as error:
            self._logins.pop(key, None)
            raise NodeFault(Reason.LOGIN_REFUSED, f"credential {key}: {error}") from None


async def _resolved(credential: Credential) -> Login:
    """Fetch the secret in a thread: a keyring may ask its daemon."""
    return Login(user=credential.user, password=await asyncio.to_thread(resolve, credential.password))
