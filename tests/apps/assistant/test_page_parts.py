"""What the pages are made of, without a browser: answers as HTML, names of files, charts, the log's switches, a second try."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.apps.assistant.analytics import Log, Query
from edgekit.apps.assistant.assistant import Answered, Assistant
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.engine import Engine
from edgekit.apps.assistant.generation import Writer
from edgekit.apps.assistant.pages import answer
from edgekit.apps.assistant.pages.charts import CHARTS, STEPS, described, is_empty, options
from edgekit.apps.assistant.pages.documents import safe_name, why
from edgekit.core.errors import InputError, NotFound
from edgekit.runtimes.language.parrot import ParrotSession
from edgekit.runtimes.text import DEFAULTS

CITED = {"n": 2, "path": "pump.pdf", "page": 4, "headings": ["Wiring", "Power"], "start": 3, "end": 8, "text": "moves"}


def test_an_answer_is_escaped_and_only_numbers_with_a_source_become_buttons() -> None:
    html = answer.said("<b>It</b> moves [2], not [7]. **Really** `x<y`", {"citations": [CITED]})
    assert "&lt;b&gt;It&lt;/b&gt;" in html and 'data-source="2"' in html and "[7]" in html
    assert "<b>Really</b>" in html and "<code>x&lt;y</code>" in html


def test_code_keeps_its_lines_and_nothing_in_it_is_a_citation() -> None:
    html = answer.said("See:\n```python\na[2] = '<'\n```\nDone.", {"citations": [CITED]})
    assert "<pre>a[2] = &#x27;&lt;&#x27;\n</pre>" in html and "data-source" not in html


def test_sentences_that_their_passages_do_not_support_are_marked() -> None:
    html = answer.said("It moves [2]. It flies & sings.", {"citations": [CITED], "unsupported": ["It flies & sings."]})
    assert '<mark class="as-unsupported"' in html and "It flies &amp; sings.</mark>" in html


UNSUPPORTED = '<mark class="as-unsupported" title="its passage does not say so">'


@pytest.mark.parametrize(
    "word", ["mark", "class", "as-unsupported", "title", "its passage does not say so", "div", "b", "code", "1"]
)
def test_an_unsupported_sentence_may_be_a_word_of_the_markup_itself(word: str) -> None:
    html = answer.said(
        f"It moves [2]. {word}. so. {word}.", {"citations": [CITED], "unsupported": [f"{word}.", "so.", f"{word}."]}
    )
    assert html.count(f"{UNSUPPORTED}{word}.</mark>") == 2 and html.count("<mark") == 3
    assert shown(html) == f"It moves 2. {word}. so. {word}."


def test_a_sentence_that_bold_words_code_and_numbers_stand_in_is_marked_around_them() -> None:
    said = "It **never** runs `a<b` [2]. Fine."
    html = answer.said(said, {"citations": [CITED], "unsupported": ["It **never** runs `a<b` [2]."]})
    assert f"{UNSUPPORTED}It </mark><b>{UNSUPPORTED}never</mark></b>" in html and html.endswith(" Fine.</div>")
    assert f"<code>{UNSUPPORTED}a&lt;b</mark></code>" in html and 'data-source="2"' in html


def test_a_sentence_that_ends_within_bold_words_leaves_no_element_open() -> None:
    html = answer.said("**One. Two.** Three.", {"unsupported": ["Two.** Three."]})
    assert html == f'<div class="as-prose"><b>One. {UNSUPPORTED}Two.</mark></b>{UNSUPPORTED} Three.</mark></div>'


PIECES = ["<", ">", "&", '"', "'", "<mark>", "</mark>", "</div>", "<img src=x onerror=alert(1)>", "`", "**", "[2]", "[7]", "```\n",
          "mark", "class", "&lt;", "&amp;", "javascript:", ".", " ", "\n", "\0", "data-source", "\u202e"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30), st.data())
def test_whatever_is_said_is_text_in_elements_that_are_all_closed(pieces: list[str], data: st.DataObject) -> None:
    """Of any sentences that are marked, in any text: an answer holds the elements below and nothing that was said becomes one."""
    said = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=8)))
    html = answer.said(said, {"citations": [CITED], "unsupported": [said[a:b] for a, b in pairwise(cuts)]})
    read = Elements.of(html)
    assert read.open == [] and read.seen <= {"div", "pre", "b", "code", "mark", "button"}
    assert shown(html) == shown(answer.said(said, {"citations": [CITED]}))


class Elements(HTMLParser):
    """The elements of a page, whether each is closed in its order, and the text in them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    @classmethod
    def of(cls, html: str) -> Elements:
        one = cls()
        one.feed(html)
        one.close()
        return one

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= {"class", "title", "type", "data-source", "aria-label"}
        self.open.append(tag)
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(html: str) -> str:
    return Elements.of(html).text


def test_labels_say_whose_answer_it_is_and_how_it_ended() -> None:
    fallback = {"model": "big", "url": "http://other/v1", "documents_sent": False}
    assert "Fallback: big at other, without your documents" in answer.badges({"fallback": fallback})
    named = answer.badges({"fallback": {**fallback, "url": "http://me:secret@other:8080/v1", "documents_sent": True}})
    assert "big at other:8080, with passages of your documents" in named and "secret" not in named
    assert "no model spoke" in answer.badges({"mode": "extractive"})
    assert "Stopped" in answer.badges({"reason": "cancelled"}) and not answer.badges({"reason": "stop", "mode": "generated"})


def test_the_line_below_an_answer_says_speed_first_token_and_what_was_known() -> None:
    timings = {"predicted_per_second": 12.34, "predicted_n": 5, "ttft_ms": 1500.0, "cache_n": 90, "prompt_n": 10}
    said = answer.speed({"timings": timings, "model": "m"})
    assert said == "12.3 tokens/s · first token after 1.5 s · 90 of 100 prompt tokens known · m"


