"""A Cumulus Linux shell with NVUE (``nv``), as far as access ports need it."""

import json
import re
import shlex
from enum import StrEnum
from typing import Any

import yaml

from fleet.sim import nvuetree
from fleet.sim.nvuetree import NvueError
from fleet.sim.switch import Config, Outcome, Reply, Switch

_HEREDOC = re.compile(r"cat\s*>\s*(\S+)\s*<<\s*['\"]?(\w+)['\"]?$|cat\s*<<\s*['\"]?(\w+)['\"]?\s*>\s*(\S+)$")


class _Mode(StrEnum):
    USER = "user"
    PASSWORD = "password"  # noqa: S105  a state, not a secret
    ROOT = "root"
    HEREDOC = "heredoc"


class NvueCli:
    """One login."""

    greeting = "Linux leaf 6.1.0-cl-1-amd64 #1 SMP\r\n\r\nWelcome to NVIDIA Cumulus (R) Linux (R)\r\n"

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._mode = _Mode.USER
        self._below = _Mode.USER
        self._files: dict[str, str] = {}
        self._pending: Config | None = None
        self._revision = 1
        self._heredoc = ("", "", [""])

    @property
    def hides_input(self) -> bool:
        """Whether a password is being typed."""
        return self._mode is _Mode.PASSWORD

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        name = self._switch.running.hostname
        match self._mode:
            case _Mode.PASSWORD:
                return "[sudo] password for cumulus: "
            case _Mode.HEREDOC:
                return "> "
            case _Mode.ROOT:
                return f"root@{name}:/home/cumulus# "
        return f"cumulus@{name}:~$ "

    def line(self, text: str) -> Reply:
        """Do one line."""
        if self._mode is _Mode.HEREDOC:
            return self._collect(text)
        if self._mode is _Mode.PASSWORD:
            self._mode = _Mode.ROOT if text == self._switch.secret else _Mode.USER
            return Reply(text="" if self._mode is _Mode.ROOT else "sudo: 1 incorrect password attempt")
        if found := _HEREDOC.match(text.strip()):
            path, word = found[1] or found[4], found[2] or found[3]
            self._heredoc, self._below, self._mode = (path, word, []), self._mode, _Mode.HEREDOC
            return Reply(quick=True)
        try:
            words = shlex.split(text, comments=True)
        except ValueError as cause:
            return Reply(text=f"-bash: {cause}")
        while words[:1] == ["sudo"] and words[1:] not in (["-s"], ["-i"], ["su"]):
            words = words[1:]
        return self._shell(words) if words else Reply()

    def _collect(self, text: str) -> Reply:
        path, word, lines = self._heredoc
        if text.strip() == word:
            self._files[path] = "\n".join(lines) + "\n"
            self._mode = self._below
        else:
            lines.append(text)
            return Reply(quick=True)
        return Reply()

    def _shell(self, words: list[str]) -> Reply:
        match words:
            case ["sudo", _]:
                self._mode = _Mode.PASSWORD if self._mode is _Mode.USER else self._mode
                return Reply()
            case ["exit" | "logout"]:
                ends, self._mode = self._mode is _Mode.USER, _Mode.USER
                return Reply(ends=ends)
            case ["nv", *rest]:
                try:
                    return self._nv(rest)
                except NvueError as wrong:
                    return Reply(text=f"Error: {wrong}")
        return Reply(text=self._program(words))

    def _program(self, words: list[str]) -> str:
        match words:
            case ["hostname"]:
                return self._switch.running.hostname
            case ["cat", path]:
                return self._files.get(path, f"cat: {path}: No such file or directory").rstrip("\n")
            case ["rm", *paths]:
                for path in paths:
                    self._files.pop(path, None)
                return ""
        return f"-bash: {words[0]}: command not found"

    def _nv(self, words: list[str]) -> Reply:
        match words:
            case ["set", *path]:
                self._pending = nvuetree.changed(self._candidate, path)
                return Reply(text=self._created())
            case ["unset", *path]:
                self._pending = nvuetree.unset(self._candidate, path)
                return Reply(text=self._created())
            case ["show", *what]:
                return Reply(text=nvuetree.show(self._switch, what))
            case ["config", *what]:
                return self._config(what)
        raise NvueError(f"{words[0] if words else ''!r} is not one of ['show', 'set', 'unset', 'config', 'action']")

    def _config(self, words: list[str]) -> Reply:
        match words:
            case ["show", *options]:
                return Reply(text=self._printed(self._switch.running, options))
            case ["diff", *options]:
                return Reply(text=self._diff(as_commands=_output(options) == "commands"))
            case ["apply", *options] if set(options) <= {"-y", "--assume-yes", "--confirm-no", "--message"}:
                return self._apply()
            case ["detach"]:
                self._pending = None
                return Reply()
            case ["save"]:
                return Reply(text=f"saved [rev_id: {self._revision}]")
            case ["patch" | "replace" as how, path]:
                if path not in self._files:
                    raise NvueError(f"File not found: {path}")
                base = self._candidate if how == "patch" else self._switch.running.cleaned()
                self._pending = nvuetree.loaded(base, self._files[path])
                return Reply(text=self._created())
        raise NvueError(f"nv config {' '.join(words)} is not known here")

    @property
    def _candidate(self) -> Config:
        return self._switch.running if self._pending is None else self._pending

    def _created(self) -> str:
        return f"created [rev_id: {self._revision + 1}]" if self._pending is not None else ""

    def _apply(self) -> Reply:
        if self._pending is None:
            return Reply(text="Warning: no pending configuration to apply.")
        outcome = self._switch.commit(self._pending)
        if outcome is Outcome.REFUSED:
            text = (
                f"Invalid config [rev_id: {self._revision + 1}]\n  Failed to apply the configuration: ifreload failed"
            )
            return Reply(text=text, delay_s=3.0)
        self._pending = None
        self._revision += 1
        return Reply(text=f"applied [rev_id: {self._revision}]", breaks=outcome is Outcome.DROPPED, delay_s=5.0)

    def _printed(self, config: Config, options: list[str]) -> str:
        tree = nvuetree.tree_of(config)
        match _output(options):
            case "commands":
                return "\n".join(_commands("set", nvuetree.flat(tree)))
            case "json":
                return json.dumps([{"header": nvuetree.HEADER}, {"set": tree}], indent=2)
        return _dump([{"header": nvuetree.HEADER}, {"set": tree}])

    def _diff(self, *, as_commands: bool) -> str:
        gone, new = nvuetree.difference(self._switch.running, self._candidate)
        if as_commands:
            return "\n".join([*_commands("unset", gone), *_commands("set", new)])
        parts = [("unset", gone), ("set", new)]
        return _dump([{name: nvuetree.nested(leaves)} for name, leaves in parts if leaves]) if gone or new else ""


def _commands(verb: str, leaves: list[nvuetree.Leaf]) -> list[str]:
    return [f"nv {verb} {shlex.join(leaf.words)}" for leaf in leaves]


def _output(options: list[str]) -> str:
    for at, option in enumerate(options):
        if option in {"-o", "--output"} and at + 1 < len(options):
            return options[at + 1]
    return next((option.partition("=")[2] for option in options if option.startswith("--output=")), "yaml")


def _dump(document: Any) -> str:
    return str(yaml.safe_dump(document, sort_keys=False)).rstrip("\n")
