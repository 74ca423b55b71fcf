"""Without a terminal: NDJSON on stdout and nothing else, words on stderr, no prompt, and an exit code to branch on.

Exit codes 2, 7, 8 and 9 are reached in test_bad_input, 10 in test_full_and_busy, the others here; 1 is for what nobody foresaw.
"""

import json
import os
import pty
import re
import signal
import subprocess
from typing import Any

import pytest
from support.command import ENVIRONMENT, FLEET, Build, Ran, Site, run, started, until

from fleet.cli.demo import judge
from fleet.cli.reference import commands
from fleet.exits import Exit

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[0-9;]*m")
FAILS = "{name: refuses, select: {node: gpu0002}, effect: update-fails, times: always}"


def lines(ran: Ran) -> list[dict[str, Any]]:
    """Stdout, each line of which must be one event."""
    return [json.loads(line) for line in ran.out.splitlines()]


def test_events_on_stdout_and_words_on_stderr(build: Build) -> None:
    site = build(2)
    ran = site.apply("--yes", "--json")
    assert ran.code == Exit.OK
    events = lines(ran)
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert (events[0]["kind"], events[-1]["kind"]) == ("rollout.created", "rollout.ended")
    assert events[-1]["outcome"] == "completed"
    assert len({event["rollout"] for event in events}) == 1
    assert lines(site.fleet("events")) == events, "what was printed is what the journal holds"
    assert "ended: completed" in ran.words
    assert ESCAPE not in ran.err + ran.out


def test_without_yes_it_is_a_dry_run(site: Site) -> None:
    before = site.hardware()
    ran = site.apply("--json")
    assert ran.code == Exit.OK
    assert lines(ran)[-1]["outcome"] == "dry-run"
    assert "nothing was touched: this was the plan. Add --yes to carry it out." in ran.words
    assert site.hardware() == before


def test_a_plan_is_one_document_with_its_proof(site: Site) -> None:
    line = [word if word != "apply" else "plan" for word in site.apply_line("--json")]
    ran = run(line)
    assert ran.code == Exit.OK
    told = json.loads(ran.out)
    assert told["proof"]["nodes"] == len(told["plan"]["order"])
    assert told["proof"]["digest"][:12] in ran.words, "the same digest as people are shown"
    assert "What a bad bundle breaks" in ran.words
    again = json.loads(run(line).out)
    assert again["proof"] == told["proof"], "the same plan, the same proof"


def test_nodes_that_fail_have_an_exit_code(build: Build) -> None:
    site = build(3, budget="50%", faults=FAILS)
    ran = site.apply("--yes")
    assert (ran.code, ran.out) == (Exit.NODES_FAILED, "")
    assert site.fleet("report", "--json").code == Exit.OK


def test_a_halt_has_an_exit_code_and_resume_accepts_what_was_seen(build: Build) -> None:
    site = build(3, budget="0%", faults=FAILS)
    ran = site.apply("--yes")
    assert (ran.code, ran.out) == (Exit.HALTED, "")
    again = site.fleet("resume", "--json")
    assert again.code == Exit.NODES_FAILED
    assert lines(again)[-1]["kind"] == "rollout.ended"


def test_an_abort_from_elsewhere_needs_no_terminal(build: Build) -> None:
    site = build(2, speed=1200)
    with started(site.apply_line("--yes", "--json")) as process:
        until(process, "node.admitted")
        asked = site.fleet("abort")
        assert (asked.code, asked.out) == (Exit.OK, "")
        process.communicate(timeout=60)
        assert process.returncode == Exit.ABORTED
    said = site.fleet("abort")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "has ended (aborted)" in said.words


def test_a_process_that_is_asked_to_stop_parks_its_nodes(build: Build) -> None:
    site = build(2, speed=1200)
    with started(site.apply_line("--yes", "--json")) as process:
        until(process, "step.started")
        process.terminate()
        _, words = process.communicate(timeout=60)
        assert process.returncode == Exit.PAUSED
    assert "stopping at the next safe points" in words
    assert site.fleet("resume").code == Exit.OK
    assert set(judge({"nodes": site.truth()}).values()) == {0}


def test_the_second_interrupt_leaves_at_once(build: Build) -> None:
    site = build(1, speed=60)
    with started(site.apply_line("--yes", "--json")) as process:
        until(process, "effect.intended")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "Once more to leave at once" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert "interrupted; `fleet resume` continues" in words
    assert "Traceback" not in words


def on_a_terminal(line: list[str], **variables: str) -> str:
    """What a command writes on a terminal that is its stderr."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs, env={**ENVIRONMENT, **variables}
    ):
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # the other side is gone: the end of a terminal
            pass
        os.close(ours)
    return written.decode()


def test_colours_on_a_terminal_unless_they_are_not_wanted(build: Build) -> None:
    line = build(1).apply_line("--yes")
    plain = on_a_terminal(line, TERM="xterm-256color", NO_COLOR="1")
    assert COLOUR.search(plain) is None
    assert ESCAPE in plain, "a terminal still gets its live display"
    assert COLOUR.search(on_a_terminal(line, TERM="xterm-256color"))
    assert ESCAPE not in on_a_terminal(line, TERM="dumb")


@pytest.mark.parametrize("name", ["plan", "apply", "sim", "resume", "events"])
def test_help_goes_to_stdout(name: str) -> None:
    ran = run([str(FLEET), name, "--help"])
    assert (ran.code, ran.err) == (Exit.OK, "")
    assert f"Example: fleet {name}" in " ".join(ran.out.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(shell: str) -> None:
    variables = {"_FLEET_COMPLETE": f"complete_{shell}", "COMP_WORDS": "fleet ", "COMP_CWORD": "1"}
    told = subprocess.run(
        [FLEET],
        env={**ENVIRONMENT, **variables, "_TYPER_COMPLETE_ARGS": "fleet ", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [name for name in commands() if name not in told.stdout] == []
    script = run([str(FLEET), "--show-completion", shell])
    assert (script.code, script.err) == (Exit.OK, "")
    assert "_FLEET_COMPLETE" in script.out
