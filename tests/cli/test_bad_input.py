"""Whatever is wrong is said before anything is touched: what, where and what to do; exit code; nothing on stdout."""

import hashlib
import json
import os
import shutil
import sqlite3
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Build, Ran, Site

from fleet.cli.hall import read_hall
from fleet.exits import Exit
from fleet.sim.package import build_box_package
from fleet.state import replay

Spoil = Callable[[Site], str]
"""Spoils a file; returns what the error must say."""


def said(ran: Ran, code: Exit, *words: str) -> None:
    """A sentence on stderr, nothing on stdout, no traceback, this exit code."""
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert "Traceback" not in ran.err
    for each in words:
        assert each in ran.words


def misspelt(place: str, old: str, new: str, says: str) -> Spoil:
    def spoil(site: Site) -> str:
        path = site.directory / place
        return f"{path}:{site.edit(path, old, new)}: {says}"

    return spoil


def no_image(site: Site) -> str:
    image = site.directory / "images" / "dgx-bios-01.05.03.fwpkg"
    image.unlink()
    return f"component 'bios': image {image} is missing; refused before anything is touched"


def other_content(site: Site) -> str:
    image = site.directory / "images" / "dgx-bmc-24.09.17.fwpkg"
    image.write_bytes(image.read_bytes() + b"!")
    return f"component 'bmc': image {image} has the SHA-256 {hashlib.sha256(image.read_bytes()).hexdigest()}, the baseline says"


def with_image(site: Site, spoil: Callable[[Path], object]) -> Path:
    """Another BMC image, with its right digest in the baseline."""
    image = site.directory / "images" / "dgx-bmc-24.09.17.fwpkg"
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    spoil(image)
    site.edit(site.baseline, before, hashlib.sha256(image.read_bytes()).hexdigest())
    return image


def cut_off(site: Site) -> str:
    image = with_image(site, lambda path: path.write_bytes(path.read_bytes()[:60]))
    return f"component 'bmc': image {image} is no usable package: the header claims"


def other_device(site: Site) -> str:
    site.edit(
        site.baseline, "    items: {HostBMC_0: \"24.09.17\"}\n",
        "    items: {HostBMC_0: \"24.09.17\"}\n    fits: {descriptors: {iana: \"674\"}}\n",
    )  # fmt: skip
    return "is for another device: it names iana 5703"


def open_secret(site: Site) -> str:
    line = site.edit(site.inventory, f"file:{site.hall}/password", "hunter2")
    return f"{site.inventory}:{line}: the password of credential 'bmc' is not a reference; a secret never stands in this file"


FILES: dict[str, Spoil] = {
    "inventory key": misspelt(
        "inventory.yaml",
        "credential: bmc",
        "credentail: bmc",
        "unknown key 'credentail' in bmc; did you mean 'credential'?",
    ),
    "baseline key": misspelt(
        "baseline.yaml", "models:", "modles:", "unknown key 'modles' in baseline; did you mean 'models'?"
    ),
    "playbook key": misspelt("playbook.yaml", "failure_budget", "failure_budgte", "unknown key 'failure_budgte'"),
    "unknown step": misspelt(
        "playbook.yaml",
        "firmware.update: {component: bmc}",
        "firmware.updaet: {component: bmc}",
        "unknown step 'firmware.updaet'; did you mean 'firmware.update'?",
    ),
    "unknown component": misspelt(
        "playbook.yaml", "component: bios", "component: boss", "baseline dgx-h100-2026.10 has no component 'boss'"
    ),
    "no baseline": misspelt("playbook.yaml", "baseline: baseline.yaml", "baseline: other.yaml", "no baseline at"),
    "no digest": misspelt("baseline.yaml", "sha256: " + "", "sha256: ", ""),
    "missing image": no_image,
    "wrong digest": other_content,
    "truncated package": cut_off,
    "package for another device": other_device,
    "secret in the inventory": open_secret,
}
del FILES["no digest"]


@pytest.mark.parametrize("spoil", FILES.values(), ids=FILES.keys())
def test_a_file_that_cannot_be_used(site: Site, spoil: Spoil) -> None:
    before = site.hardware()
    words = spoil(site)
    ran = site.apply("--yes", "--json")
    said(ran, Exit.USAGE, words)
    assert "hunter2" not in ran.err
    assert site.hardware() == before
    assert not site.journal.exists()
