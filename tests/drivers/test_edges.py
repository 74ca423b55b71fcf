"""What stands around nodes, as far as it can be wrong before anything is reached."""

from pathlib import Path

import pytest
from support.clock import VirtualClock
from support.rollout import node

from fleet.drivers.edges import HallEdges, HostAt, Whereabouts
from fleet.drivers.slurm import NoScheduler
from fleet.errors import NodeFault, Reason


@pytest.mark.parametrize("state", ["gone", "readable by all", "no key"])
async def test_a_client_key_that_is_lost_in_a_rollout_is_the_fault_of_one_node(tmp_path: Path, state: str) -> None:
    key = tmp_path / "id"
    if state != "gone":
        key.write_text("no key")
        key.chmod(0o644 if state == "readable by all" else 0o600)
    where = Whereabouts(hosts={"n1": HostAt(address="127.0.0.1", port=1, user="root")}, client_key=key)
    edges = HallEdges(where, scheduler=NoScheduler(), installs=None, exports=None, clock=VirtualClock())
    with pytest.raises(NodeFault, match=str(key)) as fault:
        await edges.shell(node("n1"), "ssh-ed25519 AAAA")
    assert fault.value.reason is Reason.NO_EDGE
    await edges.close()
