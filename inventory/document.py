"""YAML in, values with line numbers out; every scalar stays the text that the person wrote.

`1.10` stays "1.10" and `no` stays "no": firmware versions are not numbers, Norway is not false. The tree is built from
libyaml's events rather than by PyYAML's composer, because that one recurses in C: a file of brackets kills the process.
Anchors, aliases, tags and merge keys are refused, so what a file says is never larger than the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import yaml

from inventory import scalar
from inventory.text import InputError, Place, nearest

SIZE_LIMIT_BYTES = 32 * 2**20
"""10,000 nodes written out one by one take 2 MiB; this is 16 times as much."""
DEPTH_LIMIT = 32
"""The deepest shipped file nests 7 levels."""

Choice = TypeVar("Choice", bound=StrEnum)
Read = TypeVar("Read")


class Value:
    """One value of a document: text, a sequence or a mapping, with the line on which it stands."""

    __slots__ = ("content", "file", "line", "plain", "what")

    def __init__(self, content: Content, *, file: str, line: int, plain: bool = False) -> None:
        self.content = content
        self.file = file
        self.line = line
        self.plain = plain
        """Text that was written without quotes."""
        self.what = "value"
        """What messages call it; the reader of the surrounding mapping sets it to the key."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(file=self.file, line=self.line)

    @property
    def kind(self) -> str:
        """`text`, `sequence`, `mapping`, or `nothing` for a key without a value."""
        if isinstance(self.content, str):
            return "text" if self.content or not self.plain else "nothing"
        return "mapping" if isinstance(self.content, dict) else "sequence"

    def error(self, message: str, *, hint: str = "") -> InputError:
        """An error at this value, to be raised by the caller."""
        return InputError(self.file, self.line, message, hint=hint)

    def text(self) -> str:
        """The text as written; an empty or blank one is refused."""
        if not isinstance(self.content, str):
            raise self.error(
                f"{self.what} must be text, not a {self.kind}", hint="a text that begins with { or [ needs quotes"
            )
        if not self.content.strip():
            raise self.error(f"{self.what} has no value")
        return self.content

    def integer(self, *, minimum: int | None = None, maximum: int | None = None) -> int:
        """A whole number within bounds."""
        return self._within(self.parsed(scalar.integer), minimum, maximum)

    def number(self, *, minimum: float | None = None, maximum: float | None = None) -> float:
        """A decimal number within bounds."""
        return self._within(self.parsed(scalar.number), minimum, maximum)

    def duration_s(self, *, minimum: int = 0) -> int:
        """A duration with its unit (`30m`), in seconds."""
        return self._within(self.parsed(scalar.duration_s), minimum, None)

    def percent_or_count(self, *, minimum: int = 1) -> scalar.Percent | int:
        """`12%` or `40`. A share of nothing and a count below `minimum` are refused: zero is never "unlimited"."""
        read = self.parsed(scalar.percent_or_count)
        if isinstance(read, int):
            return self._within(read, minimum, None)
        if minimum > 0 and not read.percent:
            raise self.error(f"{self.what} must be more than 0%")
        return read

    def boolean(self) -> bool:
        """`true` or `false`, `yes` or `no`."""
        return self.parsed(scalar.boolean)

    def choice(self, choices: type[Choice]) -> Choice:
        """One of the values of a StrEnum."""
        text = self.text()
        try:
            return choices(text)
        except ValueError:
            raise self.error(f"{self.what}: unknown {text!r}", hint=nearest(text, list(choices))) from None

    def parsed(self, parse: Callable[[str], Read]) -> Read:
        """What `parse` makes of the text; its ValueError, a predicate such as "is no date", becomes an InputError."""
        text = self.text()
        try:
            return parse(text)
        except InputError:
            raise
        except ValueError as error:
            raise self.error(f"{self.what} {text!r} {error}") from None

    def sequence(self) -> tuple[Value, ...]:
        """The elements; a key without a value is an empty sequence."""
        if self.kind == "nothing":
            return ()
        if not isinstance(self.content, list):
            raise self.error(
                f"{self.what} must be a sequence, not a {self.kind}", hint="write [one, two] or '- one' lines"
            )
        for element in self.content:
            element.what = self.what
        return tuple(self.content)

    def texts(self) -> tuple[str, ...]:
        """A sequence of texts; a single text is a sequence of one."""
        if isinstance(self.content, str) and self.content:
            return (self.text(),)
        return tuple(element.text() for element in self.sequence())

    def _within(self, value: Read, minimum: float | None, maximum: float | None) -> Read:
        if isinstance(value, int | float):
            if minimum is not None and value < minimum:
                raise self.error(f"{self.what} must be at least {minimum}, not {self.content}")
            if maximum is not None and value > maximum:
                raise self.error(f"{self.what} must be at most {maximum}, not {self.content}")
        return value


