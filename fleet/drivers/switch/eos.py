"""Arista EOS: configuration sessions. A session begins as a copy of what runs, and its commit replaces everything with it."""

from collections.abc import Mapping

from fleet.drivers.switch import replies
from fleet.drivers.switch.connection import Terminal
from fleet.drivers.switch.dialect import DIFFERENCE_CHARS, refused_commit, refused_line, require_typable
from fleet.drivers.switch.eosblocks import foreign_block
from fleet.edges import Neighbour
from fleet.errors import NodeFault, OutcomeUnknown, Transient

SESSION = "fleetwave"
"""One name, so that what a crash left is found and aborted before the next begins."""


class Eos:
    """Fulfils fleet.drivers.switch.dialect.Dialect."""

    def begin(self, terminal: Terminal) -> None:
        """Privileged mode."""
        terminal.enable()

    def running_config(self, terminal: Terminal) -> str:
        """`show running-config`."""
        return terminal.say("show running-config")

    def neighbours(self, terminal: Terminal) -> tuple[Neighbour, ...]:
        """LLDP."""
        return replies.eos_neighbours(terminal.say("show lldp neighbors | json"))

    def access_vlans(self, terminal: Terminal) -> Mapping[str, str]:
        """The VLAN table."""
        return replies.eos_access_vlans(terminal.say("show vlan | json"))

    def difference(self, terminal: Terminal, lines: tuple[str, ...]) -> str:
        """A session that is filled, looked at and aborted."""
        self._fill(terminal, lines)
        said = terminal.say("show session-config diffs")
        terminal.say("abort")
        return said[:DIFFERENCE_CHARS]

    def push(self, terminal: Terminal, lines: tuple[str, ...]) -> None:
        """A session that is filled, committed and saved. Transient, with nothing committed, where it would undo somebody else's change."""
        self._fill(terminal, lines)
        foreign = foreign_block(terminal.say("show running-config"), terminal.say("show session-config"), lines)
        if foreign:
            terminal.say("abort")
            raise Transient(
                f"{terminal.name}: somebody changed {replies.excerpt(foreign, 80)!r} since our session began, and a commit would take"
                " that back: nothing was committed"
            )
        self._commit(terminal)

    def _commit(self, terminal: Terminal) -> None:
        said = terminal.commit("commit")
        if _error(said):
            terminal.say("abort")
            raise refused_commit(terminal.name, said)
        try:
            saved = terminal.say("copy running-config startup-config")
        except Transient as broken:
            raise OutcomeUnknown("push", str(broken)) from None
        if _error(saved):
            raise OutcomeUnknown("push", f"{terminal.name} did not save its configuration: {replies.excerpt(saved)}")

    def restore(self, terminal: Terminal, config: str) -> None:
        """The whole backup instead of what runs: what others changed since is lost."""
        kept = (line.rstrip() for line in config.splitlines())
        lines = tuple(line for line in kept if line.strip() and not line.startswith("!") and line != "end")
        self._fill(terminal, ("rollback clean-config", *lines))
        self._commit(terminal)

    def _fill(self, terminal: Terminal, lines: tuple[str, ...]) -> None:
        require_typable(terminal.name, lines)
        # Whoever died in it, also another process while this terminal was open. "does not exist" is what we hope for.
        terminal.say(f"configure session {SESSION} abort")
        said = terminal.say(f"configure session {SESSION}")
        if _error(said):
            raise refused_line(terminal.name, "configure session", said)
        for line in lines:
            said = terminal.say(line)
            if _error(said):
                terminal.say("abort")
                fault: NodeFault = refused_line(terminal.name, line, said)
                raise fault


def _error(said: str) -> bool:
    """EOS begins what it refuses with a percent sign."""
    return any(line.lstrip().startswith("%") for line in said.splitlines())
