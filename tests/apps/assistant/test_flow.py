"""Documents as they are shown: a paragraph flows over its hard line breaks, and what sets its own lines keeps them."""

from __future__ import annotations

from html import unescape
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.apps.assistant.pages import answer, flow

PARAGRAPH = """The pump moves forty litres of water a minute, as long as the filter in
front of it is clean. It is switched off by the float, and must never run
dry: its bearings are cooled by the water alone.
"""
GERMAN = """Die Pumpe fördert vierzig Liter Wasser in der Minute, solange der Filter
vor ihr sauber ist. Sie wird vom Schwimmer abgeschaltet und darf nie ohne
Wasser laufen, weil ihre Lager nur vom Wasser gekühlt werden.
"""


def _shown(text: str) -> str:
    return unescape(flow.shown(text, 0, len(text), flow.gaps(text)))


@pytest.mark.parametrize("text", [PARAGRAPH, GERMAN, PARAGRAPH.replace("\n", "\r\n")])
def test_a_paragraph_flows(text: str) -> None:
    assert _shown(text).strip() == " ".join(text.split())


def test_paragraphs_stay_apart() -> None:
    flowing = " ".join(PARAGRAPH.split())
    assert _shown(f"{PARAGRAPH}\n{PARAGRAPH}") == f"{flowing}\n\n{flowing}\n"


def test_a_heading_above_a_paragraph_keeps_its_line() -> None:
    flowing = " ".join(PARAGRAPH.split())
    assert _shown("The pump\n" + PARAGRAPH) == f"The pump\n{flowing}\n"
    assert _shown("The pump\n========\n" + PARAGRAPH).startswith("The pump\n========\n")


def test_the_items_of_a_list_keep_their_lines_and_flow_in_themselves() -> None:
    text = """Before it is started:

- the filter in front of the pump is taken out, washed under running water
  and put back with the arrow upwards;
- the valve is opened;
- the float hangs free.
"""
    assert _shown(text).splitlines()[2:] == [
        "- the filter in front of the pump is taken out, washed under running water and put back with the arrow upwards;",
        "- the valve is opened;",
        "- the float hangs free.",
    ]


def test_an_indented_paragraph_flows_behind_its_indentation() -> None:
    indented = "".join(f"      {line}\n" for line in PARAGRAPH.splitlines())
    assert _shown(indented) == "      " + " ".join(PARAGRAPH.split()) + "\n"


def test_a_word_that_was_divided_gets_no_space() -> None:
    text = "It is cooled by the water alone and stops when the float falls, as low-\nlevel switches of this kind do.\n"
    assert "low-level switches" in _shown(text)


VERSES = """Shall I compare thee to a summer's day, as others did before me in this land?
Thou art more lovely and more temperate than all the days that summer has in hand:
Rough winds do shake the darling buds of May, and all the flowers that on the hillside stand,
And summer's lease hath all too short a date, and soon its light is hidden in the sand.
"""
FREE = """so much depends
upon

a red wheel
barrow
"""
TABLE = """| part of the pump that is looked after | how often this has to be done |
| --- | --- |
| the filter in front of the pump itself | every month, and after every storm |
"""
COLUMNS = """filter of the pump that stands in front    month   washed under running water
bearings of the pump that are cooled by it  year   replaced with those of the set
"""
CSV = """2026-11-27 12:00,the pump in the cellar,40.1,litres per minute,no fault at all
2026-11-27 12:01,the pump in the cellar,39.8,litres per minute,no fault at all
"""
LOG = """2026-11-27T12:00:00 pump started by the float at level 3 with the filter clean
2026-11-27T12:00:01 pump stopped by the float at level 1 with the filter clean
"""
ENTRIES = """WARNING the pump was started by the float although the filter is not clean
WARNING the pump was stopped by the float although the filter is quite clean
"""
FENCED = """```
the first line of what the pump's own program prints is as long as any other
and the second one follows it, in words that look like prose but are none at
all
```
"""
CODE = """def the_rate_of_the_pump(litres_per_minute: float, minutes_it_ran: float) -> float:
    return litres_per_minute * minutes_it_ran if minutes_it_ran == minutes_it_ran else 0.0
"""
ADDRESS = """Werkstatt für Pumpen und Filter GmbH
Lange Straße 12
12345 Musterstadt
"""
BREAKS = """The pump moves forty litres of water a minute, as long as the filter in  \\
front of it is clean. It is switched off by the float, and must never run  \\
dry.
"""
HEADINGS = """# The pump that stands in the cellar and moves the water of the whole house up
## and its filter
"""
DIALOGUE = """All:
Resolved. resolved.

First Citizen:
First, you know Caius Marcius is chief enemy to the people.
"""


@pytest.mark.parametrize(
    "text",
    [
        VERSES,
        FREE,
        TABLE,
        COLUMNS,
        CSV,
        LOG,
        ENTRIES,
        FENCED,
        CODE,
        ADDRESS,
        BREAKS,
        HEADINGS,
        DIALOGUE,
        "",
        "\n\n",
        "one line",
    ],
)
def test_what_sets_its_own_lines_keeps_them(text: str) -> None:
    assert flow.gaps(text) == () and _shown(text) == text


def test_prose_behind_fenced_code_flows_and_a_fence_that_is_never_closed_holds_to_the_end() -> None:
    assert _shown(FENCED + PARAGRAPH) == FENCED + " ".join(PARAGRAPH.split()) + "\n"
    assert flow.gaps("```\n" + PARAGRAPH) == ()
    assert flow.gaps("```\n~~~\n" + PARAGRAPH) == ()


WORDS = ["- ", "1. ", "\n", "\n\n", "  ", "\t", "a", "pump", "Water", "```", "#", "|", ",", ".", "-", "\u00ad", "<b>", "&amp;",
         "the filter in front of it is clean and the float hangs free of all the rest", "\r\n"]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), st.data())
def test_in_whatever_text_only_blanks_are_closed_and_every_cut_shows_the_same(text: str, data: st.DataObject) -> None:
    gaps = flow.gaps(text)
    assert all(start < end and text[start:end].isspace() and text[start:end].count("\n") == 1 for start, end in gaps)
    assert list(gaps) == sorted(gaps)
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3))), len(text)]
    pieces = "".join(flow.shown(text, start, end, gaps) for start, end in pairwise(cuts))
    assert pieces == flow.shown(text, 0, len(text), gaps)
    assert "".join(unescape(pieces).split()) == "".join(unescape(flow.shown(text, 0, len(text), ())).split())


def test_a_passage_is_marked_at_its_own_place_in_a_text_that_flows() -> None:
    cited = "It is switched off by the float, and must never run\ndry"
    start = PARAGRAPH.index(cited)
    html = answer.passage(PARAGRAPH, {"start": start, "end": start + len(cited)})
    assert '<mark class="as-passage" tabindex="-1">It is switched off by the float, and must never run dry</mark>: its' in html
    assert "filter in front of it is clean. <mark" in html
