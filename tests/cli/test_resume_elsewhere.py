"""`fleet resume` when the files no longer say what the frozen plan needs."""

import asyncio
from pathlib import Path

import pytest
from support.rollout import ROLLOUT, node, plan_for

from fleet import events as ev
from fleet.cli import demo, main
from fleet.clock import SystemClock
from fleet.exits import Exit
from fleet.journal import SqliteJournal


def test_a_node_that_left_the_inventory_is_named_before_any_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.write_demo(tmp_path, 2, budget="5%", on_failure="halt_and_quarantine")
    plan = plan_for([node("gpu0001"), node("gone")])
    sources = {"inventory": str(tmp_path / "inventory.yaml"), "playbook": str(tmp_path / "playbook.yaml")}

    async def crashed() -> None:
        journal = SqliteJournal(tmp_path / "j.db", SystemClock())
        await journal.append(ROLLOUT, ev.RolloutCreated(playbook="p", sources=sources, by="test"))
        await journal.append(ROLLOUT, ev.RolloutPlanned(plan=plan.to_json(), digest=plan.digest()))
        await journal.close()

    asyncio.run(crashed())
    assert main.outcome(["resume", "--journal", str(tmp_path / "j.db")]) == Exit.USAGE
    assert "1 node of the plan (gone first)" in " ".join(capsys.readouterr().err.split())
