"""A hall that nothing may change, and halls that a test may."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.command import Build, Site, running_hall, write_site


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A hall of two nodes that no test of the module may change."""
    with running_hall(tmp_path_factory.mktemp("quiet") / "hall", 2) as hall:
        yield hall


@pytest.fixture
def site(tmp_path: Path, quiet: Path) -> Site:
    """Files of one's own for the quiet hall."""
    return write_site(tmp_path, quiet, 2)


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Makes a site with a hall of its own, which may be changed."""
    with ExitStack() as stack:

        def make(nodes: int, *, budget: str = "5%", **hall: Any) -> Site:
            place = stack.enter_context(running_hall(tmp_path / "hall", nodes, **hall))
            return write_site(tmp_path, place, nodes, budget=budget)

        yield make
