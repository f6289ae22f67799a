"""How long each stage of the pipeline takes: counted always, kept for the last few hundred runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, local
from time import perf_counter

import numpy as np

KEPT = 512


class Stages:
    """Timers by name, for any thread. `summary` is what reports and pages show."""

    def __init__(self, *, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}
        self._count: dict[str, int] = {}
        self._lock, self._within = Lock(), local()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block under that name, without what is timed inside it: no millisecond is told twice."""
        start, before = self._clock(), getattr(self._within, "took_ms", 0.0)
        self._within.took_ms = 0.0
        try:
            yield
        finally:
            took_ms = (self._clock() - start) * 1000
            self.add(name, took_ms - self._within.took_ms)
            self._within.took_ms = before + took_ms

    def add(self, name: str, took_ms: float) -> None:
        with self._lock:
            self._recent.setdefault(name, deque(maxlen=KEPT)).append(took_ms)
            self._count[name] = self._count.get(name, 0) + 1

    def since(self, runs: Mapping[str, int]) -> tuple[Mapping[str, float], Mapping[str, int]]:
        """Per stage that ran since `runs` were counted the mean milliseconds of those runs (of the last `KEPT`), and the counts of now."""
        with self._lock:
            now = dict(self._count)
            new = {name: list(times)[-(now[name] - runs.get(name, 0)) :] for name, times in self._recent.items()
                   if now[name] > runs.get(name, 0)}  # fmt: skip
        return {name: round(sum(times) / len(times), 3) for name, times in new.items()}, now

    def summary(self) -> Mapping[str, Mapping[str, float]]:
        """Per stage: how often it ran, and median, 95th percentile and mean of its last runs in milliseconds."""
        return {
            name: {
                "count": self._count[name],
                "p50": round(float(np.percentile(times, 50)), 3),
                "p95": round(float(np.percentile(times, 95)), 3),
                "mean": round(float(np.mean(times)), 3),
            }
            for name, times in self._kept().items()
        }

    def _kept(self) -> dict[str, list[float]]:
        with self._lock:
            return {name: list(times) for name, times in self._recent.items()}
