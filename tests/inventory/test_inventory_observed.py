"""Observations come back from JSON as they went."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import NodeId
from inventory.observed import FirmwareItem, Observation

ITEMS = st.builds(
    FirmwareItem,
    id=st.text(),
    name=st.text(),
    version=st.text(),
    software_id=st.text(),
    updateable=st.none() | st.booleans(),
    state=st.text(),
)
OBSERVATIONS = st.builds(
    Observation,
    node=st.text().map(NodeId),
    manufacturer=st.text(),
    model=st.text(),
    serial=st.text(),
    uuid=st.text(),
    bios_version=st.text(),
    bmc_version=st.text(),
    power_state=st.text(),
    items=st.lists(ITEMS, max_size=3).map(tuple),
    read_at=st.floats(allow_nan=False, allow_infinity=False),
    source=st.text(),
)


@given(OBSERVATIONS)
def test_an_observation_survives_json(observation: Observation) -> None:
    assert Observation.from_dict(json.loads(json.dumps(observation.to_dict()))) == observation


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"serial": 12}, "serial is int"),
        ({"node": None}, "node is NoneType"),
        ({"items": "x"}, "items is not a list"),
        ({"items": [1]}, "items is not a list"),
        ({"items": [{"id": "x"}]}, "name is NoneType"),
        ({"read_at": True}, "read_at is not a number"),
    ],
)
def test_what_is_no_observation_is_refused(change: dict[str, Any], words: str) -> None:
    good = Observation(node=NodeId("gpu1"), read_at=1.0, source="https://10.0.0.1").to_dict()
    with pytest.raises(TypeError, match=words):
        Observation.from_dict({**good, **change})
