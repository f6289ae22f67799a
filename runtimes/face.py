"""The face of an artifact: arrays by the source model's names, in its layout and float meaning, whatever the engine stores.

What `run` accepts: numpy arrays of exactly the declared shape. An input that is float in the source model takes any real
dtype (float16, float64, integers: numpy's "same_kind"); an integer input takes only safe casts. NaN is not searched for,
which would cost a pass over every frame: a float engine gets it as it is, a quantized one gets its lowest value.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import msgspec

from edgekit.core.errors import ArtifactError, InputError, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.schema import Artifact, Port, TensorSpec
from edgekit.runtimes._ports import Door, into_engine, out_of_engine
from edgekit.runtimes.base import Arrays, Session

UNKNOWN = -1
"""A dimension whose size the engine does not know before it runs."""


class FaceSession:
    """A loaded artifact. `inputs` and `outputs` are the source model's specs; close it, or use it in a `with` block.

    Not for several threads at once: the buffers that quantized inputs are written to are used again at every run.
    """

    def __init__(self, session: Session, artifact: Artifact, runtime: str) -> None:
        manifest = artifact.manifest
        _check_engine(artifact, session, runtime)
        self.artifact = artifact
        self.runtime = runtime
        self.inputs = tuple(port.source for port in manifest.inputs)
        self.outputs = tuple(port.source for port in manifest.outputs)
        self._session: Session | None = session
        self._doors = {port.source.name: Door(port.source, port.engine.name, into_engine(port)) for port in manifest.inputs}
        self._raw_doors = {port.source.name: _raw_door(port) for port in manifest.inputs}
        self._results = tuple((port.source.name, port.engine.name, out_of_engine(port)) for port in manifest.outputs)

    def run(self, feed: Arrays, *, raw: bool = False) -> Arrays:
        """Every output by name, in new arrays.

        With `raw` the arrays on both sides are the engine's own (its dtypes, layout and quantized values), still by the
        source model's names. Raises `InputError` for a feed that does not fit and `DeviceError` when the engine refuses.
        """
        if self._session is None:
            raise UsageError(f"the session of {self.artifact.path.name!r} is closed", "open another: edgekit.load(path)")
        doors = self._raw_doors if raw else self._doors
        if feed.keys() != doors.keys():
            raise _wrong_names(feed, doors)
        answers = self._session.run({door.engine_name: door(feed[name]) for name, door in doors.items()})
        if raw:
            return {name: answers[engine] for name, engine, _ in self._results}
        return {name: convert(answers[engine]) for name, engine, convert in self._results}

    def close(self) -> None:
        """Release the engine; closing again does nothing."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> FaceSession:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _raw_door(port: Port) -> Door:
    """Engine dtype and layout, named as the source model names it."""
    return Door(msgspec.structs.replace(port.engine, name=port.source.name), port.engine.name)


def _wrong_names(feed: Arrays, doors: Mapping[str, Door]) -> InputError:
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
