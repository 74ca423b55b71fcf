"""What each tool's output means: by version, by severity, by part."""

import json
from pathlib import Path

import pytest
from outputs import GPUS, PROFILE, as_bytes, bandwidth, dcgm, log, smi_csv, xid

from playbooks.burnin import dcgm as dcgm_test
from playbooks.burnin import kernel_log, nvbandwidth, smi
from playbooks.burnin.judging import judge, overall, worse_than_before
from playbooks.burnin.verdict import Judged, Verdict, worst
from playbooks.burnin.xids import ACTIONS, MEANINGS

SAMPLES = Path(__file__).parents[3] / "shared" / "gpu-samples"
PASS, DEGRADED, UNJUDGED, CONFIG, HW = Verdict
LIMITS = nvbandwidth.Limits(gpus=GPUS, minimum_gbps=PROFILE.minimum_gbps, spread_percent=2.0)


def sample(name: str) -> bytes:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path.read_bytes()


def seen(result: Judged) -> list[tuple[str, Verdict]]:
    return [(finding.entity, finding.verdict) for finding in result.findings]


def test_the_order_of_verdicts() -> None:
    assert worst([PASS, DEGRADED]) is DEGRADED
    assert worst([DEGRADED, UNJUDGED, PASS]) is UNJUDGED
    assert worst([UNJUDGED, CONFIG]) is CONFIG
    assert worst([HW, CONFIG, UNJUDGED]) is HW


@pytest.mark.parametrize("version", ["3.0.0", "3.2.6", "3.3.1", "3.3.9", "4.0.0", "4.2.3", "4.6.0"])
def test_dcgm_passes_every_gpu_of_a_known_version(version: str) -> None:
    assert dcgm_test.judge(as_bytes(dcgm(version)), 0, GPUS).findings == ()


@pytest.mark.parametrize("version", ["2.4.8", "3.3.0", "3.4.0", "4.7.0", "5.0.0", "4.2", "", "4.2.3-rc1"])
def test_dcgm_of_an_unknown_version_is_not_judged(version: str) -> None:
    assert dcgm_test.judge(as_bytes(dcgm(version)), 0, GPUS).verdict is UNJUDGED


def test_dcgm_3_root_with_a_version_of_4_is_not_judged() -> None:
    document = dcgm("3.3.9")
    document["metadata"] = {"version": "4.2.3"}
    assert dcgm_test.judge(as_bytes(document), 0, GPUS).verdict is UNJUDGED


@pytest.mark.parametrize(
    ("version", "severities"),
    [
        ("3.2.6", [DEGRADED, HW, UNJUDGED, UNJUDGED]),
        ("3.3.9", [UNJUDGED, DEGRADED, HW, UNJUDGED, HW, CONFIG, HW, UNJUDGED]),
        ("4.2.3", [UNJUDGED, DEGRADED, HW, UNJUDGED, HW, CONFIG, HW, UNJUDGED]),
    ],
)
def test_dcgm_severities_were_renumbered(version: str, severities: list[Verdict]) -> None:
    found = [
        dcgm_test.judge(as_bytes(dcgm(version, fails=4, severity=number)), 226, GPUS).findings[0]
        for number in range(len(severities))
    ]
    assert [(finding.verdict, finding.entity) for finding in found] == [(each, "GPU 4") for each in severities]


def test_dcgm_reads_every_result_not_only_the_first() -> None:
    result = dcgm_test.judge(as_bytes(dcgm("3.3.9", fails=7)), 226, GPUS)
    assert result.verdict is HW
    assert "Inforom: fail, severity 2: GPU 4 is not well." in result.findings[0].text


def test_dcgm_exit_status_and_document_must_agree() -> None:
    whole = as_bytes(dcgm("4.2.3"))
    failed = dcgm_test.judge(as_bytes(dcgm("4.2.3", fails=4)), 0, GPUS)
    assert dcgm_test.judge(whole, 226, GPUS).verdict is UNJUDGED
    assert dcgm_test.judge(whole, 1, GPUS).verdict is UNJUDGED
    assert UNJUDGED in {finding.verdict for finding in failed.findings}
    assert failed.verdict is HW


@pytest.mark.parametrize("word", ["Skip", "Not Run", "skipped", "Passed", "OK"])
def test_dcgm_says_pass_or_it_is_not_a_pass(word: str) -> None:
    document = dcgm("4.2.3")
    document["DCGM Diagnostic"]["test_categories"][0]["tests"][0]["results"][5]["status"] = word
    assert ("GPU 5", UNJUDGED) in seen(dcgm_test.judge(as_bytes(document), 0, GPUS))


