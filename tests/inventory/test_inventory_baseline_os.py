"""Operating systems in a baseline: read as written, their images checked as far as an ISO can be."""

from __future__ import annotations

import hashlib
import re
import textwrap
from pathlib import Path

import pytest

from inventory.baseline_check import verify_images
from inventory.baseline_load import load_baseline
from inventory.text import InputError

DOCS = Path(__file__).parents[2] / "docs"
ISO = b"an image that installs by itself"
DIGEST = hashlib.sha256(ISO).hexdigest()
HEAD = "baseline: dgx-2026.10\nmodels: [DGXH100]\n"
FILE = f"""\
{HEAD}os:
  ubuntu:
    release: 24.10
    image: images/ubuntu.iso
    sha256: {DIGEST.upper()}
  rocky: {{release: "9.4", image: images/rocky.iso, sha256: {DIGEST}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("ubuntu.iso", "rocky.iso"):
        (tmp_path / "images" / name).write_bytes(ISO)
    (tmp_path / "baseline.yaml").write_text(FILE)
    return tmp_path


def edited(folder: Path, old: str, new: str) -> Path:
    assert FILE.count(old) >= 1
    path = folder / "baseline.yaml"
    path.write_text(FILE.replace(old, new, 1))
    return path


def test_systems_are_read_as_written_and_need_no_component(folder: Path) -> None:
    baseline = load_baseline(folder / "baseline.yaml")
    assert not baseline.components
    assert list(baseline.systems) == ["ubuntu", "rocky"]
    ubuntu = baseline.systems["ubuntu"]
    assert (ubuntu.key, ubuntu.release, ubuntu.sha256) == ("ubuntu", "24.10", DIGEST)
    assert ubuntu.image == folder / "images" / "ubuntu.iso"
    assert str(ubuntu.place) == f"{folder / 'baseline.yaml'}:4"
    assert verify_images(baseline) == ()


def test_nothing_brings_back_what_was_on_the_disk(folder: Path) -> None:
    assert not load_baseline(folder / "baseline.yaml").inverse().systems


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    release: 24.10\n", "", 4, "os 'ubuntu' lacks the key 'release'"),
        ("release:", "relase:", 4, "os 'ubuntu' lacks the key 'release'; is 'relase' in line 5 meant?"),
        ("    sha256:", "    fits: x\n    sha256:", 7, "unknown key 'fits' in os 'ubuntu'"),
        ("  ubuntu:", "  Ubuntu 24:", 4, "os 'Ubuntu 24' is not usable as a key"),
        (f"sha256: {DIGEST.upper()}", "sha256: abc", 7, "'abc' is no SHA-256 digest"),
        (FILE.removeprefix(HEAD), "", 1, "names no component and no os; add components: or os:"),
        (FILE.removeprefix(HEAD), "os: {}\ncomponents: {}\n", 1, "names no component and no os"),
        ("os:\n", "oses:\n", 3, "unknown key 'oses' in baseline; did you mean 'os'?"),
    ],
)
def test_a_wrong_system_is_refused_at_its_line(folder: Path, old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_baseline(edited(folder, old, new))
    assert words in str(caught.value)
    assert caught.value.place.line == line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (ISO + b"x", f"has the SHA-256 {hashlib.sha256(ISO + b'x').hexdigest()}, the baseline says {DIGEST}"),
    ],
)
def test_a_wrong_image_is_a_problem_at_its_line(folder: Path, content: bytes | None, words: str) -> None:
    image = folder / "images" / "rocky.iso"
    image.unlink()
    if content is not None:
        image.write_bytes(content)
    (problem,) = verify_images(load_baseline(folder / "baseline.yaml"))
    assert str(problem) == (
        f"{folder / 'baseline.yaml'}:8: os 'rocky': image {image} {words}; refused before anything is touched"
    )


def test_a_folder_is_no_image(folder: Path) -> None:
    image = folder / "images" / "ubuntu.iso"
    image.unlink()
    image.mkdir()
    (problem,) = verify_images(load_baseline(folder / "baseline.yaml"))
    assert f"os 'ubuntu': image {image} is not a file" in str(problem)


def test_an_image_that_some_bmcs_would_not_mount_is_a_problem(folder: Path) -> None:
    (folder / "images" / "ubuntu.iso").rename(folder / "images" / "ubuntu.img")
    (problem,) = verify_images(load_baseline(edited(folder, "ubuntu.iso", "ubuntu.img")))
    assert "ubuntu.img does not end in .iso; some BMCs mount nothing else" in str(problem)


def test_the_systems_on_the_page_load_and_lack_only_their_images(tmp_path: Path) -> None:
    page = (DOCS / "baselines.md").read_text()
    shown = re.search(r"^    os:\n(?:    .+\n)+", page, re.MULTILINE)
    assert shown is not None
    (tmp_path / "baseline.yaml").write_text(HEAD + textwrap.dedent(shown[0]))
    baseline = load_baseline(tmp_path / "baseline.yaml")
    assert list(baseline.systems) == ["ubuntu"]
    assert ["is missing" in str(problem) for problem in verify_images(baseline)] == [True]
