"""YAML as text with line numbers: nothing is guessed, nothing is ignored, nothing hostile gets far."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.document import SIZE_LIMIT_BYTES, parse_document, read_document
from inventory.reader import MappingReader
from inventory.scalar import Percent
from inventory.text import InputError, nearest


class Colour(StrEnum):
    """Something to choose from."""

    RED = "red"
    GREEN = "green"


def reader(text: str) -> MappingReader:
    return MappingReader(parse_document(text, file="hall.yaml"), what="node")


def message(text: str, read: Callable[[MappingReader], object]) -> str:
    with pytest.raises(InputError) as caught:
        read(reader(text))
    return str(caught.value)


def test_the_message_for_a_misspelt_key() -> None:
    def read(node: MappingReader) -> None:
        node.text("address", default=None)
        node.text("id", default=None)
        node.finish()

    assert message("id: a\nadress: b", read) == "hall.yaml:2: unknown key 'adress' in node; did you mean 'address'?"
    assert message("idd: a", lambda node: node.text("id")) == (
        "hall.yaml:1: node lacks the key 'id'; is 'idd' in line 1 meant?"
    )
    assert message("id: a\nzzz: b", read) == "hall.yaml:2: unknown key 'zzz' in node; known: address"


@pytest.mark.parametrize("text", ["1.10", "no", "2026-10-01", "0x10", "~", "1e3", "00.01", "24:10"])
def test_a_scalar_stays_the_text_that_was_written(text: str) -> None:
    assert reader(f"version: {text}").text("version") == text


def test_typed_readers_read_what_they_name() -> None:
    node = reader(
        "slot: 4\nwait: 1h30m\nshare: 12.5%\ncount: 40\non: no\ncolour: green\nmany: [a, b]\none: a\nratio: 0.25\n"
        "inner: {a: 1}\nempty:\nlist: [{a: 1}, {a: 2}]"
    )
    assert node.integer("slot", minimum=1, maximum=4) == 4
    assert node.duration_s("wait") == 5_400
    assert node.percent_or_count("share") == Percent(12.5)
    assert node.percent_or_count("count") == 40
    assert node.boolean("on") is False
    assert node.choice("colour", Colour) is Colour.GREEN
    assert node.texts("many") == ("a", "b")
    assert node.texts("one") == ("a",)
    assert node.number("ratio") == 0.25
    assert node.mapping("inner").integer("a") == 1
    assert node.mapping("empty").keys() == ()
    assert [each.integer("a") for each in node.mappings("list", what="entry")] == [1, 2]
    assert node.integer("absent", default=None) is None
    node.finish()


@pytest.mark.parametrize(
    ("text", "read", "words"),
    [
        ("x: 1.0", lambda node: node.integer("x"), "x '1.0' is not a whole number"),
        ("x: " + "9" * 30, lambda node: node.integer("x"), "is not a whole number"),
        ("x: 0", lambda node: node.integer("x", minimum=1), "x must be at least 1, not 0"),
        ("x: 9", lambda node: node.integer("x", maximum=8), "x must be at most 8, not 9"),
        ("x: 30", lambda node: node.duration_s("x"), "'30' is not a duration (write 90s, 30m, 8h or 1h30m)"),
        ("x: m", lambda node: node.duration_s("x"), "is not a duration"),
        ("x: 0%", lambda node: node.percent_or_count("x"), "must be more than 0%"),
        ("x: 0", lambda node: node.percent_or_count("x"), "must be at least 1"),
        ("x: 101%", lambda node: node.percent_or_count("x"), "is not between 0% and 100%"),
        ("x: many", lambda node: node.percent_or_count("x"), "is neither a share nor a count"),
        ("x: nan", lambda node: node.number("x"), "is not a number"),
        ("x: maybe", lambda node: node.boolean("x"), "is neither true nor false"),
        ("x: gren", lambda node: node.choice("x", Colour), "x: unknown 'gren'; did you mean 'green'?"),
        ("x: {a: b}", lambda node: node.text("x"), "x must be text, not a mapping"),
        ("x:", lambda node: node.text("x"), "x has no value"),
        ("x: '  '", lambda node: node.text("x"), "x has no value"),
        ("x: a", lambda node: node.sequence("x"), "x must be a sequence, not a text"),
        ("x: a", lambda node: node.mapping("x"), "x must be a mapping, not a text"),
        ("x: [[a]]", lambda node: node.texts("x"), "x must be text, not a sequence"),
    ],
)
def test_a_wrong_value_is_refused_in_words(text: str, read: Callable[[MappingReader], object], words: str) -> None:
    told = message(text, read)
    assert told.startswith("hall.yaml:1: ")
    assert words in told


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "key 'a' appears twice; it stands in line 1 already"),
        ("a: &x 1\nb: *x", 1, "anchors and aliases"),
        ("a: 1\nb: *x", 2, "anchors and aliases"),
        ("a: 1\n<<: {b: 1}\nc: !!python/object:os.system x", 3, "tags (!) are not supported"),
        ("a: 1\n---\nb: 2", 2, "a second document begins"),
        ("a: 1\n\tb: 2", 2, "blanks, not with tabs"),
        ("a: [1\nb: 2", 2, "is not YAML"),
        ("a: 1\nb: \x01", 2, "a character that YAML does not allow"),
        ("a: 1\n[b]: 2", 2, "a key must be text"),
        ("", 0, "is empty"),
        ("# only words", 0, "is empty"),
        ("a: 1\nb: " + "[" * 40 + "]" * 40, 2, "nests deeper than 32 levels"),
        ("[" * 300_000, 1, "nests deeper than 32 levels"),
        ("- " * 300_000, 1, "nests deeper than 32 levels"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_document(text, file="hall.yaml")
    assert caught.value.place.line == line
    assert words in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(InputError, match=r"latin\.yaml:2: is not UTF-8"):
        read_document(tmp_path / "latin.yaml")
    with (tmp_path / "large.yaml").open("wb") as stream:
        stream.truncate(SIZE_LIMIT_BYTES + 1)
    with pytest.raises(InputError, match="is larger than 32 MiB"):
        read_document(tmp_path / "large.yaml")


@given(st.text(alphabet=" \n\t:-[]{}&*!|>'\"#%@`,ab0\x00é", max_size=60))
def test_any_text_is_a_value_or_an_input_error(text: str) -> None:
    try:
        line = parse_document(text, file="f").line
    except InputError as error:
        line = error.place.line
    assert 0 <= line <= text.count("\n") + 1


def test_a_share_never_rounds_up_over_the_cap() -> None:
    assert Percent(12.5).of(1_024) == 128
    assert Percent(29.0).of(100) == 29
    assert Percent(1.0).of(99) == 0


def test_the_hint_lists_a_few_known_words_but_not_a_page() -> None:
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", map(str, range(100))) == ""
    assert nearest("NODES", ["nodes"]) == "did you mean 'nodes'?"
