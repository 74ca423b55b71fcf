"""A password is in the hall's file and in the memory of who needs it, and nowhere else that a rollout leaves or shows."""

import json
import secrets
import stat
from pathlib import Path

import pytest
from support.command import FLEET, Site, run, running_hall, started, write_site

from fleet.exits import Exit
from fleet.sim.osimage import build_os_image

FAULTS = (
    "{name: refuses, select: {node: gpu0002}, effect: update-fails, times: always}",
    "{name: garbage, select: {node: gpu0003}, effect: truncated-json, times: 3}",
)


def command_lines() -> bytes:
    """What every user of this machine can see of its processes, ours left out: pytest names no password either."""
    seen = b""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen += (process / "cmdline").read_bytes()
        except OSError:
            continue
    return seen


def files(directory: Path, *, but: Path) -> dict[Path, bytes]:
    """Everything written below the directory."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path != but}


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_rollout_with_failures_writes_the_password_nowhere(tmp_path: Path) -> None:
    with running_hall(tmp_path / "hall", 3, faults=", ".join(FAULTS)) as hall:
        password = (hall / "password").read_text()
        site = write_site(tmp_path, hall, 3, budget="100%")
        with started(site.apply_line("--yes", "--json")) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert password.encode() not in command_lines()
            out, err = process.communicate(timeout=120)
        assert process.returncode == Exit.NODES_FAILED, err
        shown = [first, out, err]
        for command in (["events"], ["why"], ["why", "last", "gpu0002"], ["report", "--json"], ["status", "--json"]):
            ran = site.fleet(*command)
            assert ran.code == Exit.OK, ran.err
            shown += [ran.out, ran.err]
        assert [text for text in shown if password in text] == []
        left = files(tmp_path, but=hall / "password")
    assert site.journal in left
    assert [path for path, content in left.items() if password.encode() in content] == []


def test_a_journal_that_a_crash_left_does_not_hold_it(tmp_path: Path) -> None:
    with running_hall(tmp_path / "hall", 1, speed=600) as hall:
        site = write_site(tmp_path, hall, 1)
        with started(site.apply_line("--yes", "--json")) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if '"session.opened"' in line:
                    break
            process.kill()
            process.wait()
        log = site.journal.with_name("journal.db-wal")
        assert log.stat().st_size, "killed with a write-ahead log"
        password = (hall / "password").read_bytes()
        left = files(tmp_path, but=hall / "password")
    assert [path for path, content in left.items() if password in content] == []


def with_an_image(site: Site) -> None:
    """The same nodes, and an OS for them in place of firmware."""
    image = site.directory / "images" / "ubuntu.iso"
    sha256 = build_os_image(image, version_id="24.04", size_bytes=1 << 20)
    system = {"ubuntu": {"release": "24.04", "image": "images/ubuntu.iso", "sha256": sha256}}
    site.baseline.write_text(json.dumps({"baseline": "b", "models": ["DGXH100"], "os": system}))
    steps = [{"os.image": {"os": "ubuntu"}}]
    playbook = {"playbook": "p", "select": {"model": "DGXH100"}, "baseline": "baseline.yaml", "steps": steps}
    site.playbook.write_text(json.dumps(playbook))


def test_the_token_of_an_installation_is_kept_for_its_owner_and_told_to_the_bmc_alone(tmp_path: Path) -> None:
    faults = "{name: silent, select: {node: gpu0002}, effect: no-phone-home}"
    with running_hall(tmp_path / "hall", 2, faults=faults) as hall:
        site = write_site(tmp_path, hall, 2)
        with_an_image(site)
        ran = site.apply("--yes", "--json")
        assert ran.code == Exit.NODES_FAILED, ran.err
        shown = [ran.out, ran.err]
        for command in (["events"], ["why", "last", "gpu0001"], ["why", "last", "gpu0002"], ["report", "--json"]):
            shown += [(said := site.fleet(*command)).out, said.err]
        left = files(tmp_path, but=hall / "password")
    kept = {path for path in left if path.suffix == ".token"}
    tokens = [left[path].decode() for path in kept]
    assert len(tokens) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in kept} == {0o700}
    assert [text for text in shown if any(token in text for token in tokens)] == []
    assert {path for path, content in left.items() if any(token.encode() in content for token in tokens)} == kept


def refused(site: Site, ran_with: str, password: str) -> None:
    """The refusal names the reference, not the password."""
    ran = run([str(FLEET), "plan", str(site.playbook), "-i", str(site.inventory), "-j", str(site.journal)])
    assert ran.code == Exit.REFUSED, ran.err
    assert ran_with in ran.words
    assert password not in ran.out + ran.err
    assert [
        path
        for path, content in files(site.directory, but=site.hall / "password").items()
        if password.encode() in content
    ] == [site.directory / "wrong"]


def test_a_refused_password_is_not_repeated(tmp_path: Path) -> None:
    password = secrets.token_urlsafe()
    with running_hall(tmp_path / "hall", 1) as hall:
        site = write_site(tmp_path, hall, 1)
        wrong = tmp_path / "wrong"
        wrong.write_text(password)
        wrong.chmod(0o600)
        site.edit(site.inventory, f"file:{hall}/password", f"file:{wrong}")
        refused(site, "login as 'admin' was refused", password)
        wrong.chmod(0o640)
        refused(site, f"run: chmod 600 {wrong}", password)
