"""A disk that fills up, and rollouts that get in each other's way: nothing begins without a journal, no node is in two rollouts."""

import pytest
from support.command import Build, Ran, Site, run, started, until

from fleet import events as ev
from fleet.cli.demo import judge
from fleet.exits import Exit

ROOM_BYTES = (100 << 10, 300 << 10, 700 << 10)
"""What the journal's files may grow to: full while nodes are read, before the first effect and between two (2 MB with room)."""


def on_a_full_disk(line: list[str], room_bytes: int) -> Ran:
    """Run it where no file may grow beyond this: a write fails then, as on a full disk (EFBIG for ENOSPC)."""
    full = ["bash", "-c", f'ulimit -f {room_bytes >> 10}; trap "" XFSZ; exec "$@"', "fleet", *line]
    return run(full)


def effects(site: Site) -> int:
    """Images that the journal announced."""
    return sum(
        isinstance(each.event, ev.IntentRecorded) and each.event.effect.endswith("/submit") for each in site.recorded()
    )


def submits(site: Site) -> int:
    """Images that the machines were given."""
    return sum(node["submits"] for node in site.truth().values())


@pytest.mark.parametrize("room_bytes", ROOM_BYTES)
def test_a_full_disk_stops_the_rollout_and_room_finishes_it(build: Build, room_bytes: int) -> None:
    site = build(3)
    ran = on_a_full_disk(site.apply_line("--yes"), room_bytes)
    assert (ran.code, ran.out) == (Exit.JOURNAL, ""), ran.err
    assert f"{site.journal}: the journal cannot be" in ran.words
    assert "Traceback" not in ran.err
    announced, given = effects(site), submits(site)
    assert given <= announced < 9
    planned = any(isinstance(each.event, ev.RolloutPlanned) for each in site.recorded())
    again = site.fleet("resume") if planned else site.apply("--yes")
    assert again.code == Exit.OK, again.err
    assert set(judge({"nodes": site.truth()}).values()) == {0}
    assert submits(site) == 9
    assert {node["items"]["HostBMC_0"]["active"] for node in site.truth().values()} == {"24.09.17"}


def test_a_disk_without_room_for_a_journal_starts_nothing(build: Build) -> None:
    site = build(1)
    ran = on_a_full_disk(site.apply_line("--yes"), 24 << 10)
    assert (ran.code, ran.out) == (Exit.JOURNAL, ""), ran.err
    assert "the journal cannot be opened for writing" in ran.words
    assert [node["sessions"]["created"] for node in site.truth().values()] == [0]
    assert site.apply().code == Exit.OK, "with room the file that was begun becomes a journal"


def test_a_second_rollout_of_the_same_nodes_is_refused(build: Build) -> None:
    site = build(2, speed=600)
    with started(site.apply_line("--yes", "--json")) as first:
        rollout = until(first, "node.admitted")["rollout"]
        second = site.apply("--yes")
        assert (second.code, second.out) == (Exit.BUSY, "")
        assert (
            f"(gpu0001 first) are in rollout {rollout}, which has not ended: `fleet resume {rollout}`" in second.words
        )
        third = site.fleet("resume", rollout)
        assert (third.code, third.out) == (Exit.OK, "")
        assert f"{rollout} is running in another process already" in third.words
        first.kill()
        first.wait()
    fourth = site.apply("--yes")
    assert fourth.code == Exit.BUSY, "a rollout whose process was killed still has its nodes"
    assert len({each.rollout for each in site.recorded()}) == 1


def test_two_that_start_at_once_do_not_share_a_node(build: Build) -> None:
    site = build(2)
    with started(site.apply_line("--yes")) as one, started(site.apply_line("--yes")) as other:
        codes = [one.wait(), other.wait()]
    assert Exit.BUSY in codes
    assert judge({"nodes": site.truth()})["components flashed twice with one image"] == 0
    assert max(node["submits"] for node in site.truth().values()) in {0, 3}
