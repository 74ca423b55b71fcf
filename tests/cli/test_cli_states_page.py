"""docs/states.md is what the table of transitions says."""

from pathlib import Path

from fleet.diagram import page


def test_the_page_is_the_generated_one() -> None:
    assert (Path(__file__).parents[2] / "docs" / "states.md").read_text() == page()


def test_the_page_shows_every_way_and_no_other() -> None:
    assert "running --> confirmed" in page()
    assert "confirmed --> running" not in page()
    assert "pending --> quarantined" not in page()
