"""What a node and its PDUs draw, by Redfish and SNMP from the hall, and what spoils it."""

from pathlib import Path
from typing import Any

import pytest
from test_pdu_hall import Ledger, running

from fleet.drivers.pdu import OutletMap
from fleet.edges import MetersFeeds, PduMeter
from fleet.ports import MetersPower, RestoresPower
from fleet.vendors import profile_named

IDLE_W = 2074.0


def spoilt(effect: str, node: str, **more: Any) -> dict[str, Any]:
    return {"name": f"{effect} {node}", "effect": effect, "select": {"node": node}, **more}


async def watts(meter: MetersPower | PduMeter) -> float | None:
    found = await (meter.power_reading() if isinstance(meter, MetersPower) else meter.reading())
    return None if found is None else found.watts


@pytest.mark.parametrize(
    ("rules", "node", "pdus"),
    [
        ([], IDLE_W, [1037.0, 1040.0]),  # the APC counts in steps of 10 W
        ([spoilt("power-lies", "gpu1", factor=0.5), spoilt("power-missing", "pdu-A")], 1037.0, [None, 1040.0]),
    ],
)
async def test_what_is_shown_is_what_is_read(
    tmp_path: Path, rules: list[dict[str, Any]], node: float | None, pdus: list[float | None]
) -> None:
    async with running(tmp_path, rules) as hall:
        outlets = OutletMap([hall.pdu("pdu-B"), hall.pdu("pdu-A")], clock=hall.clock)
        bmc = hall.driver().bmc(hall.node, profile_named("dgx-h100"), Ledger())
        assert isinstance(bmc, MetersPower)
        assert isinstance(bmc, RestoresPower)
        assert isinstance(outlets, MetersFeeds)
        assert await watts(bmc) == node
        assert [meter.pdu for meter in outlets.meters()] == ["pdu-A", "pdu-B"]
        assert [await watts(meter) for meter in outlets.meters()] == pdus
        assert await bmc.restore_policy() == "LastState"
        await bmc.close()
        outlets.close()
