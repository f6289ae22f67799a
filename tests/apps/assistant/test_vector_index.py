"""Vectors of an embedding model: compared one by one, or through a graph on disk, which is never trusted more than the store."""

from __future__ import annotations

import logging
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.apps.assistant.documents.folder import Found
from edgekit.apps.assistant.documents.text import Block, Text
from edgekit.apps.assistant.grounding.chunks import Chunk
from edgekit.apps.assistant.grounding.embedder import ModelEmbedder
from edgekit.apps.assistant.grounding.near import Approximate, Exact
from edgekit.apps.assistant.grounding.search import Search
from edgekit.apps.assistant.grounding.store import Store
from edgekit.apps.assistant.grounding.vector_index import VectorIndex
from edgekit.apps.assistant.grounding.ways import VectorSearch
from edgekit.apps.assistant.library import Library
from edgekit.cli import main
from edgekit.core.errors import MissingDependency
from edgekit.core.progress import Event, silent

pytest.importorskip("usearch", reason="the index of vectors needs the extra vectors")

WIDTH = 32
TOPICS = 40


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Topic and number of a text, `topic 7 text 3`, as a row near the other texts of its topic."""
    rows = np.array([_direction(text) for text in texts], np.float32).reshape(len(texts), WIDTH)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _direction(text: str) -> NDArray[np.float64]:
    topic = text.partition(" text")[0]
    centre, own = (np.random.default_rng(crc32(name.encode())).normal(size=WIDTH) for name in (topic, text))
    found: NDArray[np.float64] = centre + 0.4 * own
    return found


EMBEDDER = ModelEmbedder(name="topics", embed=embed)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "index.sqlite")) as opened:
        opened.prepare("topics")
        yield opened


def put(store: Store, name: str, texts: Sequence[str], embedder: ModelEmbedder = EMBEDDER) -> None:
    """A document with one chunk per text."""
    whole, cut = "\n".join(texts), list[Chunk]()
    for text in texts:
        start = cut[-1].end + 1 if cut else 0
        cut.append(Chunk(start=start, end=start + len(text)))
    document = Text(text=whole, blocks=(Block(start=0, end=len(whole)),))
    store.put(Found(path=name, bytes=len(whole), modified_ns=0), "", document, cut, embedder.encode(texts))


def put_topics(store: Store, each: int) -> None:
    """A document for each topic."""
    for topic in range(TOPICS):
        put(store, f"{topic}.txt", [f"topic {topic} text {number}" for number in range(each)])


def index_of(store: Store, path: Path, way: VectorSearch = "approximate", maker: str = "topics", **more: int) -> VectorIndex:
    return VectorIndex(path, store, EMBEDDER, maker, way, **more)


def search_in(store: Store, path: Path, way: VectorSearch) -> Search:
    """With its index made, where there is to be one."""
    search = Search(store, EMBEDDER, index_of(store, path, way))
    search.settle(silent, threading.Event())
    return search


@pytest.fixture(params=["exact", "approximate"])
def opened(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Callable[[], Search]:
    """Both ways to search what is in the store."""
    return lambda: search_in(store, tmp_path / "index.vectors", request.param)


def texts(store: Store, ids: Sequence[int]) -> list[str]:
    passages = store.passages(ids)
    return [passages[one].text for one in ids]


def test_a_text_is_the_nearest_to_itself_and_its_topic_follows(store: Store, opened: Callable[[], Search]) -> None:
    put_topics(store, 5)
    search = opened()
    for asked in ("topic 3 text 2", "topic 17 text 0"):
        first, *rest = texts(store, search.nearest(asked, 5))
        assert first == asked
        assert {one.partition(" text")[0] for one in rest} == {asked.partition(" text")[0]}


def test_an_empty_store_has_nothing_near(opened: Callable[[], Search]) -> None:
    assert opened().nearest("topic 1 text 1", 5) == []


def test_what_came_is_found_and_what_went_is_not(store: Store, opened: Callable[[], Search]) -> None:
    put_topics(store, 5)
    search = opened()
    put(store, "new.txt", ["topic 3 text 2000"])
    assert texts(store, search.nearest("topic 3 text 2000", 1)) == ["topic 3 text 2000"]
    store.drop("3.txt")
    found = texts(store, search.nearest("topic 3 text 2", 30))
    assert len(found) == 30 and found[0] == "topic 3 text 2000"
    assert not any(one.startswith("topic 3 text") for one in found[1:])


def test_more_are_asked_for_than_there_are(store: Store, opened: Callable[[], Search]) -> None:
    put(store, "one.txt", ["topic 1 text 1", "topic 1 text 2"])
    assert sorted(texts(store, opened().nearest("topic 1 text 1", 100))) == ["topic 1 text 1", "topic 1 text 2"]


def test_threads_that_ask_at_once_are_answered_alike(store: Store, opened: Callable[[], Search]) -> None:
    put_topics(store, 5)
    search, asked = opened(), [f"topic {topic} text 1" for topic in range(TOPICS)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: search.nearest(text, 10), asked * 4))
    assert together == [search.nearest(text, 10) for text in asked] * 4


def test_the_graph_finds_what_comparing_finds(store: Store, tmp_path: Path) -> None:
    put_topics(store, 60)
    exact, graph = (search_in(store, tmp_path / "index.vectors", way) for way in ("exact", "approximate"))
    shares = []
    for topic in range(TOPICS):
        asked = f"topic {topic} text 1000"
        there, found = exact.nearest(asked, 50), graph.nearest(asked, 50)
        assert found[0] == there[0]
        shares.append(len({*there} & {*found}) / 50)
    assert np.mean(shares) > 0.97


def damaged(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "a bit":
        path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    elif how == "its last line":
        path.write_bytes(whole[:-40] + b"x" + whole[-39:])
    elif how == "its length":
        path.write_bytes(whole[:-25] + b"\xff" * 8 + whole[-17:])
    else:
        path.write_bytes(b"" if how == "nothing" else b"rubbish" * 100)


@pytest.mark.parametrize("how", ["half", "a bit", "its last line", "its length", "nothing", "rubbish"])
def test_a_damaged_index_of_vectors_is_made_again(store: Store, tmp_path: Path, how: str) -> None:
    put_topics(store, 5)
    path = tmp_path / "index.vectors"
    before = search_in(store, path, "approximate").nearest("topic 3 text 2", 20)
    damaged(path, how)
    assert isinstance(index_of(store, path).begun(), Exact) and not path.exists()
    assert search_in(store, path, "approximate").nearest("topic 3 text 2", 20) == before
    assert isinstance(index_of(store, path).begun(), Approximate)


def test_an_index_of_another_store_or_embedder_is_not_used(store: Store, tmp_path: Path) -> None:
    put_topics(store, 2)
    path = tmp_path / "index.vectors"
    search_in(store, path, "approximate")
    whole = path.read_bytes()
    assert isinstance(index_of(store, path, maker="another model").begun(), Exact)
    path.write_bytes(whole)
    with closing(Store(tmp_path / "other.sqlite")) as other:  # whose chunks have the same ids
        put_topics(other, 2)
        assert isinstance(index_of(other, path).begun(), Exact)
    path.write_bytes(whole)
    assert isinstance(index_of(store, path).begun(), Approximate)


def test_the_index_is_kept_readable_by_its_owner_alone_and_leaves_nothing_beside(store: Store, tmp_path: Path) -> None:
    put_topics(store, 2)
    search_in(store, tmp_path / "index.vectors", "approximate")
    assert (tmp_path / "index.vectors").stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir() if "vectors" in one.name] == ["index.vectors"]


def test_by_itself_a_graph_is_made_where_comparing_takes_too_long_and_left_where_it_does_not(
    store: Store, tmp_path: Path
) -> None:
    path, stop = tmp_path / "index.vectors", threading.Event()
    search = Search(store, EMBEDDER, index_of(store, path, "auto", exact_numbers=100 * WIDTH))
    put(store, "few.txt", [f"topic 1 text {number}" for number in range(100)])
    search.settle(silent, stop)
    assert not path.exists()
    put(store, "more.txt", ["topic 2 text 0"])
    search.settle(silent, stop)
    assert path.exists()
    store.drop("few.txt")
    search.settle(silent, stop)
    assert not path.exists()
    assert texts(store, search.nearest("topic 2 text 0", 3)) == ["topic 2 text 0"]


def test_a_graph_is_extended_by_what_came_and_made_anew_when_much_went(store: Store, tmp_path: Path) -> None:
    path, stop, seen = tmp_path / "index.vectors", threading.Event(), list[Event]()
    search = Search(store, EMBEDDER, index_of(store, path, exact_numbers=100 * WIDTH))
    put(store, "a.txt", [f"topic 1 text {number}" for number in range(100)])
    search.settle(seen.append, stop)
    assert seen[-1] == Event(stage="indexing vectors", done=100, total=100)
    put(store, "b.txt", [f"topic 2 text {number}" for number in range(25)])
    search.settle(seen.append, stop)
    assert seen[-1].total == 100  # a few are compared beside the graph
    put(store, "c.txt", ["topic 3 text 0"])
    search.settle(seen.append, stop)
    assert seen[-1].total == 26  # those that came, alone
    store.drop("a.txt")
    search.settle(seen.append, stop)
    assert seen[-1].total == 26  # those that are left
    assert len(_graph(index_of(store, path)).ids) == 26
    assert texts(store, search.nearest("topic 3 text 0", 1)) == ["topic 3 text 0"]


def _graph(index: VectorIndex) -> Approximate:
    begun = index.begun()
    assert isinstance(begun, Approximate)
    return begun


def test_who_stops_while_the_index_is_made_leaves_none(store: Store, tmp_path: Path) -> None:
    put_topics(store, 2)
    stop = threading.Event()
    stop.set()
    search = Search(store, EMBEDDER, index_of(store, tmp_path / "index.vectors"))
    search.settle(silent, stop)
    assert not [one.name for one in tmp_path.iterdir() if "vectors" in one.name]
    assert texts(store, search.nearest("topic 3 text 1", 1)) == ["topic 3 text 1"]


def test_without_room_for_an_index_every_vector_is_compared(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_topics(store, 30)
    search = Search(store, EMBEDDER, index_of(store, tmp_path / "index.vectors"))
    search.nearest("topic 3 text 1", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        search.settle(silent, threading.Event())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "vectors are searched one by one" in caplog.text
    assert not [one.name for one in tmp_path.iterdir() if "vectors" in one.name]
    assert texts(store, search.nearest("topic 3 text 1", 1)) == ["topic 3 text 1"]


def test_without_the_package_every_vector_is_compared_and_that_is_said_once(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "usearch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "usearch", None)
    put_topics(store, 3)
    caplog.set_level(logging.INFO)
    search = Search(store, EMBEDDER, index_of(store, tmp_path / "index.vectors", "auto", exact_numbers=WIDTH))
    for _ in range(2):
        search.settle(silent, threading.Event())
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == '120 chunks are compared one by one: usearch is not installed (pip install "edgekit[vectors]")'
    assert texts(store, search.nearest("topic 3 text 1", 1)) == ["topic 3 text 1"]
    with pytest.raises(MissingDependency, match="usearch is not installed"):
        index_of(store, tmp_path / "index.vectors", "approximate")


def test_a_library_keeps_its_index_from_one_start_to_the_next(tmp_path: Path) -> None:
    folder, index = tmp_path / "documents", tmp_path / "index.sqlite"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.txt").write_text(f"topic {number} text 0")
    made = []
    for _ in range(2):
        with closing(Library(folder, index, EMBEDDER, "approximate")) as library:
            library.update()
            assert library.find("topic 7 text 0", 1)[0].passage.path == "7.txt"
        made.append((tmp_path / "index.vectors").stat().st_mtime_ns)
    assert made[0] == made[1]
    (folder / "7.txt").unlink()
    with closing(Library(folder, index, EMBEDDER, "approximate")) as library:
        library.update()
        assert "7.txt" not in {hit.passage.path for hit in library.find("topic 7 text 0", 30)}


def test_an_index_of_vectors_needs_a_model_that_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "assistant", "--documents", str(tmp_path), "--ask", "x", "--vector-search", "approximate"]
    assert main(asked) == 2
    assert "--vector-search approximate needs --embedding" in capsys.readouterr().err
