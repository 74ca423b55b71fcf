"""Platforms, as data with sources. A machine that no profile recognises is read-only (field guide F40)."""

from dataclasses import fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from fleet.errors import UsageError
from fleet.profile import Profile
from fleet.vendors.discovery import Discovery
from fleet.vendors.read import Platform, read_platform
from inventory.text import InputError, nearest

GENERIC = "generic"
"""The read-only profile of unknown hardware."""

__all__ = ["GENERIC", "Discovery", "classify", "load_profiles", "profile_named"]


def load_profiles() -> dict[str, Profile]:
    """All shipped profiles by name. Raises InputError where one of the files is wrong."""
    return {name: platform.profile for name, platform in _platforms().items()}


def profile_named(name: str) -> Profile:
    """The profile that a person named. Raises UsageError with the nearest known name."""
    profiles = load_profiles()
    if name not in profiles:
        raise UsageError(f"unknown profile {name!r}; {nearest(name, profiles)}")
    return profiles[name]


def classify(facts: Discovery) -> Profile:
    """The one profile whose signals all match; the generic read-only one where none does, or more than one."""
    found = [platform.profile for platform in _platforms().values() if _recognises(platform, facts)]
    return found[0] if len(found) == 1 else profile_named(GENERIC)


@cache
def _platforms() -> dict[str, Platform]:
    known = {field.name for field in fields(Discovery)}
    platforms: dict[str, Platform] = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        platform = read_platform(path)
        for signal, _ in platform.signals:
            if signal not in known:
                raise InputError(str(path), 0, f"unknown signal {signal!r}", hint=nearest(signal, known))
        if platform.profile.name != path.stem:
            raise InputError(str(path), 0, f"names itself {platform.profile.name!r}", hint="name it as its file")
        platforms[platform.profile.name] = platform
    return platforms


def _recognises(platform: Platform, facts: Discovery) -> bool:
    return bool(platform.signals) and all(_matches(getattr(facts, signal), globs) for signal, globs in platform.signals)


def _matches(value: str | tuple[str, ...], globs: tuple[str, ...]) -> bool:
    values = (value,) if isinstance(value, str) else value
    return any(fnmatchcase(one.casefold(), glob.casefold()) for one in values for glob in globs)
