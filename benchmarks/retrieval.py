"""How often the right passage is found, how fast, and how much memory the idle server needs. Writes results/retrieval.json.

    python benchmarks/retrieval.py [FILE.json...] [--even | --odd] [--skip-speed] [--skip-server]

A FILE is in the form of SQuAD (also XQuAD) or of PubMedQA; without one, those in ../shared/data/text are taken. Each passage is a
file of a folder, which is read, cut and indexed as a user's is. `--even` and `--odd` take the questions of every other article: the
settings in `grounding/` were chosen on XQuAD's even articles and on PubMedQA, after variants had been tried on all of both: neither is
unseen. Tried were pieces of 3, 4 and 5 letters and all together, pairs of words, weights of these from 1 to 4, BM25's k1 from 0.8 to
2 and b from 0.2 to 0.75, from 5 to 100 passages read sentence by sentence, two and three sentences at once, whole passages, signs of
the kind of answer (figures, names), and rankings that count one to three times.

What is asked among many chunks: the passages of a file lie among chunks that are made, in random order, of the sentences of the other
articles and files, so that no other chunk holds the answer to a question that is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, conditions, write

from edgekit.apps.assistant.answers.sources import FLOOR
from edgekit.apps.assistant.documents.folder import Found
from edgekit.apps.assistant.documents.text import Block, Text
from edgekit.apps.assistant.grounding.chunks import Chunk
from edgekit.apps.assistant.grounding.embedder import Embedder
from edgekit.apps.assistant.grounding.grams import GramEmbedder
from edgekit.apps.assistant.grounding.index import bring_up_to_date
from edgekit.apps.assistant.grounding.search import Search, expression
from edgekit.apps.assistant.grounding.store import Store

SHARED = Path(__file__).resolve().parent.parent.parent / "shared/data/text"
DEFAULT = ("xquad.en.json", "pubmedqa_dev500.json")
TOP = (1, 5)
CHUNKS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, the number of the passage that answers it, and of the article this stands in."""

    text: str
    passage: int
    article: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Passages and questions."""

    name: str
    passages: tuple[str, ...]
    questions: tuple[Question, ...]


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    files = args.files or [SHARED / name for name in DEFAULT]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        print(f"not here: {', '.join(missing)}", file=sys.stderr)
        return 1
    every = [read(path) for path in files]
    parity = 0 if args.even else 1 if args.odd else None
    report: dict[str, Any] = {"conditions": conditions("edgekit"), "recall": {}, "floor": FLOOR}
    for data in every:
        others = [question.text for other in every if other is not data for question in other.questions]
        report["recall"][data.name] = found = recalls(data, parity, others[:300])
        print(f"\n{data.name}: {len(data.passages)} passages, {found['questions']} questions")
        print(table(found))
    if not args.skip_speed:
        report["among_many"] = among_many(every)
        print(f"\nat {CHUNKS} chunks: {report['among_many']}")
    if not args.skip_server:
        report["idle_server_rss_bytes"] = idle_rss()
        print(f"\nidle server without a model: {report['idle_server_rss_bytes'] / 1e6:.1f} MB RSS (at most 120)")
    if not args.files and parity is None:
        before = json.loads((RESULTS / "retrieval.json").read_text())
        write("retrieval", report | {name: before[name] for name in ("vectors",) if name in before})  # of retrieval_vectors.py
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.json")
    half = parser.add_mutually_exclusive_group()
    half.add_argument("--even", action="store_true")
    half.add_argument("--odd", action="store_true")
    parser.add_argument("--skip-speed", action="store_true")
    parser.add_argument("--skip-server", action="store_true")
    return parser.parse_args(argv)


def read(path: Path) -> Data:
    """The data set in a file, whichever of the two forms it has."""
    given = json.loads(path.read_text("utf-8"))
    return _squad(path.stem, given["data"]) if "data" in given else _pubmedqa(path.stem, given)


def _squad(name: str, articles: Iterable[Any]) -> Data:
    passages: list[str] = []
    questions: list[Question] = []
    for number, article in enumerate(articles):
        for paragraph in article["paragraphs"]:
            asked = (one["question"] for one in paragraph["qas"])
            questions += [Question(text=text, passage=len(passages), article=number) for text in asked]
            passages.append(paragraph["context"])
    return Data(name=name, passages=tuple(passages), questions=tuple(questions))


def _pubmedqa(name: str, entries: dict[str, Any]) -> Data:
    passages = tuple("\n".join(entry["CONTEXTS"]) for entry in entries.values())
    questions = (
        Question(text=entry["QUESTION"], passage=number, article=number) for number, entry in enumerate(entries.values())
    )
    return Data(name=name, passages=passages, questions=tuple(questions))


def recalls(data: Data, parity: int | None, foreign: Sequence[str]) -> dict[str, Any]:
    """Recall of words alone, of vectors alone and of both, and what the floor lets through."""
    questions = [one for one in data.questions if parity is None or one.article % 2 == parity]
    with tempfile.TemporaryDirectory() as folder, closing(_indexed(Path(folder), data.passages)) as store:
        search = Search(store, GramEmbedder())
        methods: dict[str, Callable[[str], list[int]]] = {
            "FTS5, every word": lambda text: store.matching(_every_word(text), 20),
            "FTS5, content words": lambda text: store.matching(expression(text), 20),
            "words, pairs and pieces": lambda text: search.nearest(text, 20),
        }
        found: dict[str, Any] = {"questions": len(questions)}
        for name, method in methods.items():
            found[name] = _recall(questions, [_numbers(store, method(one.text)) for one in questions])
        hits = [search.find(one.text, 10) for one in questions]
        found["edgekit"] = _recall(questions, [[int(Path(hit.passage.path).stem) for hit in row] for row in hits])
        best = [max((hit.score for hit in row), default=0.0) for row in hits]
        found["own questions below the floor"] = round(float(np.mean([score < FLOOR for score in best])), 4)
        if foreign:
            scores = [max((hit.score for hit in search.find(text, 5)), default=0.0) for text in foreign]
            found["foreign questions below the floor"] = round(float(np.mean([score < FLOOR for score in scores])), 4)
    return found


def _indexed(folder: Path, passages: Sequence[str]) -> Store:
    documents = folder / "documents"
    documents.mkdir()
    for number, passage in enumerate(passages):
        (documents / f"{number:05}.txt").write_text(passage, "utf-8")
    store = Store(folder / "index.sqlite")
    bring_up_to_date(store, documents, GramEmbedder())
    return store


def _every_word(text: str) -> str:
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(re.findall(r"\w+", text.lower())))


def _numbers(store: Store, chunks: Sequence[int]) -> list[int]:
    passages = store.passages(chunks)
    return [int(Path(passages[chunk].path).stem) for chunk in chunks]


def _recall(questions: Sequence[Question], rankings: Sequence[Sequence[int]]) -> dict[str, float]:
    """The share of questions whose passage is among the first documents; chunks of one document count once."""
    found = {}
    for top in TOP:
        hits = [one.passage in list(dict.fromkeys(row))[:top] for one, row in zip(questions, rankings, strict=True)]
        found[f"recall@{top}"] = round(float(np.mean(hits)), 4)
    return found


def table(found: dict[str, Any]) -> str:
    rows = [
        f"  {name:<24}" + "  ".join(f"{key} {value:.4f}" for key, value in row.items())
        for name, row in found.items()
        if isinstance(row, dict)
    ]
    rows += [f"  {name}: {value:.1%}" for name, value in found.items() if "floor" in name]
    return "\n".join(rows)


def among_many(every: Sequence[Data]) -> dict[str, float]:
    """Recall, milliseconds and CPU time per question of the first file, among CHUNKS chunks; its even articles, then its odd ones."""
    found = [_among_many(every, parity) for parity in (0, 1)]
    ranks, wall, cpu = (np.concatenate(part) for part in zip(*found, strict=True))
    named = {"p50_ms": (wall, 50), "p95_ms": (wall, 95), "cpu_p50_ms": (cpu, 50), "cpu_p95_ms": (cpu, 95)}
    recall = {f"recall@{top}": round(float(np.mean(ranks < top)), 4) for top in TOP}
    return recall | {name: round(float(np.percentile(values, share)), 2) for name, (values, share) in named.items()}


def _among_many(every: Sequence[Data], parity: int) -> tuple[list[int], list[float], list[float]]:
    """Of each question of the first file's articles of that parity: the place of its passage, milliseconds, and of CPU time."""
    asked = [one for one in every[0].questions if one.article % 2 == parity]
    ranks, wall, cpu = list[int](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "index.sqlite")) as store:
        fill(store, chunks_around(every, {one.passage for one in asked}, random.Random(parity), CHUNKS), GramEmbedder())
        search = Search(store, GramEmbedder())
        search.find("warm up", 5)
        for question in asked:
            began, used = time.perf_counter(), time.process_time()
            hits = search.find(question.text, max(TOP))
            wall.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - used))
            texts = [hit.passage.text for hit in hits]
            passage = every[0].passages[question.passage]
            ranks.append(texts.index(passage) if passage in texts else len(texts) + max(TOP))
    return ranks, wall, cpu


