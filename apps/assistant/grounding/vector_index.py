"""Whether a store's vectors are searched one by one or through a graph, and keeping the graph in step with the store."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from edgekit.apps.assistant.grounding.embedder import Dense, ModelEmbedder, matrix
from edgekit.apps.assistant.grounding.graph import Batch, Graph, Ids, Origin, ensure_package, opened, write
from edgekit.apps.assistant.grounding.near import Approximate, Exact, Near, none_yet
from edgekit.apps.assistant.grounding.store import Store
from edgekit.apps.assistant.grounding.ways import VectorSearch
from edgekit.apps.assistant.machine import available_bytes
from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.core.progress import Event, Progress

log = logging.getLogger(__name__)
EXACT_NUMBERS = 15_000_000
"""Numbers that are multiplied for one question before a graph pays: 40,000 chunks of 384.

Comparing 10,000 such chunks took 3.3 ms (p95) on one core of an AMD EPYC, and 100,000 took 25 ms, where a query is to take 10.
"""
FRESH = 0.25
"""The share of these that chunks may have which came after the graph, before they are taken into it."""
GONE = 0.25
"""The share of the graph's chunks that went, from which it is made anew."""
BATCH = 1024
LINK_BYTES = 256
"""Of each vector's links, beside its numbers of two bytes."""


class VectorIndex:
    """The graph beside a store. `settled` may take minutes, in any thread; the others are for one thread at a time."""

    def __init__(
        self,
        path: Path,
        store: Store,
        embedder: ModelEmbedder,
        maker: str,
        way: VectorSearch = "auto",
        *,
        exact_numbers: int = EXACT_NUMBERS,
    ) -> None:
        """Raises `MissingDependency` where the graph was asked for and cannot be."""
        self._path, self._store, self._embedder, self._way = path, store, embedder, way
        self._exact_numbers, self._fresh_numbers = exact_numbers, int(exact_numbers * FRESH)
        self._origin = Origin(store=store.identity(), maker=maker)
        self._told = False
        if way == "approximate":
            ensure_package()

    def begun(self) -> Near:
        """What is known before the store is looked at: the graph's chunks that are there still, or none."""
        graph = self._opened()
        if graph is None:
            return none_yet(self._embedder)
        alive = np.isin(graph.ids, self._store.ids(), assume_unique=True)
        fresh = Dense(np.zeros((0, graph.width), np.float32), self._embedder)
        return Approximate(graph, alive, np.zeros(0, np.int64), fresh, self._embedder)

    def settled(self, near: Near, progress: Progress, stop: threading.Event) -> Near | None:
        """What to search instead of `near`, which the store has come to; None where it is right as it is. Never raises for the graph."""
        if isinstance(near, Approximate) and self._is_too_small(near):
            self._remove()
            return none_yet(self._embedder)
        if not self._is_due(near) or not self._is_possible(near):
            return None
        return self._made(near, progress, stop)

    def _made(self, near: Near, progress: Progress, stop: threading.Event) -> Near | None:
        before = near.graph if isinstance(near, Approximate) and not _many_gone(near) else None
        try:
            write(self._path, self._origin, _width(near), self._batches(near, before, progress, stop), before, _threads())
        except _Stopped:
            return None
        except EdgekitError as exc:
            log.warning("vectors are searched one by one: %s", exc.message)
            return None
        return self.begun()

    def _opened(self) -> Graph | None:
        """The graph on disk, if it is of use. One that is damaged, or of something else, is removed: it is made again."""
        if not self._path.exists():
            return None
        try:
            if self._way == "exact":
                raise InputError(f"{self._path.name!r} is not wanted")
            return opened(self._path, self._origin)
        except MissingDependency as exc:
            log.info("vectors are searched one by one: %s", exc.message)
        except (InputError, OSError, RuntimeError) as exc:
            log.info("%s: it is made again where it pays", exc)
            self._remove()
        return None

    def _remove(self) -> None:
        with suppress(OSError):  # where nothing can be removed, it is refused again at the next start
            self._path.unlink(missing_ok=True)

    def _is_due(self, near: Near) -> bool:
        if self._way == "exact":
            return False
        if isinstance(near, Approximate):
            return near.fresh.numbers > self._fresh_numbers or _many_gone(near)
        return _numbers(near) > (0 if self._way == "approximate" else self._exact_numbers)

    def _is_too_small(self, near: Approximate) -> bool:
        return self._way == "auto" and 2 * _numbers(near) < self._exact_numbers

    def _is_possible(self, near: Near) -> bool:
        """Whether the package is here and there is memory to make the graph in; said once where not."""
        reason = ""
        try:
            ensure_package()
        except MissingDependency as exc:
            reason = f"{exc.message} ({exc.hint})"
        wanted, free = len(near.ids) * (2 * _width(near) + LINK_BYTES), available_bytes()
        if not reason and free is not None and 2 * wanted > free:
            reason = (
                f"a graph of them takes {wanted / 1e6:,.0f} MB while it is made, half of what is free is {free / 2e6:,.0f} MB"
            )
        if reason and not self._told:
            self._told = True
            log.info("%s chunks are compared one by one: %s", f"{len(near.ids):,}", reason)
        return not reason

    def _batches(self, near: Near, before: Graph | None, progress: Progress, stop: threading.Event) -> Iterator[Batch]:
        """The vectors in the store that `before` does not have."""
        last = int(before.ids[-1]) if before is not None else 0
        total, done = int((near.ids > last).sum()), 0
        while (found := self._store.vectors(after=last, most=BATCH))[0]:
            if stop.is_set():
                raise _Stopped
            progress(Event(stage="indexing vectors", done=min(done, total), total=total))
            last, done = found[0][-1], done + len(found[0])
            if len((batch := _batch(*found, _width(near)))[0]):
                yield batch
        progress(Event(stage="indexing vectors", done=total, total=total))


class _Stopped(Exception):
    """The work was to end."""


def _batch(ids: list[int], stored: list[bytes], width: int) -> Batch:
    """The vectors that are there: those of another embedder's time were taken away."""
    there = [at for at, one in enumerate(stored) if len(one) == 4 * width]
    chosen: Ids = np.array([ids[at] for at in there], np.int64)
    return chosen, matrix([stored[at] for at in there], width)


def _width(near: Near) -> int:
    if isinstance(near, Approximate):
        return near.graph.width
    return near.vectors.width if isinstance(near, Exact) and isinstance(near.vectors, Dense) else 0


def _numbers(near: Near) -> int:
    return len(near.ids) * _width(near)


def _many_gone(near: Approximate) -> bool:
    return float(near.alive.mean()) < 1 - GONE


def _threads() -> int:
    """Half of the cores: somebody may be asking meanwhile."""
    return max((os.cpu_count() or 1) // 2, 1)
