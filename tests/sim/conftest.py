"""A hall per test."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hall_client import PASSWORD, Client, Start, boxes
from journey import Journey, Open, document, open_journey

from fleet.sim.faults import read_faults
from fleet.sim.hall import Hall, HallSpec


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a hall with one box and gives a logged-in client."""
    async with AsyncExitStack() as stack:

        async def run(
            model: str, *, rules: list[dict[str, Any]] | None = None, speed: float = 3000, login: bool = True
        ) -> Client:
            faults = read_faults({"faults": "test", "rules": rules or []}, "test")
            spec = HallSpec(boxes=boxes(model), directory=tmp_path / "h", speed=speed, faults=faults, password=PASSWORD)
            hall = await stack.enter_async_context(Hall(spec))
            trust = ssl.create_default_context(cafile=tmp_path / "h" / "ca.pem")
            connector = aiohttp.TCPConnector(ssl=trust)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            client = Client(hall, spec.boxes[0].name, http)
            if login:
                assert await client.log_in() == 201
            return client

        yield run


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Starts a hall with everything in it."""
    async with AsyncExitStack() as stack:

        async def run(
            *models: str, rules: list[dict[str, Any]] | None = None, speed: float = 3000, **more: Any
        ) -> Journey:
            return await open_journey(stack, tmp_path / "h", document(*models, **more), rules=rules or [], speed=speed)

        yield run
