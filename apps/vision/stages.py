"""How long each stage of the pipeline takes: counted always, kept for the last few hundred runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from time import perf_counter

import numpy as np

KEPT = 512


class Stages:
    """Timers by name, for any thread. `summary` is what reports and pages show."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        self._count: dict[str, int] = {}
        self._lock = Lock()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block under that name."""
        start = perf_counter()
        try:
            yield
        finally:
            self.add(name, (perf_counter() - start) * 1000)

    def add(self, name: str, took_ms: float) -> None:
        with self._lock:
            self._recent.setdefault(name, deque(maxlen=KEPT)).append(took_ms)
            self._count[name] = self._count.get(name, 0) + 1

    def latest(self, runs: int = 10) -> Mapping[str, float]:
        """Per stage the mean of its last few runs in milliseconds: what a plot shows."""
        recent = ((name, times[-runs:]) for name, times in self._kept().items())
        return {name: round(sum(times) / len(times), 3) for name, times in recent}

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
