"""Documents are cut, indexed and found again; the index follows the folder, and survives what may happen to it."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.apps.assistant.documents.plain import PARAGRAPH
from edgekit.apps.assistant.documents.text import Block, Text
from edgekit.apps.assistant.grounding.chunks import LONGEST, TARGET, chunks
from edgekit.apps.assistant.grounding.embedder import Embedder, ModelEmbedder
from edgekit.apps.assistant.grounding.grams import LONGEST as LONGEST_WORD
from edgekit.apps.assistant.grounding.grams import GramEmbedder, pieces
from edgekit.apps.assistant.grounding.index import bring_up_to_date
from edgekit.apps.assistant.grounding.search import SMALL, Search, fused, rarest
from edgekit.apps.assistant.grounding.store import Store
from edgekit.apps.assistant.grounding.words import sentences
from edgekit.apps.assistant.library import Library


def plain_text(text: str, headings: tuple[str, ...] = ()) -> Text:
    blocks = (Block(start=one.start(), end=one.end(), headings=headings) for one in PARAGRAPH.finditer(text))
    return Text(text=text, blocks=tuple(blocks))


@given(st.text(alphabet="ab .!?\n", max_size=400).map(lambda text: text * 12))
def test_chunks_cover_every_word_and_are_no_longer_than_they_may_be(text: str) -> None:
    document = plain_text(text)
    cut = list(chunks(document))
    assert all(0 <= one.start < one.end <= len(text) and one.end - one.start <= LONGEST for one in cut)
    covered = {at for one in cut for at in range(one.start, one.end)}
    assert all(at in covered for at, letter in enumerate(text) if not letter.isspace())


def test_short_paragraphs_of_a_section_share_a_chunk_and_sections_do_not() -> None:
    text = "one.\n\ntwo.\n\nthree."
    first, second, third = plain_text(text).blocks
    document = Text(text=text, blocks=(first, second, Block(start=third.start, end=third.end, headings=("H",))))
    assert [(text[one.start : one.end], one.headings) for one in chunks(document)] == [("one.\n\ntwo.", ()), ("three.", ("H",))]


def test_a_long_paragraph_is_cut_between_sentences_with_an_overlap() -> None:
    text = " ".join(f"This is sentence number {number} of many." for number in range(200))
    cut = list(chunks(plain_text(text)))
    assert all(text[one.start :].startswith("This") and text[one.end - 1] == "." for one in cut)
    assert all(after.start < before.end for before, after in pairwise(cut))
    assert all(one.end - one.start <= TARGET for one in cut)


def test_abbreviations_do_not_end_sentences() -> None:
    text = 'See Fig. 3, e.g. the pump of Dr. Smith. It costs 3.50 euros! "Really?" Yes.'
    assert [text[a:b] for a, b in sentences(text)] == [
        "See Fig. 3, e.g. the pump of Dr. Smith.", "It costs 3.50 euros!", '"Really?"', "Yes.",
    ]  # fmt: skip


def test_rankings_are_fused_by_reciprocal_rank() -> None:
    assert fused([[1, 2, 3], [3, 2]]) == [3, 2, 1]
    assert fused([[7], [8, 7]]) == [7, 8]
    assert fused([[], []]) == []


@contextmanager
def indexed(folder: Path, index: Path, embedder: Embedder | None = None) -> Iterator[tuple[Store, Search]]:
    chosen = embedder or GramEmbedder()
    store = Store(index)
    try:
        bring_up_to_date(store, folder, chosen)
        yield store, Search(store, chosen)
    finally:
        store.close()


QUESTIONS = [
    ("How much water does the pump move?", "pump.md"),
    ("when do I have to change a fliter", "pump.md"),
    ("When are roses prunned?", "garden/roses.txt"),
    ("What does the workshop cost per month?", "contract.html"),
    ("How long is the notice period?", "contract.html"),
    ("blackspott", "garden/roses.txt"),
]


@pytest.mark.parametrize(("question", "path"), QUESTIONS)
def test_the_right_document_comes_first_misspelt_or_not(documents: Path, tmp_path: Path, question: str, path: str) -> None:
    with indexed(documents, tmp_path / "index.sqlite") as (_, search):
        hits = search.find(question, 3)
    assert hits[0].passage.path == path


def test_a_passage_is_its_place_in_the_document(documents: Path, tmp_path: Path) -> None:
    with indexed(documents, tmp_path / "index.sqlite") as (store, search):
        for question, _ in QUESTIONS:
            for hit in search.find(question, 5):
                found = hit.passage
                text = store.text_of(found.path)
                assert text is not None
                assert text[found.start : found.end] == found.text


@pytest.mark.parametrize(
    "question", ["", "?", '"', 'a" OR "b', "NEAR(x, 2)", "col: x", "* ^ -", "the of and", "🙂", "x" * 10_000]
)
def test_no_question_is_an_expression(documents: Path, tmp_path: Path, question: str) -> None:
    with indexed(documents, tmp_path / "index.sqlite") as (_, search):
        search.find(question, 5)


def test_the_index_follows_the_folder(documents: Path, tmp_path: Path) -> None:
    store, embedder = Store(tmp_path / "index.sqlite"), GramEmbedder()
    first = bring_up_to_date(store, documents, embedder)
    assert (len(first.added), first.changed, first.removed, first.unchanged) == (4, (), (), 0)
    (documents / "pump.md").write_text("The pump was sold to a circus.")
    (documents / "contract.html").unlink()
    (documents / "new.txt").write_text("A new thing entirely.")
    os.utime(documents / "trap.md")
    second = bring_up_to_date(store, documents, embedder)
    assert (second.added, second.changed, second.removed) == (("new.txt",), ("pump.md",), ("contract.html",))
    assert second.unchanged == 2  # one of them under a new date: its content is what counts
    search = Search(store, embedder)
    assert search.find("circus", 1)[0].passage.path == "pump.md"
    assert "contract.html" not in [hit.passage.path for hit in search.find("rent of the workshop", 10)]
    store.close()


def test_a_search_sees_what_was_indexed_meanwhile(documents: Path, tmp_path: Path) -> None:
    with indexed(documents, tmp_path / "index.sqlite") as (store, search):
        search.find("zebra", 1)
        (documents / "zoo.txt").write_text("The zebra sleeps.")
        bring_up_to_date(store, documents, GramEmbedder())
        assert search.find("zebra", 1)[0].passage.path == "zoo.txt"


def test_a_refused_file_is_named_and_read_once_it_is_mended(documents: Path, tmp_path: Path) -> None:
    bad = documents / "bad.txt"
    bad.write_bytes(b"a\0b")
    store = Store(tmp_path / "index.sqlite")
    for _ in range(2):
        (refused,) = bring_up_to_date(store, documents, GramEmbedder()).refused
        assert (refused.path, "no text" in refused.reason) == ("bad.txt", True)
    bad.write_text("good now")
    done = bring_up_to_date(store, documents, GramEmbedder())
    assert (done.added, done.refused) == (("bad.txt",), ())
    store.close()


class Counting:
    """An embedder of random directions, which counts what it was given."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += len(texts)
        rows = np.array([np.random.default_rng(abs(hash(text)) % 2**32).normal(size=8) for text in texts], np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def test_another_embedder_means_reading_everything_again(documents: Path, tmp_path: Path) -> None:
    count = Counting()
    with indexed(documents, tmp_path / "index.sqlite"):
        pass
    model = ModelEmbedder(name="a model", embed=count)
    with indexed(documents, tmp_path / "index.sqlite", model) as (_, search):
        assert count.seen >= 4
        assert search.find("roses", 2)[0].passage.path == "garden/roses.txt"
        seen = count.seen
    with indexed(documents, tmp_path / "index.sqlite", model):
        assert count.seen == seen


def test_a_damaged_index_is_set_aside_and_made_again(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with indexed(documents, path):
        pass
    path.write_bytes(b"rubbish" * 1000)
    with indexed(documents, path) as (store, search):
        assert store.set_aside is not None and store.set_aside.exists()
        assert search.find("roses", 1)[0].passage.path == "garden/roses.txt"


def test_who_is_killed_while_indexing_goes_on_where_it_was(tmp_path: Path) -> None:
    folder, index = tmp_path / "many", tmp_path / "index.sqlite"
    folder.mkdir()
    shuffled = random.Random(5)
    words = [f"word{number}" for number in range(400)]
    for number in range(200):
        (folder / f"{number:03}.txt").write_text(" ".join(shuffled.choices(words, k=300)))
    code = (
        "import sys, pathlib\n"
        "from edgekit.apps.assistant.grounding.grams import GramEmbedder\n"
        "from edgekit.apps.assistant.grounding.index import bring_up_to_date\n"
        "from edgekit.apps.assistant.grounding.store import Store\n"
        "bring_up_to_date(Store(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]), GramEmbedder())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(index), str(folder)])
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until and count(index) < 10:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = Store(index)
    assert store.set_aside is None
    kept = {document.path: document.indexed_at for document in store.documents()}
    assert len(kept) >= 10
    done = bring_up_to_date(store, folder, GramEmbedder())
    assert (done.unchanged, len(done.added)) == (len(kept), 200 - len(kept))
    after = {document.path: document.indexed_at for document in store.documents()}
    assert kept.items() <= after.items()
    assert len(after) == 200
    store.close()


def count(index: Path) -> int:
    """Documents in an index that another process writes."""
    if not index.exists():
        return 0
    try:
        with closing(sqlite3.connect(index)) as connection:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.OperationalError:  # its tables are not made yet
        return 0


def test_two_words_that_follow_one_another_tell_more_than_the_same_words_apart(tmp_path: Path) -> None:
    folder = tmp_path / "bowls"
    folder.mkdir()
    (folder / "apart.txt").write_text("The bowl is wooden, and what it holds is super.")
    (folder / "together.txt").write_text("The Super Bowl is watched by whoever is not asleep.")
    with indexed(folder, tmp_path / "index.sqlite") as (_, search):
        assert search.find("super bowl", 1)[0].passage.path == "together.txt"


def test_an_index_without_sentences_finds_what_one_with_them_finds(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with indexed(documents, path) as (_, search):
        before = {question: search.find(question, 5) for question, _ in QUESTIONS}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM sentences")
        connection.commit()
    store = Store(path)
    search = Search(store, GramEmbedder())
    assert {question: search.find(question, 5) for question, _ in QUESTIONS} == before
    store.close()


def test_what_is_longer_than_any_word_is_compared_whole() -> None:
    assert pieces("word") == ("<wor", "word", "ord>")
    assert len(pieces("A" * LONGEST_WORD)) == LONGEST_WORD - 1
    assert pieces("A" * (LONGEST_WORD + 1)) == (f"<{'A' * (LONGEST_WORD + 1)}>",)


def test_what_is_dropped_leaves_no_sentences(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with indexed(documents, path) as (store, _):
        assert _rows(path, "sentences") == _rows(path, "chunks") > 0
        for document in store.documents():
            store.drop(document.path)
        assert _rows(path, "sentences") == 0


def _rows(index: Path, table: str) -> int:
    with closing(sqlite3.connect(index)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_with_vectors_of_no_words_a_large_store_is_searched_by_its_rare_words(tmp_path: Path) -> None:
    model = ModelEmbedder(name="a model", embed=Counting())
    folder = tmp_path / "many"
    folder.mkdir()
    text = "\n\n".join(f"# Part {number}\n\nThe water of pump {number} is warm." for number in range(SMALL + 10))
    (folder / "pumps.md").write_text(text + "\n\n# Last\n\nThe zeppelin needs no water.")
    with indexed(folder, tmp_path / "index.sqlite", model) as (store, search):
        assert store.count() > SMALL
        (found, *_) = search.matching("Does the zeppelin need water?", [])
        assert "zeppelin" in store.passages([found])[found].text


def test_of_a_large_store_the_rarest_words_say_what_is_weighed() -> None:
    assert rarest({"the": 900, "pump": 30, "seal": 5, "zeppelin": 0}, 40) == ["seal", "pump"]
    assert rarest({"pump": 30, "water": 20}, 10) == ["water"]
    assert rarest({"zeppelin": 0}, 10) == []


TEXTS = ["the pump moves water", "roses in winter", "water, water and a bowl", "the super bowl", "", "pump pump pump", "a rose"]


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=6), st.lists(st.booleans(), min_size=30, max_size=30)),
        max_size=5,
    )
)
def test_vectors_that_change_are_those_that_are_made_anew(steps: list[tuple[list[str], list[bool]]]) -> None:
    for embedder in (GramEmbedder(), ModelEmbedder(name="a model", embed=Counting())):
        held: list[bytes] = []
        vectors = embedder.vectors(held)
        for texts, keep in steps:
            kept, new = np.resize(np.array(keep), len(held)), embedder.encode(texts)
            held = [one for one, stays in zip(held, kept, strict=True) if stays] + new
            vectors = vectors.changed(kept, new)
            for question in ("water", "super bowl", "pump of a rose"):
                assert np.array_equal(vectors.scores(question), embedder.vectors(held).scores(question))


def test_a_question_while_documents_are_read_loads_only_what_is_new(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with indexed(documents, path) as (store, search):
        assert search.nearest("zebra", 1) == []
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE chunks SET vector=x''")  # what is in memory already is not read again
            connection.commit()
        (documents / "zoo.txt").write_text("The zebra sleeps.")
        (documents / "trap.md").unlink()
        bring_up_to_date(store, documents, GramEmbedder())
        assert search.find("zebra", 1)[0].passage.path == "zoo.txt"
        assert search.find("forty litres of water", 1)[0].passage.path == "pump.md"
        assert "trap.md" not in {hit.passage.path for hit in search.find("secret word xylophone", 10)}


def test_vectors_of_another_embedder_are_compared_with_nothing(documents: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.sqlite"
    with closing(Library(documents, index, GramEmbedder())) as library:
        library.update()
    with closing(Library(documents, index, ModelEmbedder(name="a model", embed=Counting()))) as library:
        assert library.find("What does the pump move?", 1)[0].passage.path == "pump.md"  # by its words, until it is read again
        library.update()
        assert library.find("What does the pump move?", 1)[0].passage.path == "pump.md"


def test_a_name_that_is_not_in_utf_8_stops_no_other_document(documents: Path, tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(bytes(documents) + b"/caf\xe9.txt")).write_text("from a stick")
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    with closing(Store(tmp_path / "index.sqlite")) as store:
        done = bring_up_to_date(store, documents, GramEmbedder())
    assert len(done.added) == 4 and [one.path for one in done.refused] == ["caf?.txt"]
