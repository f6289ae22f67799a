"""The same model several times over: sessions side by side, for whoever has many frames at once and keeps their order himself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from edgekit.apps.vision.networks.artifacts import adopted
from edgekit.artifact import read
from edgekit.loading import open_artifact
from edgekit.runtimes.base import Arrays, cores
from edgekit.runtimes.face import FaceSession

SIDE_BY_SIDE = ("litert", "onnxruntime")
"""Engines on the CPU: there two frames on one core each take less than one after the other on two. An accelerator is one."""
MOST = 8
"""Each holds a copy of the weights and the activations."""


class Lanes:
    """Sessions of one artifact. `run` may be called by any thread: it takes the session that is free, or waits for one."""

    def __init__(self, sessions: Sequence[FaceSession]) -> None:
        self.artifact, self.runtime, self.count = sessions[0].artifact, sessions[0].runtime, len(sessions)
        self._takes_bytes = sessions[0].takes_bytes
        self._free: SimpleQueue[FaceSession] = SimpleQueue()
        for session in sessions:
            self._free.put(session)

    def takes_bytes(self, name: str, scale: float) -> bool:
        """As `FaceSession.takes_bytes`."""
        return self._takes_bytes(name, scale)

    def run(self, feed: Arrays, scales: Mapping[str, float] | None = None) -> Arrays:
        """As `FaceSession.run`."""
        session = self._free.get()
        try:
            return session.run(feed, scales=scales)
        finally:
            self._free.put(session)


@contextmanager
def side_by_side(path: Path, *, runtime: str = "auto", threads: int = 0) -> Iterator[Lanes]:
    """Sessions of the model at `path` with `threads` in all (0: one per core), closed when the block ends."""
    threads = cores(threads)
    count = min(threads, MOST)
    with adopted(path) as folder, ExitStack() as stack:
        artifact = read(folder)

        def opened(runtime: str, threads: int) -> FaceSession:
            return stack.enter_context(open_artifact(artifact, runtime=runtime, threads=threads))

        first = opened(runtime, threads // count)
        if first.runtime not in SIDE_BY_SIDE:
            first.close()
            yield Lanes([opened(first.runtime, threads)])
            return
        yield Lanes([first, *(opened(first.runtime, threads // count) for _ in range(count - 1))])
