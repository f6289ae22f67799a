"""The face of an artifact: arrays by the source model's names, in its layout and float meaning, whatever the engine stores.

What `run` accepts: numpy arrays of exactly the declared shape. An input that is float in the source model takes any real
dtype (float16, float64, integers: numpy's "same_kind"); an integer input takes only safe casts. NaN is not searched for,
which would cost a pass over every frame: a float engine gets it as it is, a quantized one gets its lowest value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Literal, ParamSpec, TypeGuard, TypeVar

import msgspec
import numpy as np

from edgekit.core.errors import ArtifactError, InputError, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Artifact, Port, TensorSpec
from edgekit.runtimes._ports import (
    Door,
    Writer,
    into_engine,
    into_memory,
    into_memory_scaled,
    out_of_engine,
    out_of_memory,
    takes_bytes,
)
from edgekit.runtimes.base import Arrays, InPlace, Session

UNKNOWN = -1
"""A dimension whose size the engine does not know before it runs."""


Layout = Literal["source", "engine"]
P = ParamSpec("P")
T = TypeVar("T")


class FaceSession:
    """A loaded artifact. `inputs` and `outputs` are the source model's specs; close it, or use it in a `with` block.

    With `layout` "engine" their axes stand as the engine keeps them: a camera's frames are in that order where the engine
    wants pixels side by side, and need not be turned twice.

    Not for several threads at once: the buffers that quantized inputs are written to are used again at every run.
    """

    def __init__(self, session: Session, artifact: Artifact, runtime: str, *, layout: Layout = "source") -> None:
        _check_engine(artifact, session, runtime)
        self.artifact = artifact
        self.runtime = runtime
        ins, outs = (tuple(map(_FACES[layout], ports)) for ports in (artifact.manifest.inputs, artifact.manifest.outputs))
        self.inputs = tuple(port.source for port in ins)
        self.outputs = tuple(port.source for port in outs)
        self._session: Session | None = session
        self._lender = session if _lends(session) else None
        self._ports = {port.source.name: port for port in ins}
        self._scaled: dict[tuple[str, float], Writer] = {}
        self._doors = {port.source.name: _door(port, lent=self._lender is not None) for port in ins}
        self._raw_doors = {port.source.name: _raw_door(port) for port in ins}
        self._writers = {port.engine.name: into_memory(port) for port in ins} if self._lender is not None else {}
        leave = out_of_engine if self._lender is None else out_of_memory
        self._results = tuple((port.source.name, port.engine.name, leave(port)) for port in outs)
        self._renamed = any(port.source.name != port.engine.name for port in (*ins, *outs))

    def takes_bytes(self, name: str, scale: float) -> bool:
        """Whether an input takes bytes with this `scale` (see `run`) at no cost, so that they need not become floats before."""
        return self._lender is not None and takes_bytes(self._ports[name], scale)

    def run(self, feed: Arrays, *, raw: bool = False, scales: Mapping[str, float] | None = None) -> Arrays:
        """Every output by name, in new arrays.

        Inputs named in `scales` are multiplied by that number on their way in, in float32: a picture's bytes by 1/255, for example.

        With `raw` the arrays on both sides are the engine's own (its dtypes, layout and quantized values), still by the
        source model's names. Raises `InputError` for a feed that does not fit and `DeviceError` when the engine refuses.
        """
        session = self._session
        if session is None:
            raise UsageError(f"the session of {self.artifact.path.name!r} is closed", "open another: edgekit.load(path)")
        doors = self._raw_doors if raw else self._doors
        if feed.keys() != doors.keys() or (scales and not scales.keys() <= doors.keys()):
            raise _wrong_names([*feed, *(scales or ())], doors)
        if raw and scales:
            raise UsageError("the engine's own numbers are not multiplied", "give either raw or scales")
        if raw:
            return self._as_named(session.run(_checked(doors, feed)))
        if self._lender is not None:
            writers = self._writers_for(scales) if scales else self._writers
            return self._lender.run_in_place(_checked(doors, feed), writers, self._results)
        feed = _multiplied(feed, scales) if scales else feed
        answers = session.run({door.engine_name: door.convert(door.check(feed[name])) for name, door in doors.items()})
        return {name: convert(answers[engine]) for name, engine, convert in self._results}

    def _writers_for(self, scales: Mapping[str, float]) -> Mapping[str, Writer]:
        """Those of every input, some of which multiply."""
        found = dict(self._writers)
        for name, scale in scales.items():
            port = self._ports[name]
            if (name, scale) not in self._scaled:
                self._scaled[name, scale] = into_memory_scaled(port, scale)
            found[port.engine.name] = self._scaled[name, scale]
        return found

    def _as_named(self, answers: Arrays) -> Arrays:
        """The engine's own arrays by the source model's names."""
        return {name: answers[engine] for name, engine, _ in self._results} if self._renamed else answers

    def run_in_steps(self, feed: Arrays, now: Callable[[], int]) -> tuple[Arrays, tuple[int, int, int]]:
        """As `run`, and what passed on `now` while the inputs went in, the engine worked, and the outputs came out."""
        into, out = _Stopwatch(now), _Stopwatch(now)
        begin = now()
        found = self._watched(feed, into, out)
        return found, (into.total, now() - begin - into.total - out.total, out.total)

    def _watched(self, feed: Arrays, into: _Stopwatch, out: _Stopwatch) -> Arrays:
        """Every conversion under its watch."""
        if self._session is None:
            raise UsageError(f"the session of {self.artifact.path.name!r} is closed", "open another: edgekit.load(path)")
        arrays = _checked(self._doors, feed)
        results = [(name, engine, out.around(convert)) for name, engine, convert in self._results]
        if self._lender is not None:
            writers = {engine: into.around(write) for engine, write in self._writers.items()}
            return self._lender.run_in_place(arrays, writers, results)
        doors = self._doors.values()
        answers = self._session.run({door.engine_name: into.around(door.convert)(arrays[door.engine_name]) for door in doors})
        return {name: convert(answers[engine]) for name, engine, convert in results}

    def close(self) -> None:
        """Release the engine; closing again does nothing."""
        session, self._session, self._lender = self._session, None, None
        if session is not None:
            session.close()

    def __enter__(self) -> FaceSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _multiplied(feed: Arrays, scales: Mapping[str, float]) -> Arrays:
    return {name: np.multiply(array, np.float32(scales[name]), dtype=np.float32) if name in scales else array
            for name, array in feed.items()}  # fmt: skip


def _as_engine_lies(port: Port) -> Port:
    """The port with its source's axes in the engine's order: nothing is left to turn."""
    if port.permutation is None:
        return port
    shape = tuple(port.source.shape[axis] for axis in port.permutation)
    return msgspec.structs.replace(port, source=msgspec.structs.replace(port.source, shape=shape), permutation=None)


_FACES: Mapping[Layout, Callable[[Port], Port]] = {"source": lambda port: port, "engine": _as_engine_lies}


def _lends(session: Session) -> TypeGuard[InPlace]:
    """As `isinstance`, which for protocols costs a part of what a small model takes to open.

    Not where an input is a single number without dimensions: LiteRT gives a copy of that, which nothing can be written to.
    """
    return hasattr(session, "run_in_place") and all(spec.shape for spec in session.inputs)


def _door(port: Port, *, lent: bool) -> Door:
    """Float meaning and the source model's layout; where the engine lends its memory, numbers are written there instead."""
    return Door(port.source, port.engine.name) if lent else Door(port.source, port.engine.name, convert=into_engine(port))


