"""Baseline files: read as written, refused before anything is touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pldm_builder import Image, build

from inventory.baseline import Activation
from inventory.baseline_check import verify_images
from inventory.baseline_load import load_baseline
from inventory.text import InputError

GOOD = build()
OLD = build(images=[Image(version="23.11.21")])


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


FILE = f"""\
baseline: dgx-h100-2026.10
models: [DGXH100]
components:
  bmc:
    version: "24.09.17"
    accepts: ["24.9.17"]
    image: images/bmc.fwpkg
    sha256: {digest(GOOD)}
    activation: [bmc-reset, ac-cycle]
    items: {{HostBMC_0: 24.10}}
    fits:
      descriptors: {{iana: 5703, APSKU: 4B000055}}
    requires:
      - {{from: ["22.*"], via: "23.09.20", image: images/bmc.fwpkg, sha256: {digest(GOOD)}, items: {{HostBMC_0: "1"}}}}
    previous:
      version: 23.11.21
      image: images/old.fwpkg
      sha256: {digest(OLD)}
      items: {{HostBMC_0: {{version: 23.11.21, accepts: 23.11.20}}}}
  bios:
    version: 1.10
    image: images/bios.bin
    sha256: {digest(b"bios")}
    activation: warm-reset
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bmc.fwpkg").write_bytes(GOOD)
    (tmp_path / "images" / "old.fwpkg").write_bytes(OLD)
    (tmp_path / "images" / "bios.bin").write_bytes(b"bios")
    (tmp_path / "baseline.yaml").write_text(FILE)
    return tmp_path


def edited(folder: Path, old: str, new: str) -> Path:
    assert FILE.count(old) >= 1
    path = folder / "baseline.yaml"
    path.write_text(FILE.replace(old, new, 1))
    return path


def test_a_baseline_is_read_as_written(folder: Path) -> None:
    baseline = load_baseline(folder / "baseline.yaml")
    assert list(baseline.components) == ["bmc", "bios"]
    bmc, bios = baseline.components.values()
    assert bios.version == "1.10"
    assert bmc.items[0].version == "24.10"
    assert bmc.activation == {Activation.BMC_RESET, Activation.AC_CYCLE}
    assert bios.activation == {Activation.WARM_RESET}
    assert bios.fits.models == ("DGXH100",)
    assert bmc.previous is not None
    assert bmc.previous.items[0].accepts == {"23.11.20"}
    assert bmc.image == folder / "images" / "bmc.fwpkg"
    assert str(bmc.place) == f"{folder / 'baseline.yaml'}:4"
    assert bmc.requires[0].from_versions == ("22.*",)


def test_what_was_tested_together_is_read_row_by_row(folder: Path) -> None:
    row = "compatibility:\n  - {bmc: ['23.11.21', '24.10'], bios: 1.10}\n"
    baseline = load_baseline(edited(folder, "models: [DGXH100]\n", f"models: [DGXH100]\n{row}"))
    assert baseline.compatibility == ({"bmc": frozenset({"23.11.21", "24.10"}), "bios": frozenset({"1.10"})},)
    assert baseline.inverse().compatibility == (*baseline.compatibility, baseline.goal())
    with pytest.raises(InputError, match=r"no component 'boos' in this baseline; did you mean 'bios'"):
        load_baseline(edited(folder, "models: [DGXH100]\n", "models: [DGXH100]\ncompatibility: [{boos: 1.10}]\n"))
    with pytest.raises(InputError, match="names no component"):
        load_baseline(edited(folder, "models: [DGXH100]\n", "models: [DGXH100]\ncompatibility: [{}]\n"))


def test_right_images_raise_no_problem(folder: Path) -> None:
    assert verify_images(load_baseline(folder / "baseline.yaml")) == ()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("accepts:", "acepts:", 6, "unknown key 'acepts' in component 'bmc'; did you mean 'accepts'?"),
        ("[bmc-reset, ac-cycle]", "[bmc-rest]", 9, "unknown 'bmc-rest'; did you mean 'bmc-reset'?"),
        ("[bmc-reset, ac-cycle]", "[]", 9, "names no way to activate"),
        (f"sha256: {digest(GOOD)}", "sha256: abc", 8, "'abc' is no SHA-256 digest"),
        ("models: [DGXH100]", "models: []", 2, "models is empty"),
        ('["22.*"]', '["2*"]', 14, "on the way from itself"),
        ("      items: {HostBMC_0: {version: 23.11.21, accepts: 23.11.20}}\n", "", 4, "does not"),
        ("  bios:", "  bmc:", 20, "key 'bmc' appears twice; it stands in line 4 already"),
        ("  bios:", "  Bad Key:", 20, "not usable as a key"),
        ("    version: 1.10\n", "", 20, "component 'bios' lacks the key 'version'"),
        ("    version: 1.10\n", "    version:\n", 21, "version has no value"),
    ],
)
def test_a_wrong_baseline_is_refused_at_its_line(folder: Path, old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_baseline(edited(folder, old, new))
    assert words in str(caught.value)
    assert caught.value.place.line == line


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("bmc.fwpkg", None, 4, "is missing"),
        ("bmc.fwpkg", b"", 4, "is empty"),
        ("bmc.fwpkg", GOOD + b"x", 4, f"has the SHA-256 {digest(GOOD + b'x')}"),
        ("old.fwpkg", GOOD, 15, "has the SHA-256"),
        ("bios.bin", b"bias", 20, "has the SHA-256"),
    ],
)
def test_a_wrong_image_is_a_problem_at_its_line(
    folder: Path, name: str, content: bytes | None, line: int, words: str
) -> None:
    image = folder / "images" / name
    image.unlink()
    if content is not None:
        image.write_bytes(content)
    problems = verify_images(load_baseline(folder / "baseline.yaml"))
    assert problems[0].place.line == line
    assert words in str(problems[0])
    assert str(problems[0]).endswith("refused before anything is touched")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("iana: 5703", "iana: 5704", "is for another device: it names"),
        ("APSKU: 4B000055", "ECSKU: 4B000055", "is for another device"),
        ("    activation: warm", "    fits: {descriptors: {iana: 5703}}\n    activation: warm", "has no PLDM header"),
        (
            "    activation: warm",
            "    fits: {models: [DGXA100]}\n    activation: warm",
            "the baseline is also for DGXH100",
        ),
    ],
)
def test_an_image_for_another_device_is_a_problem(folder: Path, old: str, new: str, words: str) -> None:
    problems = verify_images(load_baseline(edited(folder, old, new)))
    assert problems
    assert words in str(problems[0])


def test_a_damaged_package_with_the_right_digest_is_a_problem(folder: Path) -> None:
    damaged = build(crc_error=1)
    (folder / "images" / "bmc.fwpkg").write_bytes(damaged)
    path = folder / "baseline.yaml"
    path.write_text(FILE.replace(digest(GOOD), digest(damaged)))
    component, stone = verify_images(load_baseline(path))
    assert "the file is damaged" in str(component)
    assert (component.place.line, stone.place.line) == (4, 14)
