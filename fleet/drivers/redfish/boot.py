"""Boot override: what the host boots next, once (ComputerSystem.Boot; field guide 3.3)."""

from collections.abc import Mapping

from fleet.drivers.redfish import document
from fleet.drivers.redfish.access import Access
from fleet.drivers.redfish.channel import OK
from fleet.drivers.redfish.document import Document
from fleet.drivers.redfish.layout import Layout
from fleet.errors import NodeFault, Reason, Transient
from fleet.profile import BootProperty, MediaProfile

UEFI = "UEFI"
ONCE = "Once"
DISABLED = "Disabled"
UNSAID = {BootProperty.ENABLED: DISABLED, BootProperty.TARGET: "None", BootProperty.MODE: UEFI}
"""What to send where the BMC does not say what it has."""
PASSING = frozenset({409, 423, 425, 429, 503})
POLL_S = 2.0
POLLS = 8
"""A settings object is taken over with a delay; 16 s is an engineering value."""


async def once(access: Access, layout: Layout, media: MediaProfile) -> None:
    """Boot the virtual disc at the next start, and only then.

    Raises:
        NodeFault: PROTOCOL: the BMC refuses, or does not show it afterwards.
    """
    await _set(access, layout, media, {BootProperty.ENABLED: ONCE, BootProperty.TARGET: media.boot_target})


async def clear(access: Access, layout: Layout, media: MediaProfile) -> None:
    """No override. A stale Continuous would install for ever (field guide 3.3)."""
    await _set(access, layout, media, {BootProperty.ENABLED: DISABLED})


async def override(access: Access, layout: Layout) -> tuple[str, str]:
    """(BootSourceOverrideEnabled, BootSourceOverrideTarget) now; empty where the BMC does not say."""
    boot = _boot(await access.get(layout.system))
    return document.text(boot, BootProperty.ENABLED), document.text(boot, BootProperty.TARGET)


async def _set(access: Access, layout: Layout, media: MediaProfile, wanted: Mapping[BootProperty, str]) -> None:
    """At the system itself; where it refuses, or takes it and shows nothing of it, at its settings object."""
    what = f"{access.channel.base}: boot override {'/'.join(wanted.values())}"
    system = await access.get(layout.system)
    if _shows(_boot(system), wanted):
        return
    settings = document.link(system, "@Redfish.Settings", "SettingsObject")
    said: list[str] = []
    for path in filter(None, (layout.system, settings)):
        boot = _boot(system if path == layout.system else await access.get(path))
        body = {"Boot": _words(boot, media, wanted)}
        reply = await access.send("PATCH", path, body, effect="boot override")
        if reply.status in PASSING:
            raise Transient(f"{what} was refused for now: {reply.sentence}", retry_after_s=reply.retry_after_s)
        if reply.status not in OK:
            said.append(f"{path}: {reply.sentence}")
        elif await _taken(access, layout, wanted):
            return
        else:
            said.append(f"{path}: accepted, and not to be seen afterwards")
    raise NodeFault(Reason.PROTOCOL, f"{what} cannot be set: {'; '.join(said)}")


def _words(boot: Document, media: MediaProfile, wanted: Mapping[BootProperty, str]) -> dict[str, str]:
    """What to send: what changes, and what this platform wants to be told every time."""
    mode = document.text(boot, BootProperty.MODE)
    whole = dict(wanted)
    if mode != UEFI and (mode or BootProperty.MODE in media.always_send):
        whole[BootProperty.MODE] = UEFI
    for name in media.always_send - whole.keys():
        whole[name] = document.text(boot, name) or UNSAID[name]
    changed = {name: value for name, value in whole.items() if document.text(boot, name) != value}
    return {str(name): value for name, value in whole.items() if name in changed or name in media.always_send}


async def _taken(access: Access, layout: Layout, wanted: Mapping[BootProperty, str]) -> bool:
    for look in range(POLLS):
        if look:
            await access.channel.clock.sleep(POLL_S)
        if _shows(_boot(await access.get(layout.system)), wanted):
            return True
    return False


def _shows(boot: Document, wanted: Mapping[BootProperty, str]) -> bool:
    return all(document.text(boot, name) == value for name, value in wanted.items())


def _boot(system: Document) -> Document:
    return document.child(system, "Boot")
