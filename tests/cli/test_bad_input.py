"""Whatever is wrong is said before anything is touched: what, where and what to do; exit code; nothing on stdout."""

import hashlib
import json
import os
import shutil
import sqlite3
import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.command import FLEET, Build, Ran, Site, run

from fleet.cli.hall import read_hall
from fleet.exits import Exit
from fleet.state import RolloutStatus, replay

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
        site.baseline, '    items: {HostBMC_0: "24.09.17"}\n',
        '    items: {HostBMC_0: "24.09.17"}\n    fits: {descriptors: {iana: "674"}}\n',
    )  # fmt: skip
    return "is for another device: it names iana 5703"


def open_secret(site: Site) -> str:
    line = site.edit(site.inventory, f"file:{site.hall}/password", "hunter2")
    return f"{site.inventory}:{line}: the password of credential 'bmc' is not a reference; a secret never stands in this file"


def no_models(site: Site) -> str:
    line = site.edit(site.baseline, "models:", "modles:")
    return f"{site.baseline}:{line - 1}: baseline lacks the key 'models'; is 'modles' in line {line} meant?"


FILES: dict[str, Spoil] = {
    "inventory key": misspelt(
        "inventory.yaml",
        "credential: bmc",
        "credentail: bmc",
        "unknown key 'credentail' in bmc; did you mean 'credential'?",
    ),
    "baseline key": no_models,
    "playbook key": misspelt("playbook.yaml", "failure_budget", "failure_budgte", "unknown key 'failure_budgte'"),
    "unknown step": misspelt(
        "playbook.yaml",
        "update: {component: bmc}",
        "updaet: {component: bmc}",
        "unknown step 'firmware.updaet'; did you",
    ),
    "unknown component": misspelt(
        "playbook.yaml",
        "component: bios",
        "component: boss",
        "baseline dgx-h100-2026.10 has no component 'boss'; did you",
    ),
    "no baseline": misspelt("playbook.yaml", "baseline: baseline.yaml", "baseline: other.yaml", "no baseline at"),
    "missing image": no_image,
    "wrong digest": other_content,
    "truncated package": cut_off,
    "package for another device": other_device,
    "secret in the inventory": open_secret,
}


@pytest.mark.parametrize("spoil", FILES.values(), ids=FILES.keys())
def test_a_file_that_cannot_be_used(site: Site, spoil: Spoil) -> None:
    before = site.hardware()
    words = spoil(site)
    ran = site.apply("--yes", "--json")
    said(ran, Exit.USAGE, words)
    assert "hunter2" not in ran.err
    assert site.hardware() == before
    assert not site.journal.exists()


LINES: dict[str, tuple[list[str], str]] = {
    "no command": (["aply"], "No such command 'aply'. Did you mean 'apply'?"),
    "no option": (["status", "--jsno"], "No such option: --jsno"),
    "no inventory": (["plan", __file__], "Missing option '--inventory'"),
    "no file": (["plan", "nowhere.yaml", "-i", __file__], "no file 'nowhere.yaml', and no playbook of that name ships"),
    "no journal": (["status", "--journal", "nowhere.db"], "nowhere.db: no journal there; `fleet apply` and"),
    "no hall": (["sim", "-i", __file__, "--faults", "nowhere"], f"{__file__}:"),
}


@pytest.mark.parametrize(("line", "words"), LINES.values(), ids=LINES.keys())
def test_a_command_line_that_cannot_be_used(line: list[str], words: str) -> None:
    said(run([str(FLEET), *line]), Exit.USAGE, words)


def test_a_rollout_that_the_journal_does_not_hold(site: Site) -> None:
    assert site.apply().code == Exit.OK
    said(site.fleet("report", "nowhere"), Exit.USAGE, f"{site.journal}: holds no rollout 'nowhere'")
    said(site.fleet("resume"), Exit.USAGE, "has ended (dry-run); there is nothing to continue")


