"""Accounts and sessions of one BMC: limit, idle timeout, lockout (field guide 4)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from fleet.sim.accounts import Accounts
from fleet.sim.boxmodel import BmcModel
from fleet.sim.ledger import Ledger


@dataclass(slots=True, kw_only=True)
class Session:
    """One open session."""

    number: str
    token: str
    user: str
    context: str
    created: float
    used: float
    requests: int = 0


class Sessions:
    """The sessions of one BMC."""

    def __init__(self, model: BmcModel, ledger: Ledger, *, node: str, user: str, password: str) -> None:
        self._model = model
        self._ledger = ledger
        self._node = node
        self._secret = password
        self.accounts = Accounts(user, password)
        self._count = 0
        self._failures = 0
        self._locked_until = 0.0
        self.open: dict[str, Session] = {}

    def locked(self, now: float) -> bool:
        """Whether the account is locked."""
        return now < self._locked_until

    def lock(self, until: float) -> None:
        """Lock the account."""
        self._locked_until = max(self._locked_until, until)

    def change_password(self) -> None:
        """From now on another one counts: what a reset to factory defaults does (field guide 1.9)."""
        old = self.accounts.first.password
        self.accounts.reset(hashlib.sha256(f"{self._node}/{old}".encode()).hexdigest()[:16])

    def check(self, user: str, password: str, now: float) -> bool:
        """Whether these credentials are right; a wrong pair counts towards the lockout."""
        if self.locked(now):
            return False
        if self.accounts.matches(user, password):
            self._failures = 0
            return True
        self._ledger.failed_logins += 1
        self._failures += 1
        if self._failures >= self._model.lockout_threshold:
            self._failures = 0
            self._locked_until = now + self._model.lockout_s
        return False

    def check_basic(self, header: str, now: float) -> str:
        """The user of an ``Authorization: Basic`` header, or empty if it is wrong."""
        try:
            text = base64.b64decode(header[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        user, _, password = text.partition(":")
        return user if self.check(user, password, now) else ""

    def full(self, now: float) -> bool:
        """Whether no further session fits."""
        self._expire(now)
        return len(self.open) >= self._model.session_limit

    def create(self, user: str, context: str, now: float) -> Session:
        """Open a session."""
        self._count += 1
        self._ledger.sessions_created += 1
        token = hashlib.sha256(f"{self._node}/{self._count}/{self._secret}".encode()).hexdigest()[:32]
        session = Session(number=str(self._count), token=token, user=user, context=context, created=now, used=now)
        self.open[token] = session
        return session

    def touch(self, token: str, now: float) -> Session | None:
        """The session of `token`, used now; None if it is unknown or has timed out."""
        session = self.open.get(token)
        if session is None:
            return None
        if now - session.used > self._model.session_timeout_s:
            self._expire(now)
            return None
        session.used = now
        return session

    def find(self, number: str) -> Session | None:
        """The open session with this id."""
        return next((session for session in self.open.values() if session.number == number), None)

    def close(self, session: Session) -> None:
        """End a session at its owner's wish."""
        del self.open[session.token]
        self._ledger.sessions_deleted += 1

    def lose(self) -> None:
        """The BMC restarted: every session is gone."""
        self._ledger.sessions_lost += len(self.open)
        self.open.clear()

    def _expire(self, now: float) -> None:
        old = [token for token, session in self.open.items() if now - session.used > self._model.session_timeout_s]
        for token in old:
            del self.open[token]
        self._ledger.sessions_expired += len(old)
