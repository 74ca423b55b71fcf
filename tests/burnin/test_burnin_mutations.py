"""No mutilation of a FAIL document makes it a PASS: these kill the bugs that peers' parsers have (rollout-science 2.2)."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs import GPUS, PROFILE, bandwidth, dcgm, log, smi_csv, xid

from playbooks.burnin import dcgm as dcgm_test
from playbooks.burnin import nvbandwidth, smi
from playbooks.burnin.judging import judge
from playbooks.burnin.verdict import Verdict

VERSIONS = ["3.2.6", "3.3.9", "4.2.3"]
STATUSES = [0, 226]
LIMITS = nvbandwidth.Limits(gpus=GPUS, minimum_gbps=PROFILE.minimum_gbps, spread_percent=2.0)


def keys(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of each key and each element, wherever it is."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from keys(each, (*path, key))


def without(document: Any, path: tuple[str | int, ...]) -> Any:
    made = copy.deepcopy(document)
    at = made
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return made


def renamed(document: Any, path: tuple[str | int, ...], name: str) -> Any:
    made = copy.deepcopy(document)
    at = made
    for key in path[:-1]:
        at = at[key]
    if isinstance(at, dict):
        at[name] = at.pop(path[-1])
    return made


def of_dcgm(document: Any, status: int) -> Verdict:
    return dcgm_test.judge(json.dumps(document).encode(), status, GPUS).verdict


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("version", VERSIONS)
def test_no_key_can_be_taken_or_renamed(version: str, status: int) -> None:
    failed = dcgm(version, fails=4)
    assert of_dcgm(failed, status) is not Verdict.PASS
    paths = list(keys(failed))
    assert len(paths) > 50
    for path in paths:
        assert of_dcgm(without(failed, path), status) is not Verdict.PASS, path
        for name in ("x", f"{path[-1]}s", str(path[-1]).upper()):
            assert of_dcgm(renamed(failed, path, name), status) is not Verdict.PASS, (path, name)


@given(
    data=st.data(), version=st.sampled_from(VERSIONS), status=st.sampled_from(STATUSES), fails=st.integers(0, GPUS - 1)
)
@settings(max_examples=150, deadline=None)
def test_nor_several_keys(data: st.DataObject, version: str, status: int, fails: int) -> None:
    document = dcgm(version, fails=fails)
    for _ in range(data.draw(st.integers(1, 5))):
        paths = list(keys(document))
        path = data.draw(st.sampled_from(paths)) if paths else ()
        if path and data.draw(st.booleans()):
            document = without(document, path)
        elif path:
            document = renamed(
                document, path, data.draw(st.sampled_from(["", "status", "name", "results", "warnings"]))
            )
    assert of_dcgm(document, status) is not Verdict.PASS


def of_smi(text: bytes) -> Verdict:
    return smi.judge(text, 0, GPUS).verdict


def of_bandwidth(text: bytes) -> Verdict:
    return nvbandwidth.judge(text, 0, LIMITS).verdict


FAILED: dict[str, tuple[bytes, Callable[[bytes], Verdict]]] = {
    "dcgm 3": (json.dumps(dcgm("3.3.9", fails=7)).encode(), lambda text: dcgm_test.judge(text, 0, GPUS).verdict),
    "dcgm 4": (json.dumps(dcgm("4.2.3", fails=7)).encode(), lambda text: dcgm_test.judge(text, 0, GPUS).verdict),
    "nvidia-smi, a bad GPU": (smi_csv(remapped_rows__failure="Yes"), of_smi),
    "nvidia-smi, a missing GPU": (smi_csv(7), of_smi),
    "nvbandwidth, a slow GPU": (bandwidth({7: 0.9}), of_bandwidth),
    "nvbandwidth, a missing GPU": (bandwidth(gpus=7), of_bandwidth),
}


@pytest.mark.parametrize("failed", FAILED)
def test_it_can_be_cut_nowhere(failed: str) -> None:
    text, verdict = FAILED[failed]
    assert verdict(text) is not Verdict.PASS
    for length in range(len(text)):
        assert verdict(text[:length]) is not Verdict.PASS, text[:length][-80:]


@pytest.mark.parametrize("failed", [name for name in FAILED if not name.startswith("dcgm")])
def test_no_line_and_no_word_can_be_taken(failed: str) -> None:
    text, verdict = FAILED[failed]
    lines = text.decode().splitlines(keepends=True)
    for number, line in enumerate(lines):
        rest = ["".join(lines[:number]), "".join(lines[number + 1 :])]
        if not line.startswith(("NOTE", "Built", "memcpy")) and line.strip():  # these say nothing of any GPU
            assert verdict("".join(rest).encode()) is not Verdict.PASS, line
        for word in set(line.split()):
            for instead in ("", "x", "N/A"):
                mutant = line.replace(word, instead).join(rest).encode()
                assert verdict(mutant) is not Verdict.PASS, (line, word, instead)


def test_a_log_is_cut_only_with_its_connection_and_that_is_no_pass() -> None:
    """A log has no mark at its end: cut after a line it looks whole, and the exit status must tell."""
    text = log("one", "two", xid(79))
    for length in range(len(text)):
        assert judge("kernel-log", PROFILE, text[:length], None, {}).verdict is Verdict.UNJUDGED
        if not text[:length].endswith(b"\n"):
            assert judge("kernel-log", PROFILE, text[:length], 0, {}).verdict is not Verdict.PASS


@given(text=st.binary(max_size=400), test=st.sampled_from(PROFILE.tests), status=st.sampled_from([None, 0, 1]))
@settings(max_examples=200, deadline=None)
def test_noise_is_never_a_pass(text: bytes, test: str, status: int | None) -> None:
    assert judge(test, PROFILE, text, status, {}).verdict is not Verdict.PASS
