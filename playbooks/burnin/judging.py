"""From the raw output of one test to its judgement, and from judgements to a verdict on the node."""

from collections.abc import Iterable, Mapping

from playbooks.burnin import dcgm, kernel_log, nvbandwidth, smi
from playbooks.burnin.profile import BurninProfile
from playbooks.burnin.verdict import Finding, Judged, Verdict, unjudged, worst


def argv(test: str, profile: BurninProfile) -> tuple[str, ...]:
    """The command of a test. Profiles choose tests, never commands."""
    if test == nvbandwidth.TEST:
        return (nvbandwidth.TEST, "-t", *profile.minimum_gbps)
    return {smi.TEST: smi.ARGV, dcgm.TEST: ("dcgmi", "diag", "-r", "1", "-j"), kernel_log.TEST: kernel_log.ARGV}[test]


def judge(
    test: str, profile: BurninProfile, stdout: bytes, exit_status: int | None, addresses: Mapping[str, int]
) -> Judged:
    """What the output of a test says. `addresses`: PCI address -> GPU, from nvidia-smi, for the kernel log."""
    if exit_status is None:
        return unjudged(test, f"{test} did not end within {profile.timeout_s[test]} s, or its connection broke")
    if not stdout:
        return unjudged(test, f"{test} printed nothing (exit status {exit_status})")
    if test == smi.TEST:
        return smi.judge(stdout, exit_status, profile.gpus)
    if test == dcgm.TEST:
        return dcgm.judge(stdout, exit_status, profile.gpus)
    if test == nvbandwidth.TEST:
        limits = nvbandwidth.Limits(
            gpus=profile.gpus, minimum_gbps=profile.minimum_gbps, spread_percent=profile.spread_percent
        )
        return nvbandwidth.judge(stdout, exit_status, limits)
    return kernel_log.judge(stdout, exit_status, addresses)


def overall(profile: BurninProfile, results: Iterable[Judged]) -> Verdict:
    """The worst of all; UNJUDGED at best where a required test is missing."""
    seen = {result.test: result.verdict for result in results}
    missing = [Verdict.UNJUDGED for test in profile.tests if test not in seen]
    return worst([*seen.values(), *missing])


def worse_than_before(profile: BurninProfile, before: Mapping[str, float], now: Mapping[str, float]) -> list[Finding]:
    """What the node measured before the rollout and no longer reaches."""
    findings = []
    for name, was in before.items():
        test, _, entity = name.partition(" ")
        value = now.get(name)
        if value is not None and value < was * (1 - profile.worse_percent / 100):
            text = f"{test}: {value:.2f} GB/s, {was:.2f} before the rollout ({100 * (1 - value / was):.1f} % worse)"
            findings.append(Finding(verdict=Verdict.DEGRADED, entity=entity, text=text))
    return findings