def test_a_source_says_its_place_and_opens_at_its_passage() -> None:
    assert "pump.pdf, page 4, Wiring › Power" in answer.sources({"citations": [CITED, CITED]})
    assert answer.sources({"citations": [CITED, CITED]}).count("<li>") == 1
    html = answer.passage("it <moves> on", {"start": 3, "end": 10})
    assert ">&lt;moves&gt;</mark> on" in html


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\temp\\Über uns.md", "Über uns.md"),
        ("a\u202etxt\n.pdf", "a_txt_.pdf"),
        ("<script>.html", "_script_.html"),
    ],
)
def test_names_of_uploads_lose_folders_and_what_could_be_stumbled_over(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize("given", ["", "..", ".txt", "noending", "/"])
def test_names_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(InputError, match="no name for a document"):
        safe_name(given)


def test_charts_draw_what_was_measured_and_say_it_in_words() -> None:
    by_title = {chart.title: chart for chart in CHARTS}
    rows = [{"at": 10.0, "queries": 2, "prompt_n": 0, "cache_n": 0, "predicted_n": 0, "bandwidth_share": 0.25}]
    share = by_title["Share of the memory bandwidth limit, %"]
    assert options(share, rows, 0, 60)["series"][0]["data"] == [(10_000, 25.0)]
    assert described(share, rows).endswith("reached 25.0")
    assert described(share, [*rows, {"at": 20.0, "bandwidth_share": 0.5}]).endswith("reached 25.0 to 50.0")
    assert is_empty(by_title["Tokens"], rows) and is_empty(by_title["Temperature, °C"], rows)
    assert not is_empty(by_title["Queries"], rows)


def test_bars_stand_in_every_step_of_the_time_they_are_over() -> None:
    (queries,) = (chart for chart in CHARTS if chart.title == "Queries")
    since, until = 86_400 * 20_000.3, 86_400 * 20_001.3
    step = (until - since) / STEPS
    at = int((since + 20_000) / step) * step  # as the log has it: where the step begins
    shown = options(queries, [{"at": at, "queries": 3}], since, until)
    points = shown["series"][0]["data"]
    assert [value for _, value in points if value] == [3] and len(points) in (STEPS, STEPS + 1)
    (middle,) = [time for time, value in points if value]
    assert middle / 1000 == pytest.approx(at + step / 2)
    assert (shown["xAxis"]["min"], shown["xAxis"]["max"]) == (since * 1000, until * 1000)


def test_a_single_measurement_is_a_dot_since_it_makes_no_line() -> None:
    (memory,) = (chart for chart in CHARTS if chart.title == "Memory, MB")
    row = {"rss_bytes": 97e6, "available_bytes": 4e9}
    shown = {n: options(memory, [{"at": float(at), **row} for at in range(n)], 0, 60)["series"] for n in (1, 2)}
    assert [line["showSymbol"] for line in (*shown[1], *shown[2])] == [True, True, False, False]


def test_the_reason_beside_a_name_does_not_say_it_again() -> None:
    assert why("a/broken.txt", "'broken.txt' is no text: it holds zero bytes") == "Is no text: it holds zero bytes"
    assert why("out.txt", "it is a link to a file outside the folder") == "It is a link to a file outside the folder"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(Log(tmp_path / "log.sqlite")) as one:
        yield one


def test_a_log_that_is_off_keeps_nothing_and_stays_off(log: Log, tmp_path: Path) -> None:
    log.turn(False)
    log.add(Query(at=time.time(), kind="chat"))
    assert log.can_be_on and not log.is_on and log.summary()["queries"] == 0
    with closing(Log(tmp_path / "log.sqlite")) as again:
        assert not again.is_on
        again.turn(True)
        again.add(Query(at=time.time(), kind="chat"))
        assert again.summary()["queries"] == 1


def test_how_long_it_is_kept_is_remembered_and_older_ones_go(log: Log, tmp_path: Path) -> None:
    log.add(Query(at=time.time() - 10 * 86_400, kind="chat"))
    log.keep_for(7)
    assert log.summary()["queries"] == 0
    with closing(Log(tmp_path / "log.sqlite")) as again, closing(Log(tmp_path / "log.sqlite", keep_days=0)) as for_ever:
        assert again.keep_days == 7 and for_ever.keep_days == 0


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    engine = Engine("", DEFAULTS, lambda path, chosen: ParrotSession(), name="parrot")
    with closing(Conversations(tmp_path / "c.sqlite")) as kept, closing(Assistant(Writer(engine))) as assistant:
        yield Chat(assistant, kept)


def test_a_second_try_takes_the_place_of_the_first(chat: Chat, tmp_path: Path) -> None:
    name = chat.conversations.new("me").id
    for question in ("one", "two"):
        list(chat.turn("me", name, question))
    *_, last = chat.retry("me", name)
    assert isinstance(last, Answered) and last.text == "two"
    assert [one.content for one in chat.conversations.messages(name)] == ["one", "one", "two", "two"]
    chat.conversations.close()
    with closing(Conversations(tmp_path / "c.sqlite")) as again:  # read back, with what the journal still held
        assert [one.content for one in again.messages(name)] == ["one", "one", "two", "two"]


def test_where_nothing_was_asked_nothing_is_asked_again(chat: Chat) -> None:
    name = chat.conversations.new("me").id
    with pytest.raises(NotFound, match="nothing was asked"):
        list(chat.retry("me", name))
    with pytest.raises(NotFound):
        list(chat.retry("somebody else", name))
