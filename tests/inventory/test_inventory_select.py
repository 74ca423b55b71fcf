"""Selectors: which nodes are meant, and what is not understood."""

from __future__ import annotations

import pytest

from inventory.load import EXAMPLES, load
from inventory.select import SelectorError, parse_selector

CLUSTERS = load(EXAMPLES / "two-clusters.yaml")
RACKS = load(EXAMPLES / "three-racks.yaml")


@pytest.mark.parametrize(
    ("selector", "count", "first"),
    [
        ("", 24, "h100-01"),
        ("model=DGXA100", 8, "a100-01"),
        ("model=dgx*", 8, "a100-01"),
        ("model=SYS-821GE-TNHR,rack=h2", 4, "h100-05"),
        ("rack=h1|a1", 8, "h100-01"),
        ("rack=h[1-2,4]", 12, "h100-01"),
        ("id=h100-[03-05], slot=4", 1, "h100-04"),
        ("!tenant=research", 8, "a100-01"),
        ("tenant!=research", 8, "a100-01"),
        ("tenant=ci", 2, "a100-07"),
        ("!tenant=research,!tenant=ci", 6, "a100-01"),
        ("pod=a100,feed=B", 8, "a100-01"),
        ("site=lab,profile=supermicro-hgx", 1, "h100-16"),
        ("!rack=h1,!rack=h2,model=SYS*", 8, "h100-09"),
    ],
)
def test_a_selector_selects(selector: str, count: int, first: str) -> None:
    nodes = parse_selector(selector).nodes(CLUSTERS)
    assert len(nodes) == count
    assert nodes[0].id == first


def test_labels_and_domains_are_selected() -> None:
    assert len(parse_selector("label.role=storage").nodes(RACKS)) == 16
    assert len(parse_selector("nvlink_domain=nvl2").nodes(RACKS)) == 18
    assert len(parse_selector("!label.role=*").nodes(RACKS)) == 54


def test_the_mapping_form_says_the_same() -> None:
    text = parse_selector("model=DGXA100,rack=a1|a2,!tenant=ci")
    assert parse_selector({"model": "DGXA100", "rack": ["a1", "a2"], "!tenant": "ci"}) == text
    assert len(text.nodes(CLUSTERS)) == 6


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("modle=DGXH100", "unknown key 'modle' in the selector; did you mean 'model'?"),
        ("rack=r1,r2", "the term 'r2' has no '='"),
        ("rack=", "the key 'rack' in the selector has no value"),
        ("label.=x", "unknown key 'label.'"),
        ("rack=r[5-1]", "runs backwards"),
        ("id=n[1-999999]", "the limit is 100,000"),
    ],
)
def test_what_is_not_understood_is_refused(selector: str, words: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(selector)
    assert words in str(caught.value)
