"""The `http` effect: what a rule does to requests of its choice, whatever stands behind them (docs/hall.md)."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from fleet.sim.faults import Effect, NodeFaults, Rule
from fleet.sim.message import Answer, Request, Wire, encode

_DEFAULT_STATUS = 503


class HttpFaults:
    """The `http` rules of one BMC. The first that matches a request and has strikes left has it."""

    def __init__(
        self, faults: NodeFaults, state: Callable[[float], frozenset[str]], bmc_version: Callable[[], str]
    ) -> None:
        """`state(now)`: the words of `when` that are true; `bmc_version()`: what the BMC runs."""
        self._faults = faults
        self._state = state
        self._bmc_version = bmc_version
        self._let_through = Counter[str]()

    def preflight(self, request: Request, now: float) -> Answer | None:
        """A refusal or a broken connection before a large body is read; None: the body will be read."""
        for rule in self._live(request, now):
            if _replaces(rule) and rule.parameters.get("drop") != "after" and not self._waits(rule):
                self._faults.strike(rule)
                return _instead(rule)
        return None

    def answer(self, request: Request, now: float, good: Callable[[], Answer]) -> Answer:
        """What `good()` answers, or what a rule makes of it."""
        rules = self._live(request, now)
        for rule in rules:
            if _replaces(rule) and self._struck(rule):
                if rule.parameters.get("drop") == "after":
                    good()
                return _instead(rule)
        result = good()
        for rule in [*rules, *self._of_members(request, now)]:
            if not _replaces(rule) and self._struck(rule):
                result = _changed(rule, result, request.path.rstrip("/"))
        return result

    def _live(self, request: Request, now: float) -> list[Rule]:
        path = request.path.rstrip("/")
        return [rule for rule in self._rules(request.method, now) if fnmatchcase(path, rule.text("path", "*"))]

    def _of_members(self, request: Request, now: float) -> list[Rule]:
        """Rules that lie about members of the collection that is asked for: an expanded collection lies as they do."""
        path = request.path.rstrip("/")
        return [
            rule
            for rule in self._rules(request.method, now)
            if "merge" in rule.parameters
            and not fnmatchcase(path, rule.text("path", "*"))
            and fnmatchcase(path, rule.text("path", "*").rpartition("/")[0])
        ]

    def _rules(self, method: str, now: float) -> list[Rule]:
        live = self._faults.live(Effect.HTTP)
        if not live:
            return []
        state, version = self._state(now), self._bmc_version()
        return [
            rule
            for rule in live
            if fnmatchcase(method, rule.text("method", "*"))
            and fnmatchcase(version, rule.text("bmc_version", "*"))
            and rule.text("when", "") in {"", *state}
        ]

    def _waits(self, rule: Rule) -> bool:
        return self._let_through[rule.name] < rule.number("skip", 0)

    def _struck(self, rule: Rule) -> bool:
        if self._waits(rule):
            self._let_through[rule.name] += 1
            return False
        self._faults.strike(rule)
        return True


def _replaces(rule: Rule) -> bool:
    return "status" in rule.parameters or "drop" in rule.parameters or "body" in rule.parameters


def _instead(rule: Rule) -> Answer:
    told = rule.parameters
    if "drop" in told:
        return Answer(status=0, wire=Wire.DROP, delay_s=rule.number("delay_s", 0))
    body = told.get("body", "")
    text = isinstance(body, str)
    return Answer(
        status=int(rule.number("status", _DEFAULT_STATUS)),
        body=body.encode() if text else encode(body),
        headers=tuple((str(name), str(value)) for name, value in dict(told.get("headers", {})).items()),
        content_type="text/html" if text and body else "application/json",
        delay_s=rule.number("delay_s", 0),
    )


def _changed(rule: Rule, good: Answer, path: str) -> Answer:
    late = replace(good, delay_s=good.delay_s + rule.number("delay_s", 0))
    patch = rule.parameters.get("merge")
    try:
        document = json.loads(good.body) if patch is not None else None
    except ValueError:
        return late
    if not isinstance(document, dict):
        return late
    wanted = rule.text("path", "*")
    if fnmatchcase(path, wanted):
        return replace(late, body=encode(merged(document, patch)))
    members = [
        merged(member, patch) if len(member) > 1 and fnmatchcase(str(member.get("@odata.id")), wanted) else member
        for member in document.get("Members", ())
    ]
    return replace(late, body=encode({**document, "Members": members} if members else document))


def merged(document: Mapping[str, Any], patch: Any) -> dict[str, Any]:
    """JSON merge patch (RFC 7396), but null stays null: a BMC that says null is a fault of its own."""
    result = dict(document)
    for name, value in dict(patch).items():
        before = result.get(name)
        result[name] = merged(before, value) if isinstance(value, Mapping) and isinstance(before, dict) else value
    return result
