"""LiteRT (TensorFlow Lite) on the CPU with XNNPACK: runs `tflite` artifacts, and `edgetpu` ones before compilation.

Uses `ai_edge_litert`, or `tflite_runtime` on boards that still have the older package, or TensorFlow's own. LiteRT writes one line, "Created
TensorFlow Lite XNNPACK delegate for CPU", on stderr when the first model of a process loads; its Python package has no
switch for that (no environment variable or call reaches its logger: google-ai-edge/mediapipe issue 2119), so it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

import msgspec
import numpy as np

from edgekit.core.errors import ArtifactError, DeviceError, MissingDependency, UsageError
from edgekit.core.optional import need
from edgekit.core.schema import Artifact, Port, TensorSpec
from edgekit.runtimes._apart import apart
from edgekit.runtimes.base import Arrays, Probe, Read, Runtime, Session, Write, complaints, cores, model_file
from edgekit.runtimes.face import FaceSession

NAME = "litert"
MODULES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")
"""TensorFlow's own comes last: it takes seconds to import, and only a board that has nothing smaller needs it."""
UNRESOLVED = "unresolved custom op"
APART = "apart"
"""`litert@apart`: LiteRT checks a file's structure and not its numbers, so a hostile one can end the process it runs in."""
APART_RUN_S = 300.0


class LiteRTSession:
    """One loaded model.

    A contiguous input is copied once, into the interpreter's own memory; an output once, out of it, so that the caller
    keeps it over the next run. Engine names are the tensor names in the file.
    """

    def __init__(self, interpreter: Any, engine: str = NAME, outputs: Sequence[Any] = ()) -> None:
        """`outputs` are the details of the tensors to give instead of the file's own outputs."""
        self._interpreter: Any = interpreter
        self._engine = engine
        inputs, outputs = interpreter.get_input_details(), outputs or interpreter.get_output_details()
        self.inputs = tuple(_spec(detail) for detail in inputs)
        self.outputs = tuple(_spec(detail) for detail in outputs)
        self._input_index = {detail["name"]: detail["index"] for detail in inputs}
        self._output_index = {detail["name"]: detail["index"] for detail in outputs}
        self._memory_in, self._memory_out = (
            {detail["name"]: interpreter.tensor(detail["index"]) for detail in details} for details in (inputs, outputs)
        )

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name. Raises `DeviceError` for whatever LiteRT refuses."""
        interpreter = self._interpreter
        if interpreter is None:
            raise DeviceError(f"this {self._engine} session is closed")
        try:
            for name, index in self._input_index.items():
                interpreter.set_tensor(index, feed[name])
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in self._output_index.items()}
        except KeyError as exc:
            raise DeviceError(f"{self._engine}: the feed has no {exc}") from exc
        except (RuntimeError, ValueError) as exc:
            raise DeviceError(f"{self._engine} could not run the model: {exc}") from exc

    def run_in_place(self, feed: Arrays, write: Mapping[str, Write], read: Sequence[tuple[str, str, Read]]) -> Arrays:
        """As `run`, in the interpreter's own memory, which nobody may hold on to: it refuses to run when somebody does."""
        interpreter = self._interpreter
        if interpreter is None:
            raise DeviceError(f"this {self._engine} session is closed")
        for name, memory in self._memory_in.items():
            write[name](feed[name], memory())
        try:
            interpreter.invoke()
        except (RuntimeError, ValueError) as exc:
            raise DeviceError(f"{self._engine} could not run the model: {exc}") from exc
        return {wanted: convert(self._memory_out[name]()) for wanted, name, convert in read}

    def close(self) -> None:
        """Release the interpreter; closing again does nothing."""
        self._interpreter = None
        self._memory_in, self._memory_out = {}, {}


@dataclass(frozen=True, slots=True)
class _LiteRT:
    device: str = ""
    formats = ("tflite", "edgetpu")

    @property
    def name(self) -> str:
        return f"{NAME}@{self.device}" if self.device else NAME

    def on(self, device: str) -> _LiteRT:
        """The same runtime in a process of its own. Raises `UsageError` for any other word."""
        if device != APART:
            raise UsageError(f"{NAME} knows no {device!r}", f"{NAME}, or {NAME}@{APART} for models you do not trust")
        return _LiteRT(device)

    def probe(self) -> Probe:
        """Whether one of the packages imports here."""
        try:
            module = interpreter_module()
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=package_version(module))

    def load(self, artifact: Artifact, *, threads: int = 0) -> Session:
        """Open the artifact's model file. `ArtifactError` when it is not a model, `DeviceError` when it does not load."""
        path = model_file(artifact)
        if self.device == APART:
            arguments = {"path": path, "threads": threads}
            return apart(
                NAME, f"{__name__}:{open_session.__name__}", arguments, advice="do not use this model", run_s=APART_RUN_S
            )
        return open_session(path, threads)


