"""Cumulus Linux with NVUE: a patch, its difference, an apply. A revision begins as a copy of what runs, and an apply replaces it.

The lines of a push are a document for `nv config patch`, the backup one for `nv config replace` (JSON, which is YAML).
Formats as the NVUE reference shows them; the texts of refusals have been compared with no real switch (docs/hall.md).
"""

from collections.abc import Mapping

from fleet.drivers.switch import replies
from fleet.drivers.switch.connection import Terminal
from fleet.drivers.switch.dialect import DIFFERENCE_CHARS, refused_commit, refused_line, require_typable
from fleet.edges import Neighbour
from fleet.errors import NodeFault, OutcomeUnknown, Reason, Transient

_FILE = "fleetwave-candidate.yaml"
"""In the user's own directory: a name in /tmp could be somebody else's link."""
_END = "FLEETWAVE_END"
_DETACH = "nv config detach"
_ERRORS = ("Error", "Invalid", "-bash:", "bash:", "usage:", "cat:")


class Nvue:
    """Fulfils fleet.drivers.switch.dialect.Dialect."""

    def begin(self, terminal: Terminal) -> None:
        """No pending revision of ours."""
        terminal.say(_DETACH)

    def running_config(self, terminal: Terminal) -> str:
        """`nv config show`, as JSON."""
        return terminal.say("nv config show -o json")

    def neighbours(self, terminal: Terminal) -> tuple[Neighbour, ...]:
        """LLDP."""
        return replies.nvue_neighbours(terminal.say("nv show interface lldp -o json"))

    def access_vlans(self, terminal: Terminal) -> Mapping[str, str]:
        """The bridge's ports."""
        return replies.nvue_access_vlans(terminal.say("nv show bridge domain br_default port -o json"))

    def difference(self, terminal: Terminal, lines: tuple[str, ...]) -> str:
        """A revision that is filled, looked at and detached."""
        self._fill(terminal, "patch", lines)
        said = terminal.say("nv config diff")
        terminal.say(_DETACH)
        return said[:DIFFERENCE_CHARS]

    def push(self, terminal: Terminal, lines: tuple[str, ...]) -> None:
        """A revision that is filled, applied and saved."""
        self._fill(terminal, "patch", lines)
        self._apply(terminal)

    def restore(self, terminal: Terminal, config: str) -> None:
        """The whole backup instead of what runs: what others changed since is lost."""
        self._fill(terminal, "replace", tuple(config.splitlines()))
        self._apply(terminal)

    def _fill(self, terminal: Terminal, how: str, lines: tuple[str, ...]) -> None:
        require_typable(terminal.name, lines)
        if any(line.strip() == _END for line in lines):
            raise NodeFault(Reason.SWITCH_REFUSED, f"{terminal.name}: a line {_END} would end the document early")
        terminal.say(_DETACH)  # what another process may have left while this terminal was open
        document = "\n".join(lines)
        terminal.say(f"cat > {_FILE} <<'{_END}'\n{document}\n{_END}", echo=False)
        said = terminal.say(f"nv config {how} {_FILE}")
        terminal.say(f"rm {_FILE}")
        if _error(said):
            terminal.say(_DETACH)
            raise refused_line(terminal.name, document, said)

    def _apply(self, terminal: Terminal) -> None:
        if not terminal.say("nv config diff"):
            return  # an apply without a difference is a warning
        said = terminal.commit("nv config apply -y")
        if _error(said) or "applied" not in said:
            terminal.say(_DETACH)
            raise refused_commit(terminal.name, said)
        try:
            terminal.say("nv config save")
        except Transient as broken:
            raise OutcomeUnknown("push", str(broken)) from None


def _error(said: str) -> bool:
    return any(line.lstrip().startswith(_ERRORS) for line in said.splitlines())
