"""ONNX Runtime: runs `onnx` artifacts, and the `tensorrt` ones for verification away from the Jetson.

`onnxruntime` computes on the CPU; `onnxruntime@cuda`, `@tensorrt` or `@xnnpack` hand what they can to that execution provider,
and refuse to open where it is absent instead of computing on the CPU in silence. Nodes that such a provider leaves to the CPU
are named in the log when the artifact is opened; `nodes` tells which provider ran each node. On a GPU inputs and outputs are
bound to its memory once. Also an executor for the converters (`execute`), which run models that are still in memory.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.core.errors import ArtifactError, DeviceError, MissingDependency, UsageError
from edgekit.core.names import did_you_mean
from edgekit.core.optional import need
from edgekit.core.schema import Artifact, TensorSpec
from edgekit.runtimes._engine_cache import cache_folder, power_mode
from edgekit.runtimes._ort_bound import BoundSession, bindable
from edgekit.runtimes._ort_nodes import NodeRun, last_run, left_to_the_cpu, tell_what_the_cpu_got
from edgekit.runtimes._ort_providers import CPU, ON_GPU, PROVIDERS, Wish, chain, options, wish
from edgekit.runtimes.base import Arrays, Probe, Runtime, Session, complaints, cores, model_file

NAME = "onnxruntime"
SILENT = 4
"""Only fatal messages on stderr: everything less comes back as an exception, which says it once."""
MOVES_TRANSPOSES = "TransposeOptimizer;TransposeOptimizer_CPUExecutionProvider"
"""What moves Transposes past other nodes. Where Q/DQ pairs are left as they are written, it moves one past a graph output and gives that
out untransposed, without a word (1.32; see the test)."""

_GPU = "pip install onnxruntime-gpu in place of onnxruntime; on a Jetson, NVIDIA's own build of it"
GET_PROVIDER = {
    "cuda": _GPU,
    "tensorrt": _GPU,
    "xnnpack": "it is in builds of ONNX Runtime made with --use_xnnpack; litert has XNNPACK too",
}
RECORD, NO_CPU = "session.record_ep_graph_assignment_info", "session.disable_cpu_ep_fallback"
log = logging.getLogger(__name__)

Optimisation = Literal["none", "basic", "all"]


class OnnxSession:
    """One loaded model. Arrays go in and come out without a copy of ours; outputs are new arrays at every run."""

    def __init__(self, session: Any) -> None:
        self._session: Any = session
        self.inputs = tuple(_spec(node) for node in session.get_inputs())
        self.outputs = tuple(_spec(node) for node in session.get_outputs())
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name. Raises `DeviceError` for whatever ONNX Runtime refuses."""
        if self._session is None:
            raise DeviceError("this onnxruntime session is closed")
        try:
            return dict(zip(self._output_names, self._session.run(self._output_names, feed), strict=True))
        except Exception as exc:
            raise DeviceError(f"onnxruntime could not run the model: {exc}") from exc

    def close(self) -> None:
        """Release the model; closing again does nothing."""
        self._session = None


@dataclass(frozen=True, slots=True)
class _OnnxRuntime:
    device: str = ""
    formats = ("onnx", "tensorrt")

    @property
    def name(self) -> str:
        return f"{NAME}@{self.device}" if self.device else NAME

    def on(self, device: str) -> _OnnxRuntime:
        """The same runtime with one execution provider before the CPU's. Raises `UsageError` for one that is not known."""
        if device not in PROVIDERS:
            listed = ", ".join(f"{NAME}@{known}" for known in PROVIDERS)
            raise UsageError(
                f"{NAME} has no provider named {device!r} here", did_you_mean(device, PROVIDERS, f"there are {listed}")
            )
        return _OnnxRuntime(device)

    def probe(self) -> Probe:
        """Whether the package imports here, and was built with the provider."""
        try:
            _providers(self.device, Wish())
            return Probe(ok=True, version=str(need("onnxruntime").__version__))
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)

    def load(self, artifact: Artifact, *, threads: int = 0) -> OnnxSession | BoundSession:
        """Open the artifact's model file. `ArtifactError` when it is not a model, `DeviceError` when it does not load."""
        opened = self._opened(artifact, threads, None)
        session = OnnxSession(opened)
        if self.device in ON_GPU and bindable((*session.inputs, *session.outputs)):
            with complaints(NAME, f"place the tensors of {artifact.path.name!r} on the GPU"):
                return BoundSession(opened, need("onnxruntime"), "cuda", session.inputs, session.outputs)
        return session

    def nodes(self, artifact: Artifact, feed: Arrays, *, threads: int = 0) -> tuple[NodeRun, ...]:
        """Run the artifact twice with ONNX Runtime's profiler on: every node of the second run, with what ran it.

        `feed` is the engine's. Not for timing a model: the profiler itself costs microseconds at every node.
        """
        with tempfile.TemporaryDirectory() as folder:
            session = self._opened(artifact, threads, Path(folder) / "profile")
            with complaints(NAME, "run the model"):
                session.run(None, feed)
                session.run(None, feed)
            return last_run(Path(session.end_profiling()).read_bytes())

    def _opened(self, artifact: Artifact, threads: int, profile: Path | None) -> Any:
        path, providers = model_file(artifact), self._chain(artifact, threads)
        if self.device in ON_GPU:
            try:
                return _open(path, self._told(artifact, threads, profile, **{NO_CPU: "1"}), path, providers)
            except DeviceError as refused:
                log.info("%s: not all of it runs on %s (%s)", artifact.path.name, self.name, refused.message)
        record = {RECORD: "1"} if providers else {}
        session = _open(path, self._told(artifact, threads, profile, **record), path, (*providers, CPU))
        if providers:
            tell_what_the_cpu_got(artifact.path.name, self.name, left_to_the_cpu(session))
        return session

    def _chain(self, artifact: Artifact, threads: int) -> list[tuple[str, dict[str, str]]]:
        """The providers before the CPU's, with their options for the artifact's board."""
        if self.device in ("", "cpu"):
            return []
        kept_in = cache_folder(os.environ, Path.home()).with_name(f"{NAME}-{power_mode() or 'gpu'}")
        return _providers(self.device, wish(artifact.manifest.target, cores(threads), kept_in))

    def _told(self, artifact: Artifact, threads: int, profile: Path | None, **entries: str) -> Any:
        """The session's options for this device, with further entries of its configuration."""
        target = artifact.manifest.target
        said = _options(threads, "all", dialect=target.dialect, as_written=target.format == "tensorrt")
        if self.device == "xnnpack":
            # It brings threads of its own; ONNX Runtime's would fight them for the same cores.
            said.intra_op_num_threads = 1
            entries = {**entries, "session.intra_op.allow_spinning": "0"}
        for name, value in entries.items():
            said.add_session_config_entry(name, value)
        if profile is not None:
            said.enable_profiling, said.profile_file_prefix = True, str(profile)
        return said


