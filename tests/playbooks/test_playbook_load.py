"""Playbooks as people write them: every step of a node's journey has a name, and what is wrong is said at its line."""

import subprocess
import sys
from pathlib import Path

import pytest

import playbooks.schema
from fleet.policy.spec import OnFailure
from fleet.step import Disrupts, StepSpec
from inventory.scalar import Percent
from inventory.text import InputError
from playbooks.names import with_vlans
from playbooks.registry import make, steps
from playbooks.schema import Playbook, load_playbook

LIBRARY = Path(playbooks.schema.__file__).parent / "library"
SHA256 = "ab" * 32
COMPONENT = f"{{version: '2', image: i.fwpkg, sha256: {SHA256}, activation: bmc-reset}}"
BASELINE = f"""\
baseline: b-2026.10
models: [M]
components:
  bmc: {COMPONENT}
  hgx: {COMPONENT}
  bios: {COMPONENT}
os:
  ubuntu: {{release: "24.04", image: images/ubuntu.iso, sha256: {SHA256}}}
"""
PROFILE = "burnin: mine\ngpus: 2\ntests:\n  dcgm: {timeout: 5m}\n"
HEAD = "playbook: p\nbaseline: ../baseline.yaml\nsteps:\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "baseline.yaml").write_text(BASELINE)
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "mine.yaml").write_text(PROFILE)
    return tmp_path


def loaded(folder: Path, text: str, *, baseline: Path | None = None) -> Playbook:
    path = folder / "books" / "playbook.yaml"
    path.write_text(text)
    return load_playbook(path, baseline=baseline)


def refused(folder: Path, text: str) -> str:
    """What is said of it, without the folder."""
    with pytest.raises(InputError) as caught:
        loaded(folder, text)
    return str(caught.value).replace(f"{folder}/books/", "")


def test_a_step_without_arguments_is_its_name_alone_or_an_empty_mapping(folder: Path) -> None:
    for written in ("- node.drain", "- node.drain: {}", "- node.drain:"):
        assert loaded(folder, f"{HEAD}  {written}\n").steps == (StepSpec("node.drain", {}),)


def test_a_system_is_what_the_baseline_says_it_is(folder: Path) -> None:
    (spec,) = loaded(folder, HEAD + "  - os.image: {os: ubuntu}\n").steps
    image = str(folder / "images" / "ubuntu.iso")
    assert spec.name == "os.image"
    assert dict(spec.args, image="") == {"image": "", "sha256": SHA256, "release": "24.04"}
    assert Path(str(spec.args["image"])).is_absolute()
    assert Path(str(spec.args["image"])).resolve() == Path(image)


def test_vlans_are_numbers_in_one_form_or_names_for_later(folder: Path) -> None:
    written = "".join(f"  - network.config: {{vlan: {vlan}}}\n" for vlan in ("100", '"0200"', "4094", "tenant-b2"))
    assert [spec.args for spec in loaded(folder, HEAD + written).steps] == [
        {"vlan": "100"},
        {"vlan": "200"},
        {"vlan": "4094"},
        {"vlan": "tenant-b2"},
    ]


@pytest.mark.parametrize("written", ["./mine.yaml", "mine.yaml", "../books/mine.yaml"])
def test_a_burn_in_profile_of_ones_own_is_found_beside_the_playbook(folder: Path, written: str) -> None:
    (spec,) = loaded(folder, f"{HEAD}  - burnin.run: {{profile: {written}}}\n").steps
    assert spec.args == {"profile": str(folder / "books" / "mine.yaml")}


def test_a_shipped_profile_and_an_exporter_keep_their_names(folder: Path) -> None:
    text = HEAD + "  - burnin.baseline: {profile: hgx-8gpu-quick}\n  - inventory.export: {to: csv}\n"
    assert [spec.args for spec in loaded(folder, text).steps] == [{"profile": "hgx-8gpu-quick"}, {"to": "csv"}]


