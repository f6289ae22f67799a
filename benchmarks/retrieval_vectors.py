"""An embedding model's vectors compared one by one, and searched through the index. Writes `vectors` into results/retrieval.json.

    python benchmarks/retrieval_vectors.py [CHUNKS...]

The chunks are those of retrieval.py: XQuAD's passages among others made of sentences. No embedding model comes with edgekit, so each
word is given a random direction of 384 numbers, and a text the sum of its words': texts that share words lie near one another, but
chunks of shuffled sentences are about nothing in particular, which is harder for an index than topics are. A model's own time for a
question, milliseconds to tens of them, comes on top of both ways. `search` is the vectors alone, `query` all of a question: words,
vectors and sentences. One thread.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from common import RESULTS, conditions
from numpy.typing import NDArray
from retrieval import DEFAULT, SHARED, chunks_around, fill, read

from edgekit.apps.assistant.grounding.embedder import ModelEmbedder
from edgekit.apps.assistant.grounding.search import CANDIDATES, Search
from edgekit.apps.assistant.grounding.store import Store
from edgekit.apps.assistant.grounding.vector_index import VectorIndex
from edgekit.apps.assistant.grounding.words import content_words
from edgekit.core.files import write_atomically
from edgekit.core.progress import silent

WIDTH = 384
SIZES = (10_000, 100_000)
QUESTIONS = 200
RECALLED = (1, 10, CANDIDATES)
"""How many of the nearest chunks are among those that the index finds: the first, ten, and as many as are fused."""


@cache
def direction(word: str) -> NDArray[np.float32]:
    """Random, and the same in every run."""
    return np.random.default_rng(crc32(word.encode())).normal(size=WIDTH).astype(np.float32)


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """The sum of the words' directions, of length 1."""
    rows = np.array([np.sum([direction(word) for word in content_words(text) or [""]], axis=0) for text in texts])
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


EMBEDDER = ModelEmbedder(name="random directions", embed=embed)


def main(argv: Sequence[str]) -> int:
    sizes = [int(one) for one in argv] or SIZES
    found: dict[str, Any] = {"conditions": conditions("edgekit", "usearch"), "width": WIDTH, "questions": QUESTIONS}
    for size in sizes:
        found[str(size)] = measured(size)
        print(size, json.dumps(found[str(size)], indent=2), flush=True)
    path = RESULTS / "retrieval.json"
    report = json.loads(path.read_text()) | {"vectors": found}
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
    return 0


def measured(size: int) -> dict[str, Any]:
    """Both ways among so many chunks."""
    every = [read(SHARED / name) for name in DEFAULT]
    asked = [one.text for one in every[0].questions][:: max(len(every[0].questions) // QUESTIONS, 1)][:QUESTIONS]
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "index.sqlite")) as store:
        fill(store, chunks_around(every, set(), random.Random(0), size), EMBEDDER)
        path = Path(folder) / "index.vectors"
        began = time.perf_counter()
        Search(store, EMBEDDER, VectorIndex(path, store, EMBEDDER, "", "approximate")).settle(silent, threading.Event())
        found: dict[str, Any] = {"made_s": round(time.perf_counter() - began, 1), "file_bytes": path.stat().st_size}
        index, exact = VectorIndex(path, store, EMBEDDER, "", "approximate"), Search(store, EMBEDDER)
        ways = {"exact": exact, "index": Search(store, EMBEDDER, index)}
        nearest = {}
        for name, search in ways.items():
            began = time.perf_counter()
            search.nearest("warm up", 1)
            found[name] = {"start_ms": round(1000 * (time.perf_counter() - began))}
            nearest[name], searching = _timed(partial(search.nearest, top=CANDIDATES), asked)
            search.find("warm up", 5)
            _, querying = _timed(partial(search.find, top=5), asked)
            found[name] |= _percentiles("search", searching) | _percentiles("query", querying)
        for top in RECALLED:
            shared = [len({*a[:top]} & {*b}) / top for a, b in zip(nearest["exact"], nearest["index"], strict=True)]
            found["index"][f"recall@{top}"] = round(float(np.mean(shared)), 4)
        return found


def _timed(ask: Callable[[str], Any], asked: Sequence[str]) -> tuple[list[Any], list[float]]:
    answers, times = [], []
    for text in asked:
        began = time.perf_counter()
        answers.append(ask(text))
        times.append(1000 * (time.perf_counter() - began))
    return answers, times


def _percentiles(name: str, times: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{share}_ms": round(float(np.percentile(times, share)), 2) for share in (50, 95)}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
