"""The sessions of one node's BMC, written down before and after, and no more logins than a lockout allows."""

from dataclasses import dataclass, field

from fleet import events as ev
from fleet.attempts import LIMIT, WINDOW_S, spent
from fleet.clock import as_utc
from fleet.context import Recorder
from fleet.errors import LoginsSpent, Transient
from inventory.model import Bmc, Node


def bmc_key(bmc: Bmc) -> str:
    """Names a BMC in the journal: its address and port, as the inventory has them."""
    return f"{bmc.address.casefold()}:{bmc.port}"


@dataclass(slots=True)
class NodeLedger:
    """See fleet.ports.SessionLedger. Facts go to the recorder, and with it to every process on the journal."""

    node: Node
    recorder: Recorder
    _contexts: dict[str, str] = field(default_factory=dict)
    """URI -> Context of sessions that this process opened."""

    async def opening(self, context: str) -> None:
        """Announce a login, then look whether it may be sent; one that may not is taken back."""
        bmc, credential = bmc_key(self.node.bmc), str(self.node.bmc.credential)
        await self._record(ev.SessionOpening(node=self._name, context=context, bmc=bmc, credential=credential))
        attempts = self.recorder.logins_at(bmc)
        too_many = spent(context, attempts)
        if too_many is None:
            return
        await self.absent(context)
        now = next(attempt.at for attempt in attempts if attempt.context == context)
        when = f"try again after {as_utc(now + too_many.wait_s)}"
        if not too_many.refused:
            raise Transient(
                f"{bmc}: {LIMIT} logins got no answer within {WINDOW_S / 60:.0f} min, and each may have been a wrong password;"
                f" {when}",
                retry_after_s=too_many.wait_s,
            )
        raise LoginsSpent(
            f"{bmc}: not tried: {LIMIT} logins failed within {WINDOW_S / 60:.0f} min, and one more may lock the account; check"
            f" the credential {credential!r}, {when}",
            wait_s=too_many.wait_s,
        )

    async def opened(self, uri: str, context: str) -> None:
        """Created. Ids restart with a BMC: what was at this address before is gone."""
        before, self._contexts[uri] = self._contexts.get(uri), context
        await self._record(ev.SessionOpened(node=self._name, context=context, uri=uri))
        if before is not None:
            await self.absent(before)

    async def refused(self, context: str) -> None:
        """The BMC did not accept the password, or not yet."""
        await self._record(ev.LoginRefused(node=self._name, context=context))

    async def accepted(self, context: str) -> None:
        """The password is right, and there is no session to remember."""
        await self._record(ev.SessionOpened(node=self._name, context=context, uri=""))
        await self.absent(context)

    async def absent(self, context: str) -> None:
        """Never came to be, or is gone."""
        await self._record(ev.SessionClosed(node=self._name, context=context))

    async def closed(self, uri: str) -> None:
        """Gone."""
        context = self._contexts.pop(uri, None)
        if context is not None:
            await self.absent(context)

    @property
    def _name(self) -> str:
        return str(self.node.id)

    async def _record(self, event: ev.NodeEvent) -> None:
        await self.recorder.record(event)