def doctored(site: Site, change: Callable[[dict[str, Any]], object]) -> Path:
    """A hall.json beside the real one, which says something else."""
    place = site.directory / "doctored"
    place.mkdir()
    told = json.loads((site.hall / "hall.json").read_text())
    change(told)
    (place / "hall.json").write_text(json.dumps(told))
    return place


def refused(site: Site, ran: Ran, nodes: int, *words: str) -> None:
    """The precheck refused; the journal says so and claims no node any more."""
    said(ran, Exit.REFUSED, f"the precheck refused {nodes} of 2 nodes; nothing was touched", *words)
    recorded = site.recorded()
    assert replay(recorded[0].rollout, recorded).status is RolloutStatus.REFUSED


def logins(site: Site) -> dict[str, tuple[int, int]]:
    """Sessions made and logins refused, by node."""
    return {name: (node["sessions"]["created"], node["failed_logins"]) for name, node in site.truth().items()}


def test_a_node_that_the_hall_does_not_simulate(site: Site) -> None:
    hall = doctored(site, lambda told: told["bmcs"].pop("gpu0002"))
    said(site.apply("--yes", hall=hall), Exit.USAGE, f"{hall}: the hall does not simulate node gpu0002")
    assert not site.journal.exists()


def test_a_bmc_that_cannot_be_reached(site: Site) -> None:
    before = site.hardware()
    hall = doctored(site, lambda told: told["bmcs"]["gpu0002"].update(port=1))
    refused(
        site,
        site.apply("--yes", hall=hall),
        1,
        "unreachable: 1 node gpu0002",
        "Connect call failed",
        "--skip-refused",
    )
    assert site.hardware() == before


def test_a_wrong_password_is_tried_once(site: Site) -> None:
    wrong = site.directory / "wrong"
    wrong.write_text("not-the-password")
    wrong.chmod(0o600)
    hardware, before = site.hardware(), logins(site)
    hall = doctored(site, lambda told: told.update(password_file=str(wrong)))
    ran = site.apply("--yes", hall=hall)
    refused(site, ran, 2, "login-refused: 2 nodes", "check the credential")
    assert "not-the-password" not in ran.err
    assert logins(site) == {name: (made, failed + 1) for name, (made, failed) in before.items()}
    assert site.hardware() == hardware
    assert site.apply().code == Exit.OK  # no account is locked


def test_a_password_that_others_can_read_is_not_used(site: Site) -> None:
    loose = site.directory / "loose"
    shutil.copy(site.hall / "password", loose)
    loose.chmod(0o644)
    before = logins(site)
    hall = doctored(site, lambda told: told.update(password_file=str(loose)))
    refused(site, site.apply("--yes", hall=hall), 2, f"chmod 600 {loose}")
    assert logins(site) == before


def other_authority(site: Site) -> None:
    """A certificate that signed nobody else's: that of one of the BMCs."""
    bmc = read_hall(site.hall).bmcs["gpu0001"]
    (site.directory / "other.pem").write_text(ssl.get_server_certificate((bmc.address, bmc.port)))
    site.edit(site.inventory, f"ca: {site.hall}/ca.pem", "ca: other.pem")


def no_authority(site: Site) -> None:
    site.edit(site.inventory, f"      ca: {site.hall}/ca.pem\n", "")


def other_fingerprint(site: Site) -> None:
    site.edit(site.inventory, f"ca: {site.hall}/ca.pem", f"fingerprint: 'sha256:{'0' * 64}'")


@pytest.mark.parametrize("distrust", [other_authority, no_authority, other_fingerprint])
def test_a_certificate_that_is_not_vouched_for_gets_no_password(site: Site, distrust: Callable[[Site], None]) -> None:
    distrust(site)
    before = logins(site)
    # Without --hall: the inventory's own addresses, authorities and credentials.
    ran = run([str(FLEET), "apply", str(site.playbook), "-i", str(site.inventory), "-j", str(site.journal), "--yes"])
    refused(site, ran, 2, "untrusted-tls", "sha256:", "compare that with the BMC's own console")
    assert logins(site) == before


