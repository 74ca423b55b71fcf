"""The command line of an Arista switch, as far as access ports, VLANs and configuration sessions need it."""

import difflib
import re
from enum import StrEnum
from typing import Any

from fleet.sim import eosshow
from fleet.sim.switch import Config, Outcome, Reply, Switch

_INVALID = "% Invalid input"
_NOT_PRIVILEGED = f"{_INVALID} (privileged mode required)"
_ETHERNET = re.compile(r"(?:et|eth|ethernet)\s*(\d[\d/]*)$", re.IGNORECASE)
_IGNORED = (
    "!",
    "no aaa root",
    "spanning-tree",
    "transceiver",
    "service routing",
    "boot system",
    "hostname ",
    "ip address",
)
_LAST_VLAN = 4094


def _is_vlan(text: str) -> bool:
    return text.isdigit() and 1 <= int(text) <= _LAST_VLAN


class Mode(StrEnum):
    """Where the prompt is."""

    USER = "user"
    PASSWORD = "password"  # noqa: S105  a state, not a secret
    EXEC = "exec"
    CONFIG = "config"
    PORT = "port"
    VLAN = "vlan"
    OTHER = "other"
    """A block that is accepted and means nothing here (Management1)."""


class EosCli:
    """One login."""

    greeting = ""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._mode = Mode.USER
        self._session = ""
        self._candidate: Config | None = None
        self._port = ""
        self._vlan = 0

    @property
    def hides_input(self) -> bool:
        """Whether a password is being typed."""
        return self._mode is Mode.PASSWORD

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        name = self._switch.running.hostname
        if self._mode is Mode.PASSWORD:
            return "Password: "
        if self._mode is Mode.USER:
            return f"{name}>"
        if self._mode is Mode.EXEC:
            return f"{name}#"
        where = f"config-s-{self._session}" if self._session else "config"
        block = {Mode.PORT: f"-if-{eosshow.short(self._port)}", Mode.VLAN: f"-vlan-{self._vlan}", Mode.OTHER: "-if-Ma1"}
        return f"{name}({where}{block.get(self._mode, '')})#"

    def line(self, text: str) -> Reply:
        """Do one line."""
        if self._mode is Mode.PASSWORD:
            self._mode = Mode.EXEC if text == self._switch.secret else Mode.USER
            return Reply(text="" if self._mode is Mode.EXEC else "% Bad secret")
        text = text.strip()
        if not text:
            return Reply()
        if self._mode in {Mode.USER, Mode.EXEC}:
            return self._exec(text)
        if text.startswith("do "):
            return self._exec(text[3:])
        return self._configure(text)

    def _exec(self, text: str) -> Reply:
        """User and privileged mode."""
        privileged = self._mode is not Mode.USER
        match text.split():
            case ["enable"]:
                self._mode = Mode.EXEC if privileged else Mode.PASSWORD
            case ["disable"]:
                self._mode = Mode.USER
            case ["exit" | "logout" | "quit"]:
                return Reply(ends=True)
            case ["terminal", "length", "0"]:
                return Reply(text="Pagination disabled.")
            case ["terminal", "width", width]:
                return Reply(text=f"Width set to {width} columns.")
            case ["show", *what]:
                return self._show(what, privileged=privileged)
            case words:
                return self._privileged(words) if privileged else Reply(text=_NOT_PRIVILEGED)
        return Reply()

    def _privileged(self, words: list[str]) -> Reply:
        """What only a privileged mode takes."""
        match words:
            case ["configure", "session", name]:
                self._session = name
                self._candidate = self._switch.sessions.get(name, self._switch.running)
                self._mode = Mode.CONFIG
                return Reply()
            case ["configure", "session", name, "abort"] | ["no", "configure", "session", name]:
                return Reply(text="" if self._switch.sessions.pop(name, None) else f"% Session {name} does not exist")
            case ["configure"] | ["configure", "terminal"]:
                self._mode = Mode.CONFIG
                return Reply()
            case ["copy", "running-config", "startup-config"] | ["write"] | ["write", "memory"]:
                return Reply(text="Copy completed successfully.")
        return Reply(text=_INVALID)

    def _show(self, what: list[str], *, privileged: bool) -> Reply:
        if what[:1] == ["running-config"] and not privileged:
            return Reply(text=_NOT_PRIVILEGED)
        if what == ["session-config", "diffs"]:
            return Reply(text=self._diffs())
        if what == ["configuration", "sessions"]:
            return Reply(text=eosshow.sessions(self._switch))
        if what == ["session-config"] and self._candidate is not None:
            return Reply(text=eosshow.config(self._switch, self._candidate))
        shown = eosshow.show(self._switch, what)
        return Reply(text=_INVALID if shown is None else shown)

    def _diffs(self) -> str:
        if self._candidate is None:
            return _INVALID
        before, after = (eosshow.config(self._switch, each) for each in (self._switch.running, self._candidate))
        name = f"session:/{self._session}-session-config"
        return "\n".join(
            difflib.unified_diff(before.split("\n"), after.split("\n"), "system:/running-config", name, lineterm="")
        )

    def _configure(self, text: str) -> Reply:
        """Configuration mode: verbs first, then blocks, then what stands in a block."""
        words = text.split()
        done = self._verb(words) or self._block(words)
        if done is not None:
            return done
        if text.startswith(_IGNORED) or self._mode is Mode.OTHER:
            return Reply()
        if self._mode is Mode.VLAN and words[0] == "name" and len(words) == 2:  # noqa: PLR2004  name NAME
            return self._set(self._config.with_vlan(self._vlan, words[1]))
        changes = self._port_changes(words) if self._mode is Mode.PORT else None
        return Reply(text=_INVALID) if changes is None else self._set(self._config.with_port(self._port, **changes))

    def _verb(self, words: list[str]) -> Reply | None:
        match words:
            case ["show", *what]:
                return self._show(what, privileged=True)
            case ["exit"] if self._mode is not Mode.CONFIG:
                self._mode = Mode.CONFIG
                return Reply()
            case ["end" | "exit"]:
                return self._leave()
            case ["commit"] if self._session:
                return self._commit()
            case ["abort"] if self._session:
                self._switch.sessions.pop(self._session, None)
                self._candidate = None
                return self._leave()
        return None

    def _block(self, words: list[str]) -> Reply | None:
        match words:
            case ["rollback", "clean-config"] if self._candidate is not None:
                return self._set(self._candidate.cleaned())
            case ["interface", *name]:
                return self._interface("".join(name))
            case ["vlan", number] if _is_vlan(number):
                self._mode, self._vlan = Mode.VLAN, int(number)
                return self._set(self._config.with_vlan(self._vlan))
            case ["no", "vlan", number] if _is_vlan(number):
                return self._set(self._config.without_vlan(int(number)))
        return None

    @staticmethod
    def _port_changes(words: list[str]) -> dict[str, Any] | None:  # noqa: PLR0911  one per line of the grammar
        """What a line changes in a port; None: it is no such line."""
        match words:
            case ["switchport", "access", "vlan", number] if _is_vlan(number):
                return {"vlan": int(number)}
            case ["no" | "default", "switchport", "access", "vlan"]:
                return {"vlan": 1}
            case ["description", *rest] if rest:
                return {"description": " ".join(rest)}
            case ["no", "description"]:
                return {"description": ""}
            case ["shutdown"] | ["no", "shutdown"]:
                return {"enabled": words[0] == "no"}
            case ["switchport", "mode", "access"] | ["switchport"] | ["mtu" | "speed" | "load-interval", _]:
                return {}
        return None

    def _interface(self, name: str) -> Reply:
        if re.fullmatch(r"(?:ma|management)\s*\d+", name, re.IGNORECASE):
            self._mode = Mode.OTHER
            return Reply()
        found = _ETHERNET.match(name)
        port = f"Ethernet{found[1]}" if found else name
        if port not in self._config.ports:
            if found is None:
                return Reply(text=_INVALID)
            return Reply(text=f"{_INVALID}: Interface {port} does not exist")
        self._mode, self._port = Mode.PORT, port
        return Reply()

    @property
    def _config(self) -> Config:
        return self._switch.running if self._candidate is None else self._candidate

    def _set(self, config: Config) -> Reply:
        if self._session:
            self._candidate = config
        else:
            self._switch.running = config
        return Reply()

    def _commit(self) -> Reply:
        if self._candidate is None:
            return Reply(text=_INVALID)
        outcome = self._switch.commit(self._candidate)
        if outcome is Outcome.REFUSED:
            return Reply(text="% Commit failed: Internal error: agent ConfigAgent did not acknowledge the session")
        self._switch.sessions.pop(self._session, None)
        self._candidate = None
        self._leave()
        return Reply(breaks=outcome is Outcome.DROPPED, delay_s=2.0)

    def _leave(self) -> Reply:
        if self._session and self._candidate is not None:
            self._switch.sessions[self._session] = self._candidate
        self._session, self._candidate, self._mode = "", None, Mode.EXEC
        return Reply()
