"""Habits of virtual media and boot override, box by box, and what a start of the host makes of them."""

from typing import Any

import pytest
from hall_bench import BMC_RESET, Bench

from fleet.sim.errand import PhoneHomePost, ReadMedia
from fleet.sim.installer import Running

DGX = "/redfish/v1/Managers/BMC/VirtualMedia/CD1"
SMC = "/redfish/v1/Managers/1/VirtualMedia/VirtualMedia1"
DELL_SYSTEM = "/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1"
DELL_MANAGER = "/redfish/v1/Managers/iDRAC.Embedded.1/VirtualMedia/CD"
URL = "http://10.0.0.1:8080/token.iso"
IMAGE = b'{"fleetwave-sim-os": 1, "version_id": "24.04", "phone_home": "/home", "token_from": "url"}\n' + bytes(1000)


def insert(bench: Bench, slot: str, **said: Any) -> int:
    return bench.ask("POST", f"{slot}/Actions/VirtualMedia.InsertMedia", said).status


def eject(bench: Bench, slot: str) -> int:
    return bench.ask("POST", f"{slot}/Actions/VirtualMedia.EjectMedia", {}).status


def override(bench: Bench, path: str, target: str, enabled: str | None = "Once") -> int:
    boot = {"BootSourceOverrideTarget": target} | ({"BootSourceOverrideEnabled": enabled} if enabled else {})
    return bench.ask("PATCH", path, {"Boot": boot}).status


def ready(rules: list[dict[str, Any]] | None = None, enabled: str = "Once", **more: Any) -> Bench:
    """A DGX with media, override, and a host that starts."""
    bench = Bench("DGXH100", rules, **more)
    assert insert(bench, DGX, Image=URL, UserName="", Password="") == 204
    bench.wait(20)
    assert override(bench, "/redfish/v1/Systems/DGX/SD", "Cd", enabled) == 204
    bench.reset("ForceRestart")
    return bench


def errands(bench: Bench) -> list[ReadMedia | PhoneHomePost]:
    return bench.bmc.installer.take_errands()


def test_inserted_flips_late_and_dgx_demands_user_and_password() -> None:
    bench = Bench("DGXH100")
    assert insert(bench, DGX, Image=URL) == 400
    assert insert(bench, DGX, Image=URL, UserName="", Password="") == 204
    assert (bench.get(DGX)["Image"], bench.get(DGX)["Inserted"]) == (URL, False)
    bench.wait(12)
    assert bench.get(DGX)["Inserted"]
    assert insert(bench, DGX, Image=URL, UserName="", Password="") == 400
    assert (eject(bench, DGX), eject(bench, DGX)) == (204, 400)


def test_supermicro_shows_eject_only_while_inserted_and_wants_iso() -> None:
    bench = Bench("SYS-821GE-TNHR")
    assert list(bench.get(SMC)["Actions"]) == ["#VirtualMedia.InsertMedia"]
    assert eject(bench, SMC) == 404
    assert insert(bench, SMC, Image="http://10.0.0.1/token.img") == 400
    assert insert(bench, SMC, Image=URL) == 204
    assert "#VirtualMedia.EjectMedia" in bench.get(SMC)["Actions"]
    assert override(bench, "/redfish/v1/Systems/1", "UsbCd", None) == 400
    assert override(bench, "/redfish/v1/Systems/1", "UsbCd") == 204


def test_dell_shows_one_drive_in_two_places() -> None:
    bench = Bench("PowerEdge R750")
    assert insert(bench, DELL_MANAGER, Image=URL) == 204
    bench.wait(10)
    assert bench.get(DELL_SYSTEM)["Inserted"]
    assert not bench.get(DELL_SYSTEM.replace("/1", "/2"))["Inserted"]
    assert eject(bench, DELL_SYSTEM) == 204
    assert bench.get(DELL_MANAGER)["Image"] is None


@pytest.mark.parametrize("url", ["http://h/a.iso?sig=1", "http://h/a&b.iso", "nfs://h/a.iso", ""])
def test_a_url_that_a_bmc_cannot_use(url: str) -> None:
    assert insert(Bench("DGXH100"), DGX, Image=url, UserName="", Password="") == 400


def test_dgx_takes_the_override_only_in_its_settings_object() -> None:
    bench = Bench("DGXH100")
    assert override(bench, "/redfish/v1/Systems/DGX", "Cd") == 400
    assert override(bench, "/redfish/v1/Systems/DGX/SD", "Tape") == 400
    assert override(bench, "/redfish/v1/Systems/DGX/SD", "Cd") == 204
    assert bench.get("/redfish/v1/Systems/DGX")["Boot"]["BootSourceOverrideTarget"] == "Cd"
    assert override(bench, "/redfish/v1/Systems/DGX/SD", "None") == 204
    assert bench.get("/redfish/v1/Systems/DGX")["Boot"]["BootSourceOverrideEnabled"] == "Disabled"


def test_once_is_consumed_by_a_start_without_media() -> None:
    bench = Bench("DGXH100")
    override(bench, "/redfish/v1/Systems/DGX/SD", "Cd")
    bench.reset("ForceRestart")
    bench.wait(1000)
    truth = bench.bmc.truth()
    assert (truth["boot_override"], truth["boots"][0]["from"]) == (["Disabled", "None"], "disk")