def open_session(path: str, threads: int, delegates: tuple[Any, ...] = (), engine: str = NAME) -> LiteRTSession:
    """A session of a TFLite file. Raises as `open_interpreter` does, and `ArtifactError` for tensors that cannot be described."""
    interpreter = open_interpreter(path, threads, delegates, engine)
    with complaints(engine, f"describe the tensors of {path!r}", error=ArtifactError, hint="convert the model again"):
        return LiteRTSession(interpreter, engine)


def execute(
    path: Path, *, inner: Sequence[int] = (), kernels: Literal["xnnpack", "plain"] = "xnnpack"
) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A TFLite file as a function: raw arrays in the file's order of inputs -> raw arrays in its order of outputs.

    With `inner`, the results are those tensors of the file instead, which takes the plain kernels. Raises `ArtifactError`
    when the file is not a model, `DeviceError` when LiteRT cannot prepare or run it.
    """
    plain = bool(inner) or kernels == "plain"
    interpreter = open_interpreter(str(path), 0, options=_plain_kernels(keep=bool(inner)) if plain else {})
    into = [detail["index"] for detail in interpreter.get_input_details()]
    out = list(inner) or [detail["index"] for detail in interpreter.get_output_details()]

    def run(arrays: Sequence[Any]) -> tuple[Any, ...]:
        try:
            for index, array in zip(into, arrays, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(index) for index in out)
        except (RuntimeError, ValueError) as exc:
            raise DeviceError(f"{NAME} could not run the model: {exc}") from exc

    return run


def inner_face(artifact: Artifact, tensor: int) -> FaceSession:
    """The artifact with a tensor from inside its file, [1, ...] in float, as its only output; inputs stay as they are.

    Raises `ArtifactError` when the file is not a model or has no such tensor, `DeviceError` when LiteRT cannot prepare it.
    """
    path = model_file(artifact)
    interpreter = open_interpreter(path, 1, options=_plain_kernels(keep=True))
    details = [detail for detail in interpreter.get_tensor_details() if detail["index"] == tensor]
    if not details:
        raise ArtifactError(f"{path!r} has no tensor {tensor}", "convert the model again")
    session = LiteRTSession(interpreter, NAME, details)
    (spec,) = session.outputs
    face = Port(source=TensorSpec(name=spec.name, shape=spec.shape, dtype="float32"), engine=spec)
    manifest = msgspec.structs.replace(artifact.manifest, outputs=(face,))
    return FaceSession(session, msgspec.structs.replace(artifact, manifest=manifest), NAME)


def _plain_kernels(*, keep: bool) -> dict[str, Any]:
    """Options of an interpreter without XNNPACK; `keep` makes it hold every tensor until the next run."""
    resolver = interpreter_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return {"experimental_op_resolver_type": resolver, "experimental_preserve_all_tensors": keep}


def open_interpreter(
    path: str,
    threads: int,
    delegates: tuple[Any, ...] = (),
    engine: str = NAME,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """An interpreter with its memory allocated, ready to run; `options` are the interpreter's own."""
    module = interpreter_module()
    with complaints(engine, f"load {path!r}"):
        try:
            found = module.Interpreter(
                model_path=path, num_threads=cores(threads), experimental_delegates=list(delegates) or None, **options
            )
        except ValueError as exc:
            raise ArtifactError(f"{path!r} is not a readable TFLite model: {exc}", "convert the model again") from exc
        try:
            found.allocate_tensors()
        except RuntimeError as exc:
            raise _refused(path, exc, engine) from exc
    return found


def interpreter_module() -> ModuleType:
    """The module with `Interpreter` and `load_delegate`; `MissingDependency` with every reason when none loads."""
    reasons = []
    for module in MODULES:
        try:
            return need(module)
        except MissingDependency as missing:
            reasons.append(missing)
    raise MissingDependency("; ".join(reason.message for reason in reasons), reasons[0].hint)


def package_version(module: ModuleType) -> str:
    """Version of the package that the interpreter module came from."""
    package = need(module.__name__.partition(".")[0])
    return str(getattr(package, "__version__", ""))


def _refused(path: str, exc: RuntimeError, engine: str) -> DeviceError:
    """Say why the graph could not be prepared; a custom op is the common reason and has its own advice."""
    said = str(exc).splitlines()[0]
    if UNRESOLVED in said and "edgetpu" in said:
        return DeviceError(
            f"{path!r} is compiled for the Edge TPU, which {engine} without its delegate cannot run",
            "load the artifact with runtime='edgetpu' where the accelerator is, or run the uncompiled model",
        )
    if UNRESOLVED in said:
        return DeviceError(f"{path!r} needs an op that {engine} does not have: {said}", "which tool made this model?")
    return DeviceError(f"{engine} could not prepare {path!r}: {said}")


@cache
def _dtype_name(kind: type[Any]) -> str:
    name: str = np.dtype(kind).name
    return name


def _spec(detail: Any) -> TensorSpec:
    """The spec of an interpreter's input or output, with the file's own scale and zero point when it has them."""
    scale, zero_point = detail["quantization"]
    quantized = scale > 0
    return TensorSpec(
        name=detail["name"],
        shape=tuple(detail["shape"].tolist()),
        dtype=_dtype_name(detail["dtype"]),
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )


runtime: Runtime[Session] = _LiteRT()