def test_updates_may_stand_in_several_blocks(folder: Path) -> None:
    text = HEAD + "  - firmware.update: {component: bmc}\n  - node.drain\n  - firmware.update: {component: hgx}\n"
    assert [spec.key for spec in loaded(folder, text).steps] == [
        "firmware.update bmc",
        "node.drain",
        "firmware.update hgx",
    ]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ("os.image: {os: ubunt}", "baseline b-2026.10 has no os 'ubunt'; did you mean 'ubuntu'?"),
        ("os.image: {}", "os.image lacks the key 'os'"),
        (f"os.image: {{os: ubuntu, sha256: {SHA256}}}", "unknown key 'sha256' in os.image"),
        ("firmware.update: {component: bcm}", "baseline b-2026.10 has no component 'bcm'; did you mean 'bmc'?"),
        ("network.config: {vlan: 0}", "vlan must be at least 1, not 0"),
        ("network.config: {vlan: 4095}", "vlan must be at most 4094, not 4095"),
        ("network.config: {vlan: -5}", "vlan must be at least 1, not -5"),
        ("network.config: {vlan: Tenant}", "'Tenant' is no VLAN; a number from 1 to 4094, or a name"),
        ('network.config: {vlan: "100\\nreload"}', "'100\\nreload' is no VLAN"),
        ("network.config: {vlan: ²}", "vlan '²' is not a whole number"),
        ("burnin.run: {profile: hgx-8gpu-quik}", "no burn-in profile is called 'hgx-8gpu-quik'; did you mean"),
        ("burnin.baseline: {profile: none/such.yaml}", "no burn-in profile at none/such.yaml; the path is relative"),
        ("burnin.run", "burnin.run lacks the key 'profile'"),
        ("inventory.export: {to: jsn}", "there is no exporter 'jsn'; did you mean 'json'?"),
        ("inventory.export", "inventory.export lacks the key 'to'"),
        ("node.drain: {reason: mine}", "unknown key 'reason' in node.drain"),
        ("node.drian", "unknown step 'node.drian'; did you mean 'node.drain'?"),
        ("node.drain: now", "node.drain must be a mapping, not a text"),
        ("firmware.activate: {block: b}", "unknown step 'firmware.activate'; did you mean"),
        ("{node.drain: {}, node.undrain: {}}", "a step is one name with its arguments"),
        ("", "a step is one name with its arguments"),
    ],
)
def test_a_wrong_step_is_refused_at_its_line(folder: Path, step: str, says: str) -> None:
    said = refused(folder, f"{HEAD}  - node.undrain\n  - {step}\n")
    assert said.startswith(f"playbook.yaml:5: {says}")


def test_a_profile_that_cannot_be_used_is_refused_where_it_is_wrong(folder: Path) -> None:
    (folder / "books" / "mine.yaml").write_text(PROFILE.replace("gpus: 2", "gpus: 0"))
    assert refused(folder, HEAD + "  - burnin.run: {profile: mine.yaml}\n").startswith("mine.yaml:2: gpus must be")


@pytest.mark.parametrize(
    ("first", "again", "says"),
    [
        ("firmware.update: {component: bmc}", "firmware.update: {component: bmc}", "'firmware.update bmc' stands twice; a comp"),
        ("node.drain", "node.drain: {}", "'node.drain' stands twice; each step"),
        ("network.config: {vlan: 7}", 'network.config: {vlan: "07"}', "'network.config 7' stands twice"),
        ("burnin.run: {profile: mine.yaml}", "burnin.run: {profile: ./mine.yaml}", "'burnin.run "),
    ],
)  # fmt: skip
def test_the_same_step_stands_once(folder: Path, first: str, again: str, says: str) -> None:
    assert refused(folder, f"{HEAD}  - {first}\n  - {again}\n").startswith(f"playbook.yaml:5: {says}")