def _providers(device: str, about: Wish) -> list[tuple[str, dict[str, str]]]:
    """ONNX Runtime's list of providers before the CPU's, with their options.

    Raises `MissingDependency` when this build of it lacks the one asked for.
    """
    built = tuple(need("onnxruntime").get_available_providers())
    wanted = PROVIDERS[device or "cpu"]
    if wanted not in built:
        raise MissingDependency(f"this build of {NAME} has no {wanted} (it has {', '.join(built)})", GET_PROVIDER[device])
    return [(PROVIDERS[each], options(each, about)) for each in chain(device, built)]


def execute(
    model: bytes | Path, *, optimisation: Optimisation = "all", threads: int = 0
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """An ONNX model, serialized or in a file, as a function: feed by name -> every graph output by name (new arrays).

    Raises `ArtifactError` for bytes that are not a model and `DeviceError` when ONNX Runtime refuses to load or run it.
    """
    source, what = (str(model), model.name) if isinstance(model, Path) else (model, "the model")
    options = _options(threads, optimisation)
    # Between two runs others compute; threads that spin while they wait for work would take half the processor from them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return OnnxSession(_open(source, options, what)).run


def simulate(model: bytes) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """As `execute`, but Q/DQ pairs are computed as they are written, in float: what rounding does, and nothing that the integer kernels
    of this machine do besides (on x86 without dot products their sums may be clamped, and their preparation may fail).
    """
    options = _options(0, "all", as_written=True)
    if sums_saturate():
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return OnnxSession(_open(model, options, "the model")).run


def _options(threads: int, optimisation: Optimisation, *, dialect: str = "", as_written: bool = False) -> Any:
    ort = need("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = cores(threads)
    options.graph_optimization_level = {
        "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    }[optimisation]
    if dialect == "arm":
        # Signed Q/DQ is fused into integer kernels by default only on Arm; elsewhere half of it would run in float.
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    if dialect == "x86" and sums_saturate():
        # uint8 x int8 products are summed in 16 bits there and clamped; this makes ONNX Runtime use the slower, exact kernels.
        options.add_session_config_entry("session.x64quantprecision", "1")
    if as_written:
        # Q/DQ in TensorRT's form: fusing it the CPU's way computes another model, with half precision even a wrong one.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("optimization.disable_specified_optimizers", MOVES_TRANSPOSES)
    return options


def sums_saturate(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this x86 CPU has no VNNI or AMX, so that uint8 x int8 sums saturate; assumed where it cannot be read."""
    try:
        flags = set(cpuinfo.read_text(errors="replace").split())
    except OSError:
        return True
    return not flags & {"avx_vnni", "avx512_vnni", "amx_int8"}


def _open(model: str | bytes, options: Any, what: str, providers: Sequence[Any] = (CPU,)) -> Any:
    ort = need("onnxruntime")
    unreadable = tuple(
        getattr(ort.capi.onnxruntime_pybind11_state, name) for name in ("InvalidProtobuf", "InvalidGraph", "NoModel")
    )
    with complaints(NAME, f"load {what!r}"):
        try:
            # Its own fallback opens the model once more on the CPU, and prints that on stdout.
            session = ort.InferenceSession(model, options, providers=list(providers), enable_fallback=0)
        except unreadable as exc:
            raise ArtifactError(f"{what!r} is not a readable ONNX model: {exc}", "convert the model again") from exc
    _check_provider(session.get_providers(), providers)
    return session


def _check_provider(found: Sequence[str], wanted: Sequence[Any]) -> None:
    """A provider whose library does not load is dropped by ONNX Runtime with a line in its log; here it is an error."""
    first = wanted[0][0] if isinstance(wanted[0], tuple) else wanted[0]
    if first not in found:
        raise DeviceError(f"{NAME} could not start {first} and offers {', '.join(found)} instead", "edgekit doctor")


def _spec(node: Any) -> TensorSpec:
    """The spec of a session's input or output; a dimension without a value is -1."""
    shape = tuple(dim if isinstance(dim, int) else -1 for dim in node.shape)
    return TensorSpec(name=node.name, shape=shape, dtype=_dtype(node.type))


def _dtype(onnx_type: str) -> str:
    """`tensor(float)` -> `float32`."""
    inner = onnx_type.removeprefix("tensor(").removesuffix(")")
    known = {"float": "float32", "double": "float64", "string": "object"}
    return known.get(inner) or np.dtype(inner).name


runtime: Runtime[Session] = _OnnxRuntime()