def test_dcgm_without_one_gpu_is_not_judged() -> None:
    document = dcgm("4.2.3")
    del document["DCGM Diagnostic"]["test_categories"][0]["tests"][0]["results"][6]
    assert seen(dcgm_test.judge(as_bytes(document), 0, GPUS)) == [("GPU 6", UNJUDGED)]


@pytest.mark.parametrize("text", [b"[" * 100_000, b"null", b"[]", b'{"metadata": {}, "metadata": {}}', b"\xff", b"1"])
def test_dcgm_nonsense_is_not_judged(text: bytes) -> None:
    assert dcgm_test.judge(text, 0, GPUS).verdict is UNJUDGED


def test_smi_passes_and_knows_where_the_gpus_are() -> None:
    result = smi.judge(smi_csv(), 0, GPUS)
    assert result.findings == ()
    assert result.addresses["0000:13:00"] == 3


@pytest.mark.parametrize(
    ("field", "value", "verdict"),
    [
        ("pcie__link__width__current", "8", HW),
        ("ecc__mode__current", "Disabled", CONFIG),
        ("ecc__errors__uncorrected__volatile__total", "2", HW),
        ("remapped_rows__pending", "Yes", DEGRADED),
        ("remapped_rows__failure", "Yes", HW),
        ("remapped_rows__uncorrectable", "513", HW),
        ("clocks_event_reasons__hw_thermal_slowdown", "Active", HW),
        ("remapped_rows__failure", "[N/A]", UNJUDGED),
        ("ecc__errors__uncorrected__volatile__total", "[N/A]", UNJUDGED),
        ("pcie__link__width__max", "[Unknown Error]", UNJUDGED),
    ],
)
def test_smi_names_the_gpu_and_what_is_wrong(field: str, value: str, verdict: Verdict) -> None:
    assert seen(smi.judge(smi_csv(**{field: value}), 0, GPUS)) == [("GPU 3", verdict)]


def test_smi_with_a_gpu_missing_or_one_too_many() -> None:
    missing = smi.judge(smi_csv(7), 0, GPUS)
    assert seen(missing) == [("1 GPU(s)", HW)]
    assert "7 of 8" in missing.findings[0].text
    assert smi.judge(smi_csv(9), 0, GPUS).verdict is CONFIG
    assert smi.judge(b"No devices were found\n", 6, GPUS).verdict is UNJUDGED
    assert smi.judge(smi_csv(), 15, GPUS).verdict is UNJUDGED


def test_bandwidth_passes_and_measures_every_gpu() -> None:
    result = nvbandwidth.judge(bandwidth(), 0, LIMITS)
    assert result.findings == ()
    assert len(result.measures) == 4 * GPUS
    assert result.measures["device_to_device_memcpy_read_ce GPU 7"] == 390.0


def test_bandwidth_blames_the_slow_gpu_and_only_it() -> None:
    little = nvbandwidth.judge(bandwidth({5: 0.97}), 0, LIMITS)
    much = nvbandwidth.judge(bandwidth({5: 0.5}), 0, LIMITS)
    assert set(seen(little)) == {("GPU 5", DEGRADED)}
    assert set(seen(much)) == {("GPU 5", HW)}
    assert nvbandwidth.judge(bandwidth({5: 0.985}), 0, LIMITS).verdict is PASS


def test_bandwidth_of_one_pair_names_both() -> None:
    text = bandwidth().replace(
        b"\n 2    390.00    390.00       N/A    390.00", b"\n 2    390.00    390.00       N/A    200.00"
    )
    text = text.replace(b"21840.00", b"21650.00")
    assert set(seen(nvbandwidth.judge(text, 0, LIMITS))) == {("GPU 2 and GPU 3", HW)}


def test_bandwidth_that_is_not_whole_is_not_judged() -> None:
    whole = bandwidth()
    for text in (
        bandwidth(gpus=7),
        bandwidth(version="v0.9"),
        whole.replace(b"SUM host_to_device_memcpy_ce 440.00", b"SUM host_to_device_memcpy_ce 385.00"),
        whole.replace(b"Running host_to_device_memcpy_ce.", b"ERROR: Testcase host_to_device_memcpy_ce not found!"),
        whole.replace(b"Running device_to_host", b"Running devise_to_host"),
        whole[:-30],
    ):
        assert text != whole
        assert nvbandwidth.judge(text, 0, LIMITS).verdict is UNJUDGED
    assert nvbandwidth.judge(whole, 1, LIMITS).verdict is UNJUDGED