def test_a_given_baseline_wins_over_the_one_that_the_playbook_names(folder: Path) -> None:
    other = folder / "other.yaml"
    other.write_text(BASELINE.replace("b-2026.10", "other"))
    update = "steps:\n  - firmware.update: {component: bmc}\n"
    assert loaded(folder, HEAD + "  - node.drain\n", baseline=other).baseline.name == "other"
    assert loaded(folder, f"playbook: p\nbaseline: none.yaml\n{update}", baseline=other).baseline.name == "other"
    assert loaded(folder, f"playbook: p\n{update}", baseline=other).baseline.name == "other"
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        loaded(folder, f"playbook: p\n{update}", baseline=folder / "none.yaml")


def test_a_playbook_that_names_nothing_of_a_baseline_needs_none(folder: Path) -> None:
    baseline = loaded(folder, "playbook: p\nsteps: [node.drain, node.undrain]\n").baseline
    assert (baseline.name, baseline.components, baseline.systems) == ("", {}, {})


@pytest.mark.parametrize("step", ["firmware.update: {component: bmc}", "os.image: {os: ubuntu}"])
def test_a_playbook_that_names_something_of_a_baseline_needs_one(folder: Path, step: str) -> None:
    says = "needs a baseline, and the playbook names none; add baseline: FILE, or give --baseline FILE"
    assert refused(folder, f"playbook: p\nsteps:\n  - node.drain\n  - {step}\n") == (
        f"playbook.yaml:4: {step.partition(':')[0]} {says}"
    )
    assert "is 'basline' in line 2 meant?" in refused(folder, f"playbook: p\nbasline: b.yaml\nsteps:\n  - {step}\n")


def test_every_step_that_a_playbook_writes_can_be_made(folder: Path) -> None:
    """With the arguments of the bring-up, whose VLANs have their numbers."""
    book = load_playbook(LIBRARY / "bring-up.yaml", baseline=folder / "baseline.yaml")
    named = {step.name for step in book.steps}
    offered = {name for name, announced in steps().items() if announced.arguments is not None}
    assert named == offered
    for spec in with_vlans(book.steps, {"provisioning": 100, "tenant": 200}, book.path):
        if spec.name != "firmware.update":  # the planner makes a target of its component
            assert make(spec).disrupts in Disrupts


def test_looking_steps_up_imports_nothing_that_speaks_to_hardware() -> None:
    """`fleet --help` and every bad playbook would wait for it: netmiko alone takes a second."""
    code = "import sys, playbooks.registry as r; print(len(r.steps()), *(n for n in sys.modules if '.' not in n))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    assert int(count) >= len(steps())
    assert not {"netmiko", "asyncssh", "pysnmp", "aiohttp", "redfish", "pynetbox", "textual"} & set(modules)


def test_the_bring_up_is_the_whole_journey(folder: Path) -> None:
    book = load_playbook(LIBRARY / "bring-up.yaml", baseline=folder / "baseline.yaml")
    assert book.select == {}
    assert [spec.key for spec in book.steps] == [
        "node.drain",
        "burnin.baseline hgx-8gpu-quick",
        "network.config provisioning",
        "firmware.update bmc",
        "firmware.update hgx",
        "firmware.update bios",
        "os.image 24.04",
        "network.config tenant",
        "burnin.run hgx-8gpu-quick",
        "verify",
        "node.undrain",
        "inventory.export json",
    ]
    spec = book.rollout
    assert (spec.waves, spec.risk, spec.tolerate) == ((), 12, Percent(20))
    assert (spec.max_in_flight, spec.rack, spec.failure_budget) == (Percent(25), 8, None)
    assert spec.on_failure is OnFailure.ROLL_BACK_NODE


def test_the_bring_up_says_that_it_needs_a_baseline() -> None:
    with pytest.raises(InputError, match=r"bring-up\.yaml:\d+: firmware\.update needs a baseline.*--baseline FILE"):
        load_playbook(LIBRARY / "bring-up.yaml")
