"""Halls may share addresses and differ in their BMCs' ports; nothing of one may then be in the way of the other."""

from fleet.sim.bmc import BoxSpec
from fleet.sim.layout import complete_box


def host_of(port: int) -> tuple[str, int]:
    box = complete_box(BoxSpec(name="n1", model="DGXH100", address="127.5.1.1", port=port))
    return box.host_address, box.host_port


def test_hosts_of_halls_that_share_addresses_do_not_meet() -> None:
    assert len({host_of(8443), host_of(8444), host_of(9443)}) == 3
    assert host_of(8443)[1] == 2222