def test_the_log_is_clean_whole_and_from_the_start() -> None:
    assert kernel_log.judge(log(), 0, {}).verdict is PASS
    assert kernel_log.judge(log(xid(43)), 0, {}).verdict is PASS
    assert kernel_log.judge(log()[:-1], 0, {}).verdict is UNJUDGED
    assert kernel_log.judge(log().partition(b"\n")[2], 0, {}).verdict is UNJUDGED
    assert kernel_log.judge(log(), 1, {}).verdict is UNJUDGED


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(79, HW), (48, HW), (119, HW), (78, CONFIG), (31, DEGRADED), (45, UNJUDGED), (61, UNJUDGED), (999, UNJUDGED)],
)
def test_an_xid_is_judged_by_nvidias_catalogue(code: int, verdict: Verdict) -> None:
    assert seen(kernel_log.judge(log(xid(code)), 0, {"0000:13:00": 3})) == [("GPU 3", verdict)]


def test_a_recovery_action_is_what_it_changed_to() -> None:
    none = xid(154, "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)")
    reset = xid(154, "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)")
    assert kernel_log.judge(log(none), 0, {}).verdict is PASS
    assert kernel_log.judge(log(reset), 0, {}).verdict is HW


def test_a_gpu_that_is_gone_is_named_by_its_address_and_switches_are_not_overlooked() -> None:
    assert seen(kernel_log.judge(log(xid(79)), 0, {})) == [("GPU at PCI 0000:13:00", HW)]
    fatal = "nvidia-nvswitch0: SXid (PCI:0000:85:00.0): 20034, Fatal, Link 30 LTSSM Fault Up"
    assert kernel_log.judge(log(fatal), 0, {}).verdict is UNJUDGED
    assert kernel_log.judge(log("NVRM: Xid of a new form 79"), 0, {}).verdict is UNJUDGED


def test_a_hung_or_silent_test_is_not_judged_and_a_missing_one_counts() -> None:
    for test in PROFILE.tests:
        assert judge(test, PROFILE, bandwidth(), None, {}).verdict is UNJUDGED
        assert judge(test, PROFILE, b"", 0, {}).verdict is UNJUDGED
    passed = [Judged(test=test) for test in PROFILE.tests]
    assert overall(PROFILE, passed) is PASS
    assert overall(PROFILE, passed[1:]) is UNJUDGED


def test_no_worse_than_before() -> None:
    before = nvbandwidth.judge(bandwidth(), 0, LIMITS).measures
    now = nvbandwidth.judge(bandwidth(dict.fromkeys(range(GPUS), 0.96)), 0, LIMITS)
    assert now.verdict is PASS
    assert {finding.entity for finding in worse_than_before(PROFILE, before, now.measures)} == {
        f"GPU {n}" for n in range(GPUS)
    }
    assert worse_than_before(PROFILE, before, before) == []
    assert worse_than_before(PROFILE, {}, now.measures) == []


def test_findings_are_safe_to_show() -> None:
    document = dcgm("4.2.3", fails=4)
    told = document["DCGM Diagnostic"]["test_categories"][0]["tests"][0]["results"][4]["warnings"][0]
    told["warning"] = "\x1b[2Jgone\n" * 10_000
    [first, *_] = dcgm_test.judge(as_bytes(document), 226, GPUS).findings
    assert first.text.isprintable()
    assert len(first.text) <= 300


def test_our_table_is_nvidias_catalogue() -> None:
    catalogue = json.loads(sample("xid-catalog.json"))["xid_error_catalog"]
    theirs: dict[str, list[int]] = {}
    for code, entry in catalogue.items():
        theirs.setdefault(entry["action"], []).append(int(code))
    assert {action: sorted(codes) for action, codes in theirs.items() if action not in {"", "CONTACT_SUPPORT"}} == {
        action: list(codes) for action, codes in ACTIONS.items()
    }
    assert set(MEANINGS) | {"XID_154"} == set(ACTIONS)


def test_a_captured_nvbandwidth_report() -> None:
    tables = nvbandwidth.parse(sample("nvbandwidth_results.log"))
    assert tables["host_to_device_memcpy_ce"].cells[0, 2] == 412.11
    assert tables["device_to_host_memcpy_ce"].columns == 2
    assert "host_device_latency_sm" not in tables


def test_a_captured_nvidia_smi_csv() -> None:
    text = sample("nvidia-smi-h100-590.48.01.txt").decode()
    head, row, *_ = text.partition("\n# idle :: query-gpu (csv")[2].partition("\ntimestamp, ")[2].splitlines()
    said = dict(zip(("timestamp, " + head).split(", "), row.split(", "), strict=True))
    ours = f"{', '.join(smi.FIELDS)}\n{', '.join(said[field] for field in smi.FIELDS)}\n"
    result = smi.judge(ours.encode(), 0, 1)
    assert result.findings == ()
    assert result.addresses == {"0000:00:09": 0}
