"""What must be true of each node at the end of its journey, by what its journal says became of it: accepted, rolled back or held."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from fleet.advice import advice
from fleet.errors import Reason
from fleet.sim.faults import Effect, Rule
from fleet.state import NodeState, NodeStatus
from inventory.exporters.json_document import SCHEMA
from soak.surrounds import Surrounds

TENANT = 200
"""The VLAN `tenant` of bring-up-256."""
_ADMITTED = "boot configuration may be left changed"
"""A held node may keep media or an override only if its message says so."""

_INSTALL = {Reason.IMAGE_FAILED, Reason.OUTCOME_UNKNOWN}
"""Silence of an installer is IMAGE_FAILED, and OUTCOME_UNKNOWN after a crash in which a call may have been missed."""
_FLASH = {Reason.UPDATE_FAILED, Reason.VERSION_MISMATCH, Reason.ROLLBACK_FAILED, Reason.OUTCOME_UNKNOWN}
REASONS: Mapping[Effect, frozenset[Reason]] = {
    effect: frozenset(reasons)
    for effects, reasons in (
        ((Effect.GPU_MISSING, Effect.GPU_SLOW, Effect.XID, Effect.DCGM_FAILS), {Reason.BURNIN_FAILED}),
        ((Effect.TOOL_HANGS, Effect.JSON_TRUNCATED), {Reason.BURNIN_FAILED}),
        # Nobody gets into it to see whether its disk was written: after a crash in its installation that stays unknown.
        ((Effect.SSH_REFUSED,), _INSTALL),
        ((Effect.WRONG_CABLE,), {Reason.WRONG_CABLE}),
        ((Effect.COMMIT_REFUSED, Effect.LINK_DROPS_IN_COMMIT), {Reason.SWITCH_REFUSED, Reason.OUTCOME_UNKNOWN}),
        ((Effect.PROMPT_SLOW,), {Reason.UNREACHABLE, Reason.SWITCH_REFUSED, Reason.OUTCOME_UNKNOWN}),
        ((Effect.OUTLET_STUCK,), {Reason.POWER_IGNORED, Reason.NO_ACTIVATION, Reason.ROLLBACK_FAILED}),
        ((Effect.IMAGE_UNREADABLE, Effect.NO_PHONE_HOME, Effect.MEDIA_DROPPED), _INSTALL),
        ((Effect.WRONG_IDENTITY,), {Reason.IDENTITY_MISMATCH}),
        ((Effect.UPDATE_FAILS, Effect.UPDATE_COMPLETES_CRITICAL), _FLASH),
        ((Effect.VERSION_UNCHANGED, Effect.PARTIAL), _FLASH),
        ((Effect.SUBMIT_REJECTED,), {Reason.UPDATE_REJECTED, *_FLASH}),
        ((Effect.BMC_DEAD,), {Reason.BMC_GONE, Reason.UNREACHABLE}),
    )
    for effect in effects
}
"""Effect -> what a node may rightly be held or rolled back for. Effects that are not here are survived."""

STOPS = frozenset(
    {
        Effect.GPU_MISSING,
        Effect.GPU_SLOW,
        Effect.XID,
        Effect.DCGM_FAILS,
        Effect.TOOL_HANGS,
        Effect.JSON_TRUNCATED,
        Effect.SSH_REFUSED,
        Effect.WRONG_CABLE,
        Effect.IMAGE_UNREADABLE,
        Effect.NO_PHONE_HOME,
        Effect.MEDIA_DROPPED,
        Effect.WRONG_IDENTITY,
        Effect.UPDATE_FAILS,
        Effect.BMC_DEAD,
    }
)
"""Of a node itself: with one of these it must never be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the operator asked for, from the baseline that was given, read without any code of the product."""

    versions: Mapping[str, str]
    """Glob on parts -> version."""
    release: str
    image_sha256: str

    @classmethod
    def read(cls, baseline: Path) -> "Goal":
        """From the file."""
        found = yaml.safe_load(baseline.read_text())
        (system,) = found["os"].values()
        wanted = {glob: version for part in found["components"].values() for glob, version in part["items"].items()}
        return cls(versions=wanted, release=system["release"], image_sha256=system["sha256"])

    def of(self, parts: Mapping[str, Any]) -> dict[str, str]:
        """Part -> wanted version, of the parts that a box has."""
        return {name: version for glob, version in self.versions.items() for name in parts if fnmatchcase(name, glob)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Journal against truth, node by node; `exported`: the directory of documents that the rollout handed on."""

    goal: Goal
    book: Mapping[str, Rule]
    before: Surrounds
    after: Surrounds
    exported: Path

    def node(self, name: str, node: NodeState) -> Iterator[str]:
        """What must not be, in words."""
        yield from self._whoever(name, node)
        match node.status:
            case NodeStatus.CONFIRMED:
                yield from self._confirmed(name)
            case NodeStatus.ROLLED_BACK:
                yield from self._former(name)
                yield from self._reasoned(name, node)
            case NodeStatus.QUARANTINED:
                yield from self._reasoned(name, node)
        if node.status is not NodeStatus.CONFIRMED and self._document(name).exists():
            yield "was handed on as confirmed"

    def _whoever(self, name: str, node: NodeState) -> Iterator[str]:
        """What holds for every node, whatever became of it."""
        box = self.after.truth["nodes"][name]
        if dark := self.after.dark(name):
            yield f"outlets are off: {', '.join(dark)}"
        left = [f"media {box['media']}"] if box["media"] else []
        left += [f"override {box['boot_override']}"] if box["boot_override"][0] != "Disabled" else []
        if left and (node.status is NodeStatus.CONFIRMED or _ADMITTED not in node.message):
            yield f"left behind: {', '.join(left)}"
        if box["host_power"] != "On":
            yield f"the host is {box['host_power']}"

    def _confirmed(self, name: str) -> Iterator[str]:
        box = self.after.truth["nodes"][name]
        wanted = self.goal.of(box["items"])
        if not wanted:
            yield "has none of the parts that the baseline names"
        for part, version in wanted.items():
            if box["items"][part]["active"] != version:
                yield f"{part} runs {box['items'][part]['active']}, wanted {version}"
        if box["os"]["version_id"] != self.goal.release or not box["os"]["up"]:
            yield f"its OS is {box['os']['version_id']}, up: {box['os']['up']}"
        writes = [write["outcome"] for write in box["image_writes"]]
        if writes != ["done"] or box["image_write_counts"] != {self.goal.image_sha256: 1}:
            yield f"images were written {writes}, {box['image_write_counts']}"
        yield from (f"{port} is in VLAN {vlan}" for port, vlan in self.after.vlans(name).items() if vlan != TENANT)
        yield from self.after.miscabled(name)
        stopped = [each for each in box["faults"] if self.book[each].effect in STOPS]
        if stopped:
            yield f"was accepted with {', '.join(stopped)}"
        yield from self._exported(name)

    def _exported(self, name: str) -> Iterator[str]:
        path = self._document(name)
        if not path.is_file():
            yield f"{path} was never written"
            return
        document = json.loads(path.read_text())
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
        items = self.after.truth["nodes"][name]["items"]
        (told,) = document["nodes"]
        untrue = {
            part: version for part, version in told["observed"]["versions"].items() if items[part]["active"] != version
        }
        if told["id"] != name or untrue:
            yield f"{path} says of {told['id']}: {untrue}"

    def _document(self, name: str) -> Path:
        return self.exported / f"{name}.json"

    def _former(self, name: str) -> Iterator[str]:
        """As it was before anybody touched it."""
        box, past = self.after.truth["nodes"][name], self.before.truth["nodes"][name]
        for part, item in box["items"].items():
            if item["active"] != past["items"][part]["active"]:
                yield f"rolled back, and {part} runs {item['active']} instead of {past['items'][part]['active']}"
        was = self.before.vlans(name)
        for port, vlan in self.after.vlans(name).items():
            if vlan != was[port]:
                yield f"rolled back, and {port} is in VLAN {vlan} instead of {was[port]}"
        if box["os"]["machine_id"] != past["os"]["machine_id"]:
            yield "rolled back, and its disk was written"

    def _reasoned(self, name: str, node: NodeState) -> Iterator[str]:
        """A reason that fits what really was wrong, and something to do about it."""
        fitting = {reason for rule in self.after.rules(name, self.book) for reason in REASONS.get(rule.effect, ())}
        if self.after.miscabled(name):  # its own cable, or that of a neighbour which hangs where its own should
            fitting.add(Reason.WRONG_CABLE)
        if node.reason not in fitting:
            known = ", ".join(sorted(rule.name for rule in self.after.rules(name, self.book))) or "nothing"
            yield f"false alarm: {node.status} for {node.reason} ({node.message}); wrong with it: {known}"
        if not advice(node.status, node.reason):
            yield f"nobody says what to do about {node.reason}"
