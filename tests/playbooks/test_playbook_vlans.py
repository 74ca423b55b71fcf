"""VLANs by the names that the inventory declares."""

from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.step import StepSpec
from playbooks.names import with_vlans

PLAYBOOK = Path("books/p.yaml")
VLANS = {"provisioning": 100, "tenant": 200}


def config(vlan: str) -> StepSpec:
    return StepSpec("network.config", {"vlan": vlan})


def test_names_become_numbers_in_text_and_all_else_stays() -> None:
    others = (StepSpec("node.drain"), StepSpec("burnin.run", {"profile": "tenant"}), config("300"))
    assert with_vlans((config("provisioning"), *others, config("tenant")), VLANS, PLAYBOOK) == (
        config("100"),
        *others,
        config("200"),
    )


@pytest.mark.parametrize(
    ("vlans", "says"),
    [
        (VLANS, "the inventory declares no VLAN 'tenat'; did you mean 'tenant'?"),
        ({"storage": 3}, "the inventory declares no VLAN 'tenat'; known: storage"),
        ({}, "the inventory declares no VLAN 'tenat'; declare it there: vlans: {tenat: 100}"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_touched(vlans: dict[str, int], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_vlans((config("tenat"),), vlans, PLAYBOOK)
    assert str(caught.value) == f"books/p.yaml: network.config: {says}"