def test_a_bmc_restart_ejects_and_the_installer_ends_half_way() -> None:
    bench = ready()
    bench.wait(1000)
    [read] = errands(bench)
    bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())
    bench.ask("POST", BMC_RESET, {"ResetType": "ForceRestart"})
    bench.wait(1000)
    truth = bench.bmc.truth()
    assert (truth["media"], truth["image_writes"][0]["outcome"], truth["os"]["version_id"]) == (None, "dropped", None)
    assert errands(bench) == []


def test_a_power_cut_in_an_installation_leaves_no_os() -> None:
    bench = ready()
    bench.wait(1000)
    [read] = errands(bench)
    bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())
    bench.reset("ForceOff")
    bench.wait(20)
    bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())  # the answer to an earlier start is ignored
    bench.reset("On")
    bench.wait(2000)
    truth = bench.bmc.truth()
    assert [write["outcome"] for write in truth["image_writes"]] == ["cut"]
    assert (truth["boots"][-1]["from"], truth["os"]["version_id"]) == ("nothing", None)


def test_continuous_installs_again_at_every_start() -> None:
    bench = ready(enabled="Continuous")
    for number in (1, 2):
        bench.wait(1000)
        [read] = errands(bench)
        bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())
        bench.wait(430)
        [call] = errands(bench)
        assert isinstance(call, PhoneHomePost)
        assert (call.url, call.body["token"]) == ("http://10.0.0.1:8080/home", "token")
        bench.bmc.installer.phoned(call.boot, accepted=True, now=bench.clock.now())
        assert bench.bmc.truth()["phone_homes"] == number
    assert list(bench.bmc.truth()["image_write_counts"].values()) == [2]


def calling(bench: Bench) -> PhoneHomePost:
    """The first phone-home of an installer that has written its disk."""
    bench.wait(1000)
    [read] = errands(bench)
    bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())
    bench.wait(430)
    [call] = errands(bench)
    assert isinstance(call, PhoneHomePost)
    return call


def pauses(bench: Bench, call: PhoneHomePost) -> list[float]:
    """Seconds between the calls of an installer that nobody hears, until it gives up; one errand a call."""
    found = []
    while bench.bmc.installer.running is Running.INSTALLER:
        bench.bmc.installer.phoned(call.boot, accepted=False, now=bench.clock.now())
        before = bench.clock.now()
        while bench.bmc.installer.running is Running.INSTALLER and not (calls := errands(bench)):
            bench.wait(1)
        if bench.bmc.installer.running is Running.INSTALLER:
            assert len(calls) == 1
            found.append(bench.clock.now() - before)
    return found


def test_an_installer_that_nobody_hears_calls_more_and_more_rarely_for_two_hours() -> None:
    bench = ready()
    heard = pauses(bench, calling(bench))
    assert heard == pytest.approx([30, 60, 120, 240, 480, *[600] * 10], abs=1)
    bench.wait(2000)
    truth = bench.bmc.truth()
    assert (truth["phone_home_tries"], truth["phone_homes"]) == (16, 0)
    assert [boot["from"] for boot in truth["boots"]] == ["media", "disk"]
    assert errands(bench) == []


def test_a_second_installation_calls_as_patiently_as_the_first() -> None:
    bench = ready(enabled="Continuous")
    first = pauses(bench, calling(bench))
    assert pauses(bench, calling(bench)) == pytest.approx(first, abs=1)


def test_an_installer_that_is_heard_late_is_heard_once() -> None:
    bench = ready()
    call = calling(bench)
    for pause_s in (30, 60, 120):
        bench.bmc.installer.phoned(call.boot, accepted=False, now=bench.clock.now())
        bench.wait(pause_s)
        [again] = errands(bench)
        assert again == call
    bench.bmc.installer.phoned(call.boot, accepted=True, now=bench.clock.now())
    bench.wait(9000)
    truth = bench.bmc.truth()
    assert (truth["phone_home_tries"], truth["phone_homes"], errands(bench)) == (4, 1, [])
    assert [boot["from"] for boot in truth["boots"]] == ["media", "disk"]


def test_every_installation_has_a_host_key_of_its_own() -> None:
    bench = ready()
    before = bench.bmc.disk.host_key_line
    bench.wait(1000)
    [read] = errands(bench)
    bench.bmc.installer.read(read.boot, IMAGE, bench.clock.now())
    assert bench.bmc.disk.host_key_line == ""
    bench.wait(430)
    assert bench.bmc.disk.host_key_line not in {before, ""}


@pytest.mark.parametrize("data", [None, b"", b"\x7fELF" + bytes(5000), b'{"fleetwave-sim-os": 2}\n', b"[1]\n"])
def test_what_is_no_image_leaves_the_disk_alone(data: bytes | None) -> None:
    bench = ready()
    bench.wait(1000)
    [read] = errands(bench)
    bench.bmc.installer.read(read.boot, data, bench.clock.now())
    truth = bench.bmc.truth()
    assert (truth["image_writes"], truth["os"]["version_id"]) == ([], "22.04")
    assert [boot["from"] for boot in truth["boots"]] == ["media", "disk"]