def test_the_right_authority_is_enough(site: Site) -> None:
    said(run([str(FLEET), "plan", str(site.playbook), "-i", str(site.inventory), "-j", str(site.journal)]), Exit.OK)


def test_hardware_that_may_only_be_read(build: Build) -> None:
    site = build(2, model="GB300 NVL")
    before = site.hardware()
    refused(site, site.apply("--yes", "--skip-refused"), 2, "unknown-hardware: 2 nodes gpu[0001-0002]")
    assert site.hardware() == before


WINDOW = 'rollout:\n  window: {{days: [{day}], start: "00:00", length: 4h, tz: UTC{until}}}\n'


def windowed(site: Site, *, until: str = "") -> None:
    """A window of four hours, four days from the hall's day: closed for days, however fast its clock runs meanwhile."""
    day = datetime.fromtimestamp(read_hall(site.hall).clock().now(), UTC) + timedelta(days=4)
    site.edit(site.playbook, "rollout:\n", WINDOW.format(day=f"{day:%a}".lower(), until=until))


def test_an_expired_window(site: Site) -> None:
    windowed(site, until=', until: "2026-01-31"')
    before = logins(site)
    for options in (["--yes"], ["--yes", "--wait-for-window"], []):
        ran = site.apply(*options)
        said(ran, Exit.WINDOW_CLOSED, str(site.playbook), "until 2026-01-31", "never opens again", "Correct 'until'")
    assert logins(site) == before
    assert not site.journal.exists()


def test_a_closed_window(site: Site) -> None:
    windowed(site)
    before = logins(site)
    said(site.apply("--yes"), Exit.WINDOW_CLOSED, str(site.playbook), "is closed until", "--wait-for-window")
    assert logins(site) == before
    said(site.apply(), Exit.OK, "is closed until", "this was the plan")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as link:
        link.execute("CREATE TABLE bookmarks(url)")
        link.commit()


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA user_version = 99")


JOURNALS: dict[str, tuple[Callable[[Path], object], Exit, str]] = {
    "no database": (lambda path: path.write_text("garden, shed\n" * 500), Exit.JOURNAL, "file is not a database"),
    "a folder": (Path.mkdir, Exit.JOURNAL, "the journal cannot be opened for writing"),
    "somebody else's": (foreign, Exit.USAGE, "is not a journal of Fleetwave"),
    "a newer one": (newer, Exit.USAGE, "a newer Fleetwave wrote this journal"),
}


@pytest.mark.parametrize(("spoil", "code", "words"), JOURNALS.values(), ids=JOURNALS.keys())
def test_a_file_that_is_no_journal(site: Site, spoil: Callable[[Path], object], code: Exit, words: str) -> None:
    spoil(site.journal)
    before = site.journal.read_bytes() if site.journal.is_file() else b""
    said(site.apply("--yes"), code, f"{site.journal}: ", words)
    assert (site.journal.read_bytes() if site.journal.is_file() else b"") == before


def test_a_journal_that_cannot_be_written(site: Site) -> None:
    before = logins(site)
    ran = site.apply("--yes", journal=Path("/dev/null/journal.db"))
    said(ran, Exit.JOURNAL, "/dev/null/journal.db: the journal cannot be opened", "nothing was started", "--journal")
    assert logins(site) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_journal(site: Site) -> None:
    assert site.apply().code == Exit.OK
    site.journal.chmod(0o400)
    said(site.apply("--yes"), Exit.JOURNAL, f"{site.journal}: the journal cannot be opened for writing")


def test_a_damaged_journal(site: Site) -> None:
    assert site.apply().code == Exit.OK
    whole = bytearray(site.journal.read_bytes())
    whole[4096:] = b"\xff" * (len(whole) - 4096)
    site.journal.write_bytes(whole)
    before = logins(site)
    said(site.apply("--yes"), Exit.JOURNAL, f"{site.journal}", "malformed")
    said(site.fleet("status"), Exit.USAGE, f"{site.journal}: the journal cannot be read", "malformed")
    assert logins(site) == before
