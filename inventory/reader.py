"""Reading a mapping key by key, so that no key is ignored in silence.

A reader remembers which keys were read; `finish` raises for the first one that was not and names the nearest that could
have been meant:

    reader = MappingReader(read_document(path), what="node")
    name = reader.text("id")
    slot = reader.integer("slot", minimum=1, default=None)
    reader.finish()

Every method raises `InputError` with file, line and a hint. A key without `default` is required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from inventory.document import Choice, Value
from inventory.scalar import Percent
from inventory.text import InputError, Place, closest, nearest


class _Required:
    """The default of a key that must be there."""


REQUIRED = _Required()

Read = TypeVar("Read")
Default = TypeVar("Default")


class MappingReader:
    """The keys of one mapping, read by name."""

    __slots__ = ("_asked", "_content", "_value", "what")

    def __init__(self, value: Value, *, what: str) -> None:
        self.what = what
        """What messages call the mapping: `node`, `rollout`."""
        self._value = value
        self._asked: dict[str, None] = {}
        if isinstance(value.content, dict):
            self._content = value.content
        elif value.kind == "nothing":
            self._content = {}
        else:
            raise value.error(f"{what} must be a mapping, not a {value.kind}", hint="write 'key: value' lines")

    @property
    def place(self) -> Place:
        """Where the mapping begins."""
        return self._value.place

    def keys(self) -> tuple[str, ...]:
        """Every key, in the order of the file, read or not."""
        return tuple(self._content)

    def __contains__(self, key: str) -> bool:
        self._asked[key] = None
        return key in self._content

    def expect(self, *keys: str) -> None:
        """Make keys known to `finish`, so that it can be called before they are read."""
        self._asked.update(dict.fromkeys(keys))

    def error(self, message: str, *, key: str | None = None, hint: str = "") -> InputError:
        """An error at a key's line, or at the mapping's, to be raised by the caller."""
        line = self._content[key][0] if key in self._content else self._value.line
        return InputError(self._value.file, line, message, hint=hint)

    def value(self, key: str) -> Value | None:
        """The value of a key, read from now on; None where the key is absent."""
        self._asked[key] = None
        found = self._content.get(key)
        if found is None:
            return None
        found[1].what = key
        return found[1]

    def required(self, key: str) -> Value:
        """The value of a key that must be there."""
        value = self.value(key)
        if value is None:
            misspelt = closest(key, self.unread())
            hint = f"is {misspelt!r} in line {self._content[misspelt][0]} meant?" if misspelt else ""
            raise self.error(f"{self.what} lacks the key {key!r}", hint=hint)
        return value

    def items(self) -> Iterator[tuple[str, Value]]:
        """Every key with its value, all of them read by this: for mappings whose keys are names that a person chose."""
        for key in self._content:
            yield key, self.required(key)

    def text(self, key: str, *, default: Default | _Required = REQUIRED) -> str | Default:
        """The text as written, never empty."""
        return self.read(key, Value.text, default=default)

    def texts(self, key: str, *, default: Default | _Required = REQUIRED) -> tuple[str, ...] | Default:
        """A sequence of texts; a single text is a sequence of one."""
        return self.read(key, Value.texts, default=default)

    def integer(
        self,
        key: str,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        default: Default | _Required = REQUIRED,
    ) -> int | Default:
        """A whole number within bounds."""
        return self.read(key, lambda value: value.integer(minimum=minimum, maximum=maximum), default=default)

    def number(
        self,
        key: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        default: Default | _Required = REQUIRED,
    ) -> float | Default:
        """A decimal number within bounds."""
        return self.read(key, lambda value: value.number(minimum=minimum, maximum=maximum), default=default)

    def duration_s(self, key: str, *, minimum: int = 0, default: Default | _Required = REQUIRED) -> int | Default:
        """A duration with its unit (`30m`), in seconds."""
        return self.read(key, lambda value: value.duration_s(minimum=minimum), default=default)

    def percent_or_count(
        self, key: str, *, minimum: int = 1, default: Default | _Required = REQUIRED
    ) -> Percent | int | Default:
        """`12%` or `40`."""
        return self.read(key, lambda value: value.percent_or_count(minimum=minimum), default=default)

    def boolean(self, key: str, *, default: Default | _Required = REQUIRED) -> bool | Default:
        """`true` or `false`, `yes` or `no`."""
        return self.read(key, Value.boolean, default=default)

    def choice(self, key: str, choices: type[Choice], *, default: Default | _Required = REQUIRED) -> Choice | Default:
        """One of the values of a StrEnum."""
        return self.read(key, lambda value: value.choice(choices), default=default)

    def sequence(self, key: str) -> tuple[Value, ...]:
        """The elements; empty where the key is absent."""
        return self.read(key, Value.sequence, default=())

    def mappings(self, key: str, *, what: str) -> Iterator[MappingReader]:
        """The elements of a sequence of mappings; none where the key is absent."""
        return (MappingReader(element, what=what) for element in self.sequence(key))

    def mapping(self, key: str, *, what: str = "") -> MappingReader:
        """A mapping in the mapping; an empty one where the key is absent. Its own `finish` must be called."""
        value = self.value(key)
        return MappingReader(value or Value({}, file=self._value.file, line=self._value.line), what=what or key)

    def read(
        self, key: str, read: Callable[[Value], Read], *, default: Default | _Required = REQUIRED
    ) -> Read | Default:
        """What `read` makes of the value, or the default where the key is absent."""
        if isinstance(default, _Required):
            return read(self.required(key))
        value = self.value(key)
        return default if value is None else read(value)

    def unread(self) -> tuple[str, ...]:
        """The keys that nothing has asked for."""
        return tuple(key for key in self._content if key not in self._asked)

    def finish(self) -> None:
        """Raise for the first key that nothing has asked for."""
        for key in self.unread():
            missing = [asked for asked in self._asked if asked not in self._content]
            raise self.error(
                f"unknown key {key!r} in {self.what}", key=key, hint=nearest(key, missing) or nearest(key, self._asked)
            )