def _checked(doors: Mapping[str, Door], feed: Arrays) -> Arrays:
    """The feed by the engine's names. All of it is looked at before any is written: one that does not fit leaves the engine as it was."""
    return {door.engine_name: door.check(feed[name]) for name, door in doors.items()}


class _Stopwatch:
    """Adds up what conversions take."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.total = 0

    def around(self, convert: Callable[P, T]) -> Callable[P, T]:
        """The same function, timed."""

        def timed(*arrays: P.args, **named: P.kwargs) -> T:
            begin = self._now()
            made = convert(*arrays, **named)
            self.total += self._now() - begin
            return made

        return timed


def _raw_door(port: Port) -> Door:
    """Engine dtype and layout, named as the source model names it: nothing is converted."""
    return Door(msgspec.structs.replace(port.engine, name=port.source.name), port.engine.name, exact=True)


def _wrong_names(feed: Collection[str], doors: Mapping[str, Door]) -> InputError:
    """Say which inputs are missing, or which are unknown and what was probably meant."""
    missing = [name for name in doors if name not in feed]
    unknown = [name for name in feed if name not in doors]
    known = ", ".join(repr(name) for name in doors)
    if unknown:
        return InputError(
            f"the model has no input {unknown[0]!r}", did_you_mean(str(unknown[0]), doors, f"its inputs are {known}")
        )
    return InputError(f"input {missing[0]!r} is missing", f"the model's inputs are {known}")


def _check_engine(artifact: Artifact, session: Session, runtime: str) -> None:
    """The loaded file must have the tensors that the manifest says; a wrong pairing would compute nonsense in silence."""
    manifest = artifact.manifest
    for port, found in ((manifest.inputs, session.inputs), (manifest.outputs, session.outputs)):
        by_name = {spec.name: spec for spec in found}
        for wanted in (each.engine for each in port):
            spec = by_name.get(wanted.name)
            if spec is None or not _same_tensor(wanted, spec):
                session.close()
                held = "nothing of that name" if spec is None else _said(spec)
                raise ArtifactError(
                    f"{artifact.path.name!r}: the manifest says {wanted.name!r} is {_said(wanted)}, {runtime} found {held}",
                    f"edgekit verify {artifact.path}",
                )


def _same_tensor(wanted: TensorSpec, found: TensorSpec) -> bool:
    """Same dtype and shape, where -1 stands for a size the engine does not know, and the same quantization if both say."""
    shapes = len(wanted.shape) == len(found.shape) and all(
        a == b or b == UNKNOWN for a, b in zip(wanted.shape, found.shape, strict=True)
    )
    if found.scale is None or wanted.scale is None:
        return shapes and wanted.dtype == found.dtype
    near = abs(found.scale - wanted.scale) <= 1e-6 * wanted.scale
    return shapes and wanted.dtype == found.dtype and near and (wanted.zero_point or 0) == (found.zero_point or 0)


def _said(spec: TensorSpec) -> str:
    return f"{spec.dtype} {list(spec.shape)}" + (f" (scale {spec.scale:g}, zero point {spec.zero_point})" if spec.scale else "")
