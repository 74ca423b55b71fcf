"""What is written about the commands is what the commands say of themselves."""

import pytest

from fleet.cli.reference import PAGE, README, commands, exit_table, reference, with_exit_table

WRITE = "run: python -m fleet.cli.reference"


def test_the_reference_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), WRITE


def test_the_readme_has_the_exit_codes() -> None:
    readme = README.read_text()
    assert readme == with_exit_table(readme), WRITE


def test_a_readme_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="has 0 sections between"):
        with_exit_table("# Fleetwave\n" + exit_table())


@pytest.mark.parametrize("name", commands())
def test_help_tells_what_and_gives_an_example(name: str) -> None:
    told, _, example = commands()[name].help.partition("\n\nExample: ")
    assert told.endswith(".")
    assert example.startswith(f"[bold]fleet {name}")
