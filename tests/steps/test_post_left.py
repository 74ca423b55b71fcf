"""A POST that we caused is waited for, in whichever try of a step it was (F44)."""

from dataclasses import dataclass
from typing import cast

import pytest
from support.around import Memory, context
from support.rollout import profile
from support.steps import LeapClock

from fleet import events as ev
from fleet.ports import Bmc
from fleet.profile import Profile
from playbooks.steps.hosts import post_left_s


@dataclass(frozen=True, slots=True)
class Dark:
    """The part of a Bmc that is needed: nothing is asked."""

    profile: Profile


@pytest.mark.parametrize(
    ("turned_on", "left_s"),
    [
        ({}, 0.0),
        ({"1 os.image/host-on": 0.0}, 1.0),
        ({"1 os.image/host-on": 0.0, "1 os.image/host-on try 2": 100.0, "1 os.image/host-on try 3": 200.0}, 201.0),
        ({"1 os.image/host-on": 0.0, "1 os.image/host-on try 2": 100.0, "2 firmware.activate/host-on": 50.0}, 101.0),
    ],
)
async def test_the_newest_start_of_the_host_counts(turned_on: dict[str, float], left_s: float) -> None:
    clock, memory = LeapClock(), Memory()
    ctx = context("gpu0001", (), {}, clock, memory)
    ctx.bmc = cast("Bmc", Dark(profile("bmc")))
    begun = clock.at
    for effect, at in turned_on.items():
        await memory.record(
            ev.IntentRecorded(node="gpu0001", effect=effect, detail={}),
            ev.EffectRecorded(node="gpu0001", effect=effect, result={"at": begun + at}),
        )
    clock.at = begun + ctx.bmc.profile.timings.post_s - 1.0
    assert post_left_s(ctx) == left_s
