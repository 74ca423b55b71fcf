"""Profiles as written by people: what is wrong is said with file and line."""

from pathlib import Path

import pytest

from inventory.text import InputError
from playbooks.burnin.profile import LIBRARY, load_profile, profile_named

GOOD = "burnin: mine\ngpus: 2\ntests:\n  dcgm: {timeout: 5m}\n"


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_profiles_are_named_as_their_files_and_ask_for_every_test(path: Path) -> None:
    profile = load_profile(path)
    assert (profile.name, len(profile.tests)) == (path.stem, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("dcgm:", "dcgmi:"), "unknown key 'dcgmi'"),
        (GOOD.replace("5m", "300"), "is not a duration"),
        (GOOD.replace("gpus: 2", "gpus: 0"), "gpus"),
        ("burnin: mine\ngpus: 2\n", "at least one test"),
        (GOOD + "  nvbandwidth: {timeout: 5m, spread_percent: 2}\n", "at least one test with its minimum"),
        (GOOD + "command: rm\n", "unknown key 'command'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert profile_named(str(path)).tests == ("dcgm",)
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.yaml:\d+: ") as wrong:
        profile_named(str(path))
    assert words in str(wrong.value)


def test_a_name_that_is_nearly_right() -> None:
    with pytest.raises(InputError, match="did you mean 'hgx-8gpu-quick'"):
        profile_named("hgx-8gpu-quik")
