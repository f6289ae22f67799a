"""Several sessions of one artifact that share the work of a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from queue import SimpleQueue
from typing import Any

from edgekit.core.schema import Artifact
from edgekit.loading import open_artifact
from edgekit.runtimes.base import cores
from edgekit.runtimes.face import FaceSession

ON_CPU = frozenset({"litert", "onnxruntime", "dryrun"})
"""Runtimes of which several sessions compute at once. An accelerator has one queue, and a second session only waits."""


def query_of(
    count: int, first: FaceSession, artifact: Artifact, feed: Mapping[str, Any], threads: int, stack: ExitStack
) -> tuple[Callable[[], object], int]:
    """A function that makes `count` inferences, and by how many sessions: one for every `threads` cores, `first` among them."""
    streams = min(count, max(1, cores(0) // threads)) if first.runtime in ON_CPU else 1
    others = [open_artifact(artifact, runtime=first.runtime, threads=threads) for _ in range(streams - 1)]
    idle: SimpleQueue[FaceSession] = SimpleQueue()
    for session in (first, *map(stack.enter_context, others)):
        idle.put(session)
    if streams == 1:
        return lambda: [first.run(feed) for _ in range(count)], 1
    workers = stack.enter_context(ThreadPoolExecutor(streams))
    return lambda: list(workers.map(lambda feed: _one(idle, feed), repeat(feed, count))), streams


def _one(idle: SimpleQueue[FaceSession], feed: Mapping[str, Any]) -> None:
    """One inference by a session that has nothing to do: there are as many as threads."""
    session = idle.get()
    try:
        session.run(feed)
    finally:
        idle.put(session)
