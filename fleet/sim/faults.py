"""What is wrong today: faults as data, from YAML. docs/hall.md is the reference of the file.

Which nodes a rule hits is a pure function of (seed, rule name, node name): never of request order or of time, so that
an interrupted and an uninterrupted rollout meet the same faults.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from fleet.sim.strain import WhileDown


class Effect(StrEnum):
    """What a rule does to a node that it hits."""

    UPDATE_FAILS = "update-fails"
    UPDATE_COMPLETES_CRITICAL = "update-completes-critical"
    UPDATE_STALLS = "update-stalls"
    TASK_VANISHES = "task-vanishes"
    LOG_CLEARED = "log-cleared"
    VERSION_UNCHANGED = "version-unchanged"
    PARTIAL = "partial"
    SUBMIT_BUSY = "submit-busy"
    SUBMIT_REJECTED = "submit-rejected"
    UPLOAD_BROKEN = "upload-broken"
    BAD_IMAGE = "bad-image"
    BMC_SLOW = "bmc-slow"
    BMC_DEAD = "bmc-dead"
    HTTP_503 = "http-503"
    HTML_BODY = "html-body"
    TRUNCATED_JSON = "truncated-json"
    SESSIONS_EXHAUSTED = "sessions-exhausted"
    POWER_IGNORED = "power-ignored"
    AUTH_LOCKOUT = "auth-lockout"
    HTTP = "http"
    LOGIN_CHANGES = "login-changes"
    CERTIFICATE_CHANGES = "certificate-changes"
    HOST_POWERS_ON = "host-powers-on"
    GPU_MISSING = "gpu-missing"
    GPU_SLOW = "gpu-slow"
    XID = "xid"
    TOOL_HANGS = "tool-hangs"
    JSON_TRUNCATED = "json-truncated"
    DCGM_FAILS = "dcgm-fails"
    SSH_REFUSED = "ssh-refused"
    PROMPT_SLOW = "prompt-slow"
    COMMIT_REFUSED = "commit-refused"
    LINK_DROPS_IN_COMMIT = "link-drops-in-commit"
    WRONG_CABLE = "wrong-cable"
    OUTLET_STUCK = "outlet-stuck"
    IMAGE_UNREADABLE = "image-unreadable"
    WRONG_IDENTITY = "wrong-identity"
    NO_PHONE_HOME = "no-phone-home"
    MEDIA_DROPPED = "media-dropped"
    GOLDEN_IMAGE = "golden-image"
    SETTINGS_RESET = "settings-reset"
    GPU_LOST_LANES = "gpu-lost-lanes"
    DEVICE_MISSING = "device-missing"
    HALF_UPDATED = "half-updated"
    POWER_STALE = "power-stale"
    POWER_LIES = "power-lies"
    POWER_MISSING = "power-missing"
    HMC_RESTARTS = "hmc-restarts"


ALWAYS = -1
_ALL = frozenset({"name", "effect", "select", "times"})
_SELECT = ("model", "node", "rack", "component", "package_version", "fraction")
_HTTP = ("path", "method", "when", "bmc_version", "skip", "status", "body", "headers", "delay_s", "drop", "merge")
_WHEN = ("", "flashing", "staged", "restarted", "posting", "host-off")
_DROP = ("before", "after")


class FaultError(ValueError):
    """The fault file cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a fault file."""

    name: str
    effect: Effect
    model: str = "*"
    node: str = "*"
    rack: str = "*"
    component: str = ""
    """Glob on inventory ids; empty: whatever is updated."""
    package_version: str = ""
    """Glob on versions in the package; empty: any."""
    fraction: float = 1.0
    times: int = 1
    """How often it strikes each node; ALWAYS for every time."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def hits(self, seed: int, *, node: str, model: str, rack: str) -> bool:
        """Whether this rule applies to the node at all."""
        if not (fnmatchcase(node, self.node) and fnmatchcase(model, self.model) and fnmatchcase(rack, self.rack)):
            return False
        digest = hashlib.sha256(f"{seed}\0{self.name}\0{node}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.fraction * 2**64

    def number(self, key: str, default: float) -> float:
        """The numeric parameter `key`."""
        return float(self.parameters.get(key, default))

    def text(self, key: str, default: str) -> str:
        """The text parameter `key`."""
        return str(self.parameters.get(key, default))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultBook:
    """A fault file."""

    name: str = "none"
    seed: int = 0
    rules: tuple[Rule, ...] = ()

    def of_node(self, *, node: str, model: str, rack: str) -> "NodeFaults":
        """The rules that hit this node, each with its own count of strikes."""
        return NodeFaults([rule for rule in self.rules if rule.hits(self.seed, node=node, model=model, rack=rack)])


class NodeFaults:
    """The rules that hit one node, and how often each may still strike."""

    __slots__ = ("_left", "rules")

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self._left = {rule.name: rule.times for rule in rules}

    def add(self, rules: Iterable[Rule]) -> None:
        """From now on these hit it, too, whomever they select."""
        for rule in rules:
            self.rules.append(rule)
            self._left[rule.name] = rule.times

    def live(self, effect: Effect) -> list[Rule]:
        """Rules with this effect that still strike."""
        return [rule for rule in self.rules if rule.effect is effect and self._left[rule.name]]

    def strike(self, rule: Rule) -> None:
        """Count one strike of a rule."""
        if rule.times != ALWAYS:
            self._left[rule.name] -= 1

    def peek(self, effect: Effect, *, items: Iterable[str] = (), versions: Iterable[str] = ()) -> Rule | None:
        """The rule that `take` would use up."""
        if not self.rules:
            return None
        for rule in self.rules:
            if (
                rule.effect is effect
                and self._left[rule.name]
                and (not rule.component or any(fnmatchcase(item, rule.component) for item in items))
                and (not rule.package_version or any(fnmatchcase(text, rule.package_version) for text in versions))
            ):
                return rule
        return None

    def take(self, effect: Effect, *, items: Iterable[str] = (), versions: Iterable[str] = ()) -> Rule | None:
        """A rule with this effect that still strikes, counted down; None if there is none."""
        rule = self.peek(effect, items=items, versions=versions)
        if rule is not None:
            self.strike(rule)
        return rule


def load_faults(path: Path) -> FaultBook:
    """Read a fault file.

    Raises:
        FaultError: with the file and the rule that is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as cause:
        raise FaultError(f"{path}: {cause}") from cause
    return read_faults(document, str(path))


def read_faults(document: Any, where: str) -> FaultBook:
    """A fault book from plain data; `where` names the source in errors."""
    if not isinstance(document, dict) or "faults" not in document:
        raise FaultError(f"{where}: a fault file is a mapping with 'faults: NAME', 'seed' and 'rules'")
    unknown = set(document) - {"faults", "seed", "rules"}
    if unknown:
        raise FaultError(f"{where}: unknown key {min(unknown)!r}; there are faults, seed, rules")
    rules = tuple(_rule(raw, f"{where}: rule {number}") for number, raw in enumerate(document.get("rules") or (), 1))
    if len({rule.name for rule in rules}) != len(rules):
        raise FaultError(f"{where}: two rules have the same name")
    return FaultBook(name=str(document["faults"]), seed=int(document.get("seed", 0)), rules=rules)


def _rule(raw: Any, where: str) -> Rule:
    if not isinstance(raw, dict) or "name" not in raw or "effect" not in raw:
        raise FaultError(f"{where}: needs 'name' and 'effect'")
    where = f"{where} ({raw['name']})"
    if raw["effect"] not in set(Effect):
        raise FaultError(f"{where}: unknown effect {raw['effect']!r}; there are {', '.join(Effect)}")
    select = raw.get("select") or {}
    if not isinstance(select, dict) or set(select) - set(_SELECT):
        raise FaultError(f"{where}: 'select' takes {', '.join(_SELECT)}")
    chosen = {key: str(value) for key, value in select.items() if key != "fraction"}
    times = raw.get("times", 1)
    if times != "always" and (not isinstance(times, int) or times < 0):
        raise FaultError(f"{where}: 'times' is a count or 'always', not {times!r}")
    if str(raw.get("answers", WhileDown.VANISH)) not in list(WhileDown):
        raise FaultError(f"{where}: 'answers' is one of {', '.join(WhileDown)}, not {raw['answers']!r}")
    if raw["effect"] == Effect.HTTP:
        _check_http({key: value for key, value in raw.items() if key not in _ALL}, where)
    return Rule(
        name=str(raw["name"]),
        effect=Effect(raw["effect"]),
        fraction=_fraction(select.get("fraction", 1.0), where),
        times=ALWAYS if times == "always" else times,
        parameters={key: value for key, value in raw.items() if key not in _ALL},
        **chosen,
    )


def _check_http(parameters: Mapping[str, Any], where: str) -> None:
    """A misspelt parameter would be a fault that never strikes."""
    if unknown := set(parameters) - set(_HTTP):
        raise FaultError(f"{where}: http has no {min(unknown)!r}; it has {', '.join(_HTTP)}")
    for key, known in (("when", _WHEN), ("drop", _DROP)):
        if key in parameters and parameters[key] not in known:
            raise FaultError(f"{where}: {key!r} is one of {', '.join(filter(None, known))}, not {parameters[key]!r}")
    for key in ("merge", "headers"):
        if not isinstance(parameters.get(key, {}), dict):
            raise FaultError(f"{where}: {key!r} is a mapping")


def _fraction(raw: Any, where: str) -> float:
    try:
        value = float(raw[:-1]) / 100 if isinstance(raw, str) and raw.endswith("%") else float(raw)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value <= 1:
        raise FaultError(f"{where}: fraction is 0..1 or a percentage such as 2%, not {raw!r}")
    return value