def chunks_around(every: Sequence[Data], asked: Set[int], chance: random.Random, count: int) -> list[str]:
    """The first file's passages, and chunks made of the sentences of whatever is not asked about; `count` together."""
    first, *others = every
    rest = [passage for number, passage in enumerate(first.passages) if number not in asked]
    foreign = [*rest, *(passage for other in others for passage in other.passages)]
    sentences = [part for passage in foreign for part in re.split(r"(?<=[.!?]) ", passage)]
    made = [" ".join(chance.choices(sentences, k=7)) for _ in range(count - len(first.passages))]
    return [*first.passages, *made]


def fill(store: Store, texts: Sequence[str], embedder: Embedder) -> None:
    """A hundred chunks in each document."""
    for number, at in enumerate(range(0, len(texts), 100)):
        _put(store, number, texts[at : at + 100], embedder)
    store.optimise()


def _put(store: Store, number: int, texts: Sequence[str], embedder: Embedder) -> None:
    """A document with one chunk per text."""
    whole, cut, at = "\n\n".join(texts), [], 0
    for text in texts:
        cut.append(Chunk(start=at, end=at + len(text)))
        at += len(text) + 2
    document = Text(text=whole, blocks=(Block(start=0, end=len(whole)),))
    found = Found(path=f"{number}.txt", bytes=len(whole), modified_ns=0)
    store.put(found, "", document, cut, embedder.encode(texts))


def idle_rss() -> int:
    """Resident bytes of the server with documents and no model, after it has answered a request."""
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents"
        documents.mkdir()
        (documents / "a.txt").write_text("The pump moves forty litres per minute.")
        argv = ["-m", "edgekit", "run", "assistant", "--documents", str(documents), "--port", "0"]
        argv += ["--data", f"{folder}/data", "--state", f"{folder}/state"]
        with subprocess.Popen([sys.executable, *argv], stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            url = next(found[1] for line in server.stderr if (found := re.search(r"(http://\S+)", line)))
            urllib.request.urlopen(f"{url}/health").read()
            status = Path(f"/proc/{server.pid}/status").read_text()
            server.terminate()
            server.stderr.read()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
