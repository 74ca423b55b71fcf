"""DMTF's service validator on one box of the hall; all models, the other validators and the tools: tests/real/test_validators.py."""

import os
import sys
from pathlib import Path

from support.validating import schema_files, validated

from fleet.sim.bmc import BoxSpec
from fleet.sim.hall import Hall, HallSpec

MODEL = "Generic OpenBMC"
"""The smallest."""


async def test_dmtf_finds_nothing_wrong_with_a_box(tmp_path: Path) -> None:
    schemas = schema_files(tmp_path)
    box = BoxSpec(name="box1", model=MODEL, address=f"127.{40 + os.getpid() % 200}.250.1")
    spec = HallSpec(boxes=(box,), directory=tmp_path / "h", speed=10.0, password="as-seen-from-outside")
    async with Hall(spec) as hall:
        tools = Path(sys.executable).parent
        verdict, output = await validated(hall, MODEL, tools=tools, schemas=schemas, logs=tmp_path / "logs")
    assert verdict.passed > 500, output
    assert verdict.failed == 0, output
