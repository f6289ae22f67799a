"""A model in segments that run one after another, each on a device of its own: while one computes, the one before takes the next input.

Segments are linked by the names of their tensors, as Coral's compiler writes them: what a segment takes is an input of the
model, or what an earlier segment gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock

from edgekit.core.errors import ArtifactError
from edgekit.core.schema import TensorSpec
from edgekit.runtimes.base import Arrays, Session


class Pipeline:
    """Sessions as one session. `run` is one input through all of them; `stream` keeps them all busy."""

    def __init__(self, segments: Sequence[Session]) -> None:
        self.inputs, self.outputs = linked(segments)
        self._segments = tuple(_Segment(each) for each in segments)

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name. Raises what a segment raises."""
        known = dict(feed)
        for segment in self._segments:
            known |= segment.run(known)
        return self._wanted(known)

    def stream(self, feeds: Iterable[Arrays]) -> Iterator[Arrays]:
        """The answers in the order of the feeds. As many feeds are under way as there are segments, and one waits.

        A segment's error is raised where its answer would have come, and ends the stream.
        """
        with ExitStack() as stack:
            threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self._segments]
            flying: deque[Future[Arrays]] = deque()
            try:
                for feed in feeds:
                    flying.append(self._sent(threads, feed))
                    if len(flying) > len(self._segments):
                        yield self._wanted(flying.popleft().result())
                while flying:
                    yield self._wanted(flying.popleft().result())
            finally:
                for thread in threads:
                    thread.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Close every segment; closing again does nothing."""
        for segment in self._segments:
            segment.session.close()

    def _sent(self, threads: Sequence[ThreadPoolExecutor], feed: Arrays) -> Future[Arrays]:
        """The feed on its way: each segment's thread takes it when the one before has done with it."""
        arrived: Future[Arrays] = Future()
        arrived.set_result(feed)
        for thread, segment in zip(threads, self._segments, strict=True):
            arrived = thread.submit(_after, arrived, segment)
        return arrived

    def _wanted(self, known: Arrays) -> Arrays:
        return {spec.name: known[spec.name] for spec in self.outputs}


class _Segment:
    """A session that one thread at a time runs: a stream and a run may meet."""

    def __init__(self, session: Session) -> None:
        self.session, self._alone = session, Lock()

    def run(self, known: Arrays) -> Arrays:
        with self._alone:
            return self.session.run({spec.name: known[spec.name] for spec in self.session.inputs})


def linked(segments: Sequence[Session]) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What the segments together take and give: inputs that no segment gives, outputs that no later segment takes.

    Raises `ArtifactError` where two segments do not mean the same tensor by a name.
    """
    given: dict[str, TensorSpec] = {}
    inputs: dict[str, TensorSpec] = {}
    taken: set[str] = set()
    for number, segment in enumerate(segments):
        for spec in segment.inputs:
            source = given.get(spec.name) or inputs.setdefault(spec.name, spec)
            if (source.shape, source.dtype) != (spec.shape, spec.dtype):
                raise ArtifactError(
                    f"segment {number} takes {spec.name!r} as {spec.dtype} {list(spec.shape)}, "
                    f"but it is {source.dtype} {list(source.shape)}",
                    "compile all segments of the model together",
                )
            taken.add(spec.name)
        given |= {spec.name: spec for spec in segment.outputs}
    return tuple(inputs.values()), tuple(spec for spec in given.values() if spec.name not in taken)


def _after(before: Future[Arrays], segment: _Segment) -> Arrays:
    """All that is known when the segment has run, once the one before it has."""
    known = before.result()
    return {**known, **segment.run(known)}
