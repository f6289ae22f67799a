"""Pages escape what they are given, carry their data, and ask nothing of the network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import charts, pages

HOSTILE = "<script>alert('x')</script> & \"quotes\""


class _Tags(HTMLParser):
    """Collects the tags of a document and checks that they nest."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(document: str) -> _Tags:
    parser = _Tags()
    parser.feed(document)
    assert not parser.open
    return parser


def hostile_page() -> str:
    body = pages.join(
        [
            pages.paragraph(HOSTILE),
            pages.table([HOSTILE, "b"], [[HOSTILE, "1"]]),
            pages.facts([(HOSTILE, HOSTILE)]),
            pages.tiles([(HOSTILE, HOSTILE, HOSTILE)]),
            pages.notice(HOSTILE, kind="warning"),
            pages.figure(charts.bars([charts.Bar(label=HOSTILE, value=1, low=0.5, high=2)], HOSTILE, HOSTILE), HOSTILE),
        ]
    )
    return pages.page(
        HOSTILE, [pages.Section(title=HOSTILE, body=body)], lead=HOSTILE, footer=HOSTILE, data=json.dumps(HOSTILE)
    )


def test_nothing_that_was_given_as_text_becomes_markup() -> None:
    document = hostile_page()
    assert parsed(document).seen.count("script") == 1  # the one that carries the data, which no browser executes
    assert "<script>alert" not in document


def test_a_page_names_no_place_it_could_fetch_from() -> None:
    document = hostile_page()
    assert not re.findall(r"""(?:src|href)\s*=|url\(|@import|https?://""", document)
    assert "default-src 'none'" in document


@given(st.text())
def test_data_comes_out_of_a_page_as_it_went_in(text: str) -> None:
    document = pages.page("t", [], data=json.dumps({"text": text}))
    embedded = pages.embedded_data(document)
    assert embedded is not None
    assert json.loads(embedded) == {"text": text}


def test_a_page_without_data_gives_none() -> None:
    assert pages.embedded_data(pages.page("t", [])) is None


def test_markup_is_escaped_once_and_only_once() -> None:
    assert pages.tag("b", "a & b") == "<b>a &amp; b</b>"
    assert pages.tag("i", pages.tag("b", "<")) == "<i><b>&lt;</b></i>"


finite = st.floats(min_value=1e-6, max_value=1e9)


@given(finite, finite)
def test_ticks_are_round_few_and_within_the_axis(a: float, b: float) -> None:
    low, high = sorted((a, b))
    found = charts.ticks(low, high)
    assert len(found) <= 12
    assert all(low - 1e-6 * high <= tick <= high + 1e-6 * high for tick in found)


@given(st.lists(finite, min_size=1, max_size=6))
def test_every_chart_is_well_formed_for_any_numbers(values: list[float]) -> None:
    rows = [charts.Bar(label=str(v), value=v, low=v * 0.9, high=v * 1.1, mark=v * 1.2) for v in values]
    points = tuple((float(i), v) for i, v in enumerate(values))
    drawn = [
        charts.bars(rows, "ms", "bars"),
        charts.histogram(
            [int(v) % 7 for v in values], min(values), max(values), [charts.Rule(label="p50", value=values[0])], "ms", "h"
        ),
        charts.timeline([charts.Series(label="run 1", points=points, level=values[0])], min(values), max(values), "ms", "t"),
        charts.timeline(
            [charts.Series(label="run 1", points=points, level=values[0], aside=points)], 0, 1, "ms", "t", aside_unit="°C"
        ),
        charts.stacks([charts.Stack(label="a", parts=tuple((f"p{i}", v) for i, v in points), text="t")], "ms", "s"),
    ]
    for picture in drawn:
        parsed(picture)
        assert "nan" not in picture
        assert "inf" not in picture.replace("inference", "")


@pytest.mark.parametrize(("value", "shown"), [(0.0, "0"), (12.3456, "12.35"), (0.00012, "1.20e-04"), (1500.0, "1500")])
def test_axis_numbers_are_short(value: float, shown: str) -> None:
    assert charts.short(value) == shown
