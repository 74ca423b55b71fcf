"""Baselines: versions are text, and seeing nothing is not meeting the baseline."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.baseline import (
    Activation,
    Baseline,
    ComponentBaseline,
    Fits,
    ItemWant,
    PreviousImage,
    SteppingStone,
    diff,
    matches,
    normalise,
)
from inventory.observed import FirmwareItem

BMC = ComponentBaseline(
    key="bmc",
    version="24.09.17",
    accepts=frozenset({"24.9.17"}),
    image=Path("/images/bmc.fwpkg"),
    sha256="a" * 64,
    fits=Fits(models=("DGXH100",)),
    activation=frozenset({Activation.BMC_RESET}),
    requires=(
        SteppingStone(from_versions=("22.*",), via="23.09.20", image=Path("/images/stone.fwpkg"), sha256="b" * 64),
    ),
    previous=PreviousImage(version="23.11.21", image=Path("/images/old.fwpkg"), sha256="c" * 64),
)


def item(name: str, version: str, state: str = "Enabled") -> FirmwareItem:
    return FirmwareItem(id=name, version=version, state=state)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ("24.09.17", True),
        ("24.09.17         ", True),
        ("24.9.17", True),
        ("24.09.170", False),
        ("24.09.18", False),
        ("v24.09.17", False),
        ("24.09.17-rc1", False),
        ("", False),
        ("   ", False),
    ],
)
def test_a_version_matches_as_text_or_not_at_all(observed: str, *, expected: bool) -> None:
    assert matches(BMC, observed) is expected


def test_an_empty_version_is_never_the_wanted_one() -> None:
    assert not matches(replace(BMC, accepts=frozenset({"", " "})), " ")


def test_case_of_a_version_does_not_count() -> None:
    assert matches(ItemWant(pattern="*", version="97.00.6C.00.03"), "97.00.6c.00.03")
    assert normalise(" TGBT42S ") == normalise("tgbt42s")


def test_an_item_at_another_version_differs() -> None:
    found = diff(BMC, [item("HostBMC_0", "24.09.17"), item("HostBMC_1", "23.11.21")])
    assert [each.id for each in found.at_baseline] == ["HostBMC_0"]
    assert [(each.item.version, each.want.version) for each in found.differing] == [("23.11.21", "24.09.17")]
    assert not found.met


def test_seeing_no_item_is_not_meeting_the_baseline() -> None:
    found = diff(BMC, [])
    assert found.missing == ("*",)
    assert not found.met


def test_a_bundle_wants_a_version_of_each_part() -> None:
    bundle = replace(
        BMC,
        key="hgx",
        items=(
            ItemWant(pattern="HGX_FW_GPU_SXM_1", version="special"),
            ItemWant(pattern="HGX_FW_GPU_SXM_*", version="96.00.6D"),
            ItemWant(pattern="HGX_FW_BMC_0", version="HGX-24", accepts=frozenset({"hgx-24-1"})),
            ItemWant(pattern="HGX_FW_FPGA_0", version="2.53"),
        ),
    )
    found = diff(
        bundle,
        [
            item("HGX_FW_GPU_SXM_1", "special"),
            item("HGX_FW_GPU_SXM_2", "96.00.6d"),
            item("HGX_FW_GPU_SXM_3", "special"),
            item("HGX_FW_BMC_0", "HGX-24-1"),
            item("PSU_0", "anything"),
        ],
    )
    assert [each.id for each in found.at_baseline] == ["HGX_FW_GPU_SXM_1", "HGX_FW_GPU_SXM_2", "HGX_FW_BMC_0"]
    assert [each.item.id for each in found.differing] == ["HGX_FW_GPU_SXM_3"]
    assert found.missing == ("HGX_FW_FPGA_0",)
    assert not found.met


@pytest.mark.parametrize("state", ["Absent", "UnavailableOffline"])
def test_a_device_that_is_not_there_is_no_evidence_of_its_version(state: str) -> None:
    found = diff(BMC, [item("GPU_0", "24.09.17"), item("GPU_1", "24.09.17", state)])
    assert [each.id for each in found.absent] == ["GPU_1"]
    assert not found.met


def test_every_item_at_the_version_meets_the_baseline() -> None:
    assert diff(BMC, [item("HostBMC_0", "24.09.17"), item("HostBMC_1", "24.9.17")]).met


def test_a_stepping_stone_is_asked_for_by_the_observed_version() -> None:
    (stone,) = BMC.requires
    assert stone.needed("22.10.1 ")
    assert not stone.needed("23.01.1")
    staged = BMC.stage(stone)
    assert (staged.version, staged.image, staged.sha256) == ("23.09.20", stone.image, stone.sha256)
    assert not staged.requires
    assert staged.previous is None
    assert not matches(staged, "24.9.17")


def test_the_inverse_of_the_inverse_wants_what_the_baseline_wanted() -> None:
    baseline = Baseline(name="b", models=("DGXH100",), components={"bmc": BMC, "bios": replace(BMC, previous=None)})
    back = baseline.inverse()
    assert list(back.components) == ["bmc"]
    rolled = back.components["bmc"]
    assert (rolled.version, rolled.sha256, rolled.requires) == ("23.11.21", "c" * 64, ())
    assert not matches(rolled, "24.9.17")
    forth = back.inverse().components["bmc"]
    assert (forth.version, forth.accepts, forth.image, forth.sha256) == (
        BMC.version,
        BMC.accepts,
        BMC.image,
        BMC.sha256,
    )


def test_models_fit_by_glob_without_case() -> None:
    assert Fits(models=("dgx*",)).model("DGXH100")
    assert not Fits(models=("DGXH100",)).model("DGXH100-2")


def test_a_baseline_crosses_a_process_border() -> None:
    baseline = Baseline(name="b", models=("DGXH100",), components={"bmc": BMC})
    assert pickle.loads(pickle.dumps(baseline)) == baseline  # noqa: S301 (our own bytes)
