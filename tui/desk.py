"""Where requests are written: the journal's request table, and nothing else. The same rows that `fleet pause` writes."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fleet.clock import Clock
from fleet.events import RolloutId
from fleet.journal import SqliteJournal, Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A journal, a rollout, and who asks."""

    journal: Path
    rollout: RolloutId
    by: str
    """user@host: for the journal, it proves nothing."""
    clock: Clock

    async def ask(self, verb: Verb) -> None:
        """Write the request, off the loop. Raises JournalUnwritable."""
        await asyncio.to_thread(lambda: asyncio.run(self._ask(verb)))

    async def _ask(self, verb: Verb) -> None:
        journal = SqliteJournal(self.journal, self.clock)
        try:
            await journal.request(self.rollout, verb, self.by)
        finally:
            await journal.close()
