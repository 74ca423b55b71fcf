"""Logins that a BMC may have refused, and when the next one may be sent. Pure: no clock, no I/O.

A BMC locks an account after a few wrong passwords (iDRAC and bmcweb after 3 to 5), and a central account is locked for every
machine. So each login is announced in the journal before it is sent, by every process, and counts as refused until it is known to
have been accepted or never to have been judged: a process that dies in every login stays within the limit too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from fleet import events as ev

LIMIT = 3
WINDOW_S = 600.0
"""At most so many refused logins per BMC in so many seconds of field time (field guide 4, B.18, F31)."""


class Outcome(StrEnum):
    """What came of a login."""

    OPEN = "open"
    """Announced; nobody has said what came of it."""
    REFUSED = "refused"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One announced login. One that was never judged (not sent, turned away as too early) is struck out instead."""

    context: str
    bmc: str
    credential: str
    at: float
    """Field time, epoch seconds."""
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """The limit is reached."""

    wait_s: float
    """Field seconds until the next login may be sent."""
    refused: int
    """How many of those that count were refused in so many words; the others were announced and never heard of again."""


def spent(context: str, attempts: Sequence[Attempt]) -> Spent | None:
    """Whether the attempt `context` comes too early. None: it may be sent.

    Args:
        context: the attempt that is about to be sent; it is announced already, so that two processes cannot both take the last.
        attempts: those on its BMC, as the journal orders them.
    """
    place = next(index for index, attempt in enumerate(attempts) if attempt.context == context)
    now = attempts[place].at
    counted = [attempt for attempt in attempts[:place] if _counts(attempt, now)]
    if len(counted) < LIMIT:
        return None
    refused = sum(attempt.outcome is Outcome.REFUSED for attempt in counted)
    return Spent(wait_s=counted[-LIMIT].at + WINDOW_S - now, refused=refused)


def counted(attempts: Sequence[Attempt], event: ev.Event, at: float) -> tuple[Attempt, ...]:
    """All attempts after an event: what the journal's small table of logins holds."""
    match event:
        case ev.SessionOpening(bmc=bmc) if bmc:
            kept = [each for each in attempts if each.bmc != bmc or _counts(each, at)]
            new = Attempt(context=event.context, bmc=bmc, credential=event.credential, at=at, outcome=Outcome.OPEN)
            return (*kept, new)
        case ev.SessionOpened(context=context):
            return tuple(_judged(each, context, Outcome.ACCEPTED) for each in attempts)
        case ev.LoginRefused(context=context):
            return tuple(_judged(each, context, Outcome.REFUSED) for each in attempts)
        case ev.SessionClosed(context=context):
            # A login that was never judged. One that a crash left open is closed only by a login that was accepted.
            return tuple(each for each in attempts if each.context != context or each.outcome is not Outcome.OPEN)
        case _:
            return tuple(attempts)


def _judged(attempt: Attempt, context: str, outcome: Outcome) -> Attempt:
    return replace(attempt, outcome=outcome) if attempt.context == context else attempt


def unproven(attempts: Sequence[Attempt], now: float) -> tuple[Attempt, ...]:
    """Recent attempts with one credential, on whichever BMC, that were refused, since one accepted it."""
    since: list[Attempt] = []
    for attempt in attempts:
        if attempt.outcome is Outcome.ACCEPTED:
            since.clear()
        elif attempt.outcome is Outcome.REFUSED and _counts(attempt, now):
            since.append(attempt)
    return tuple(since)


def _counts(attempt: Attempt, now: float) -> bool:
    # Not `now - at`: another hall on this journal may live in another time, and would lock the BMC until then.
    return attempt.outcome is not Outcome.ACCEPTED and abs(now - attempt.at) < WINDOW_S