Content = str | list[Value] | dict[str, tuple[int, Value]]
"""Text, elements, or per key its line and value."""


def read_document(path: Path) -> Value:
    """The value that a YAML file holds.

    Raises:
        InputError: the file cannot be read, is too large, is no UTF-8, is no YAML, or uses what is refused here.
    """
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise InputError(file, 0, f"cannot be read: {error.strerror}") from None
    if len(raw) > SIZE_LIMIT_BYTES:
        raise InputError(
            file, 0, f"is larger than {SIZE_LIMIT_BYTES >> 20} MiB", hint="use ranges such as gpu[001-1024]"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(file, raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text") from None
    return parse_document(text, file=file)


def parse_document(text: str, *, file: str) -> Value:
    """The value that YAML text holds; `file` is what errors name. Raises InputError as `read_document` does."""
    try:
        return _build(yaml.parse(text, Loader=yaml.CSafeLoader), file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else 0  # libyaml may point behind the last line
        tab = "\t" in (text.splitlines()[line - 1 : line] or [""])[0]
        hint = "YAML indents with blanks, not with tabs" if tab else ""
        if error.problem == _TOO_DEEP:
            raise InputError(file, line, f"nests deeper than {DEPTH_LIMIT} levels") from None
        raise InputError(file, line, f"is not YAML: {error.problem or error.context}", hint=hint) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(file, line, "holds a character that YAML does not allow", hint=str(error.reason)) from None


_TOO_DEEP = "exceeded maximum nesting depth"
"""What libyaml says of its own limit, far above ours: it reads ahead, and is there first (PyYAML 6.0.4)."""


class _Open:
    """A sequence or mapping whose end has not been read yet."""

    __slots__ = ("key", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.key: Value | None = None

    def add(self, child: Value) -> None:
        content = self.value.content
        if isinstance(content, list):
            content.append(child)
        elif isinstance(content, dict):
            self._add_pair(content, child)

    def _add_pair(self, content: dict[str, tuple[int, Value]], child: Value) -> None:
        if self.key is None:
            if not isinstance(child.content, str):
                raise child.error(f"a key must be text, not a {child.kind}", hint="quote it if it begins with { or [")
            if child.content in content:
                first = content[child.content][0]
                raise child.error(f"key {child.content!r} appears twice", hint=f"it stands in line {first} already")
            self.key = child
        else:
            if isinstance(child.content, dict):
                child.line = self.key.line  # a person looks for the name, not for the first key under it
            content[str(self.key.content)] = (self.key.line, child)
            self.key = None


def _build(events: Iterator[yaml.Event], file: str) -> Value:
    """Fold libyaml's events into one value, without recursion."""
    documents: list[Value] = []
    stack = [_Open(Value(documents, file=file, line=0))]
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InputError(
                file, line, "anchors and aliases (& and *) are not supported", hint="write it out, or quote it"
            )
        if getattr(event, "tag", None) not in (None, "!"):
            raise InputError(file, line, "tags (!) are not supported", hint="quote a text that begins with !")
        if isinstance(event, yaml.DocumentStartEvent) and documents:
            raise InputError(file, line, "a second document begins", hint="one file holds one document")
        if isinstance(event, yaml.ScalarEvent):
            stack[-1].add(Value(event.value, file=file, line=line, plain=not event.style))
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > DEPTH_LIMIT:
                raise InputError(file, line, f"nests deeper than {DEPTH_LIMIT} levels")
            content: Content = {} if isinstance(event, yaml.MappingStartEvent) else []
            child = Value(content, file=file, line=line)
            stack[-1].add(child)
            stack.append(_Open(child))
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
    if not documents:
        raise InputError(file, 0, "is empty")
    return documents[0]
