"""Virtual media and boot override against a BMC that a test tells what to answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from bmc_stand_in import (
    SESSIONS,
    SYSTEM,
    Certificate,
    FieldClock,
    MemoryLedger,
    Seen,
    bmc_of,
    error,
    honest,
    reply,
    serving,
)

from fleet.drivers.redfish import RedfishDriver
from fleet.errors import NodeFault, Reason
from fleet.ports import BootMedia
from inventory.model import Credential

SETTINGS = f"{SYSTEM}/SD"
MEDIA = f"{SYSTEM}/VirtualMedia"
URL = "http://10.0.0.1:8080/i/one-time-token.iso"


@dataclass(slots=True, kw_only=True)
class Box:
    """A BMC with two disc slots and an override."""

    takes: tuple[str, ...] = (SYSTEM,)
    """Where an override is taken; elsewhere it is refused, or ignored if `ignores`."""
    ignores: bool = False
    refuses_insert: bool = False
    boot: dict[str, str] = field(
        default_factory=lambda: {
            "BootSourceOverrideEnabled": "Disabled",
            "BootSourceOverrideTarget": "None",
            "BootSourceOverrideMode": "UEFI",
        }
    )
    images: dict[str, str] = field(default_factory=lambda: {f"{MEDIA}/1": "", f"{MEDIA}/2": ""})
    sent: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, seen: Seen) -> web.StreamResponse:
        """Media, override, and an honest BMC otherwise."""
        if seen.path == MEDIA:
            return reply({"Members": [{"@odata.id": slot} for slot in self.images]})
        slot, _, action = seen.path.partition("/Actions/VirtualMedia.")
        if slot in self.images:
            return self._media(seen, slot, action)
        if seen.path not in {SYSTEM, SETTINGS} or seen.method not in {"GET", "PATCH"}:
            return honest(seen)  # type: ignore[return-value]
        if seen.method == "PATCH":
            return self._patch(seen)
        links = {"VirtualMedia": {"@odata.id": MEDIA}, "@Redfish.Settings": {"SettingsObject": {"@odata.id": SETTINGS}}}
        reset = {"#ComputerSystem.Reset": {"target": f"{SYSTEM}/Actions/ComputerSystem.Reset"}}
        return reply({"PowerState": "On", "Boot": self.boot, "Actions": reset} | links)

    def _patch(self, seen: Seen) -> web.StreamResponse:
        self.sent.append((seen.path, seen.json["Boot"]))
        if seen.path in self.takes:
            self.boot |= seen.json["Boot"]
        elif not self.ignores:
            return error(405, "Base.1.0.OperationNotAllowed", "not here")
        return web.Response(status=204)

    def _media(self, seen: Seen, slot: str, action: str) -> web.StreamResponse:
        if action == "EjectMedia":
            self.images[slot] = ""
            return web.Response(status=204)
        if action == "InsertMedia":
            if self.refuses_insert:
                return error(400, "Base.1.0.Refused", f"The URL {seen.json['Image']} cannot be used.")
            self.sent.append((slot, seen.json))
            self.images[slot] = seen.json["Image"]
            return web.Response(status=204)
        target = f"{slot}/Actions/VirtualMedia"
        actions = {f"#VirtualMedia.{name}": {"target": f"{target}.{name}"} for name in ("InsertMedia", "EjectMedia")}
        image = self.images[slot]
        return reply({"MediaTypes": ["CD"], "Image": image or None, "Inserted": bool(image), "Actions": actions})


@pytest.fixture
async def media(
    request: pytest.FixtureRequest, certificate: Certificate, login: Credential, clock: FieldClock, ledger: MemoryLedger
) -> AsyncIterator[tuple[Box, BootMedia]]:
    box: Box = request.param
    async with serving(certificate, box.answer) as served:
        driver = RedfishDriver([login], clock=clock)
        bmc = bmc_of(driver, served, ledger)
        assert isinstance(bmc, BootMedia)
        yield box, bmc
        await bmc.close()
        await driver.close()
    assert not ledger.open_uris, SESSIONS


@pytest.mark.parametrize(
    ("media", "paths"),
    [
        (Box(), [SYSTEM]),
        (Box(takes=(SETTINGS,)), [SYSTEM, SETTINGS]),
        (Box(takes=(SETTINGS,), ignores=True), [SYSTEM, SETTINGS]),
    ],
    indirect=["media"],
)
async def test_an_override_is_set_where_it_is_taken_and_cleared_again(
    media: tuple[Box, BootMedia], paths: list[str]
) -> None:
    box, bmc = media
    await bmc.boot_once()
    assert await bmc.boot_override() == ("Once", "Cd")
    assert [path for path, _ in box.sent] == paths
    assert box.sent[-1][1] == {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Cd"}
    await bmc.clear_boot_override()
    assert (await bmc.boot_override())[0] == "Disabled"
    sent = len(box.sent)
    await bmc.clear_boot_override()
    assert len(box.sent) == sent  # what is so already is not sent again: some refuse it


@pytest.mark.parametrize("media", [Box(takes=(), ignores=True)], indirect=True)
async def test_an_override_that_is_accepted_and_never_seen_is_a_fault(media: tuple[Box, BootMedia]) -> None:
    with pytest.raises(NodeFault, match="not to be seen afterwards") as caught:
        await media[1].boot_once()
    assert caught.value.reason is Reason.PROTOCOL


@pytest.mark.parametrize("media", [Box(boot={"BootSourceOverrideMode": "Legacy"})], indirect=True)
async def test_a_legacy_mode_is_changed_along(media: tuple[Box, BootMedia]) -> None:
    box, bmc = media
    await bmc.boot_once()
    assert box.sent[-1][1]["BootSourceOverrideMode"] == "UEFI"


@pytest.mark.parametrize("media", [Box(images={f"{MEDIA}/1": "", f"{MEDIA}/2": "http://stale/old.iso"})], indirect=True)
async def test_stale_media_is_ejected_from_every_slot(media: tuple[Box, BootMedia]) -> None:
    box, bmc = media
    await bmc.insert_media(URL)
    assert list(box.images.values()) == [URL, ""]
    await bmc.eject_media()
    assert list(box.images.values()) == ["", ""]


@pytest.mark.parametrize("media", [Box(refuses_insert=True)], indirect=True)
async def test_a_refusal_does_not_repeat_the_token(media: tuple[Box, BootMedia]) -> None:
    with pytest.raises(NodeFault, match="cannot be used") as caught:
        await media[1].insert_media(URL)
    assert "one-time-token" not in str(caught.value)
