"""TensorRT on a Jetson: builds the engine on the board from the artifact's ONNX file, keeps it, and runs it.

An engine belongs to one TensorRT version and one GPU, so it is never shipped: it is built at the first `load` (minutes) and
cached under a name made of the model's hash, that version and that GPU. Which flags a build needs is decided by pure
functions here and tested everywhere; the calls into TensorRT and CUDA have not run on a Jetson yet.

TensorRT 8.5 or newer (JetPack 5 or newer). Typing: https://docs.nvidia.com/deeplearning/tensorrt/ "Strongly Typed Networks";
the precision flags are deprecated since 10.12 and gone in 11.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from edgekit.core.errors import DeviceError, MissingDependency, Unsupported
from edgekit.core.files import write_atomically
from edgekit.core.optional import need
from edgekit.core.schema import Artifact, Precision, TensorSpec
from edgekit.runtimes.base import Arrays, Probe, Runtime, Session, complaints, model_file

NAME = "tensorrt"
OLDEST = (8, 5)
"""The first with named tensors at run time (execute_async_v3)."""
STRONG_SINCE = (10, 12)
WORKSPACE_BYTES = 1 << 30
WEAK_FLAGS: Mapping[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("FP16",),
    "int8": ("FP16", "INT8"),
    "mixed": ("FP16", "INT8"),
}
"""What the builder may use beside float32; with Q/DQ in the model, INT8 is used exactly where they stand."""


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """How to build an engine. `flags` are names of `BuilderFlag`; with strong typing the ONNX file decides instead."""

    typing: Literal["weak", "strong"]
    flags: tuple[str, ...]
    workspace_bytes: int


def plan_build(precision: Precision, version: str, *, workspace_bytes: int = WORKSPACE_BYTES) -> BuildPlan:
    """The plan for an artifact of that precision on that TensorRT version. `Unsupported` for versions before 8.5."""
    number = parse_version(version)
    if number < OLDEST:
        raise Unsupported(
            f"TensorRT {version} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that edgekit runs",
            "on JetPack 4 convert for onnxruntime instead",
        )
    if number >= STRONG_SINCE:
        return BuildPlan(typing="strong", flags=(), workspace_bytes=workspace_bytes)
    return BuildPlan(typing="weak", flags=WEAK_FLAGS[precision], workspace_bytes=workspace_bytes)


def parse_version(version: str) -> tuple[int, int]:
    """`10.3.0.26` -> (10, 3). `DeviceError` when it does not begin with a number."""
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise DeviceError(f"TensorRT calls itself version {version!r}, which is no version number", "edgekit doctor")
    return int(found[1]), int(found[2] or 0)


def engine_name(model_sha256: str, version: str, gpu: str) -> str:
    """File name of a cached engine: other models, versions and GPUs never meet."""
    slug = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-") or "gpu"
    return f"{model_sha256[:16]}-trt{version}-{slug}.engine"


def cache_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Where engines are kept between runs: the user's cache, never the artifact."""
    base = environment.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else home / ".cache") / "edgekit" / "tensorrt"


class TensorRTSession:
    """A deserialized engine with one device buffer per tensor. Inputs are copied to the GPU, outputs to new arrays."""

    def __init__(self, engine: Any, trt: ModuleType, cuda: ModuleType) -> None:
        self._engine, self._cuda = engine, cuda
        self._context: Any = engine.create_execution_context()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = tuple(_spec(engine, trt, name) for name in inputs)
        self.outputs = tuple(_spec(engine, trt, name) for name in names if name not in inputs)
        self._stream = _done(cuda, cuda.cudaStreamCreate())
        self._memory = {spec.name: _done(cuda, cuda.cudaMalloc(_size(spec))) for spec in (*self.inputs, *self.outputs)}
        for name, address in self._memory.items():
            self._context.set_tensor_address(name, int(address))

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name. Raises `DeviceError` for whatever CUDA or TensorRT refuses."""
        if self._context is None:
            raise DeviceError("this tensorrt session is closed")
        cuda = self._cuda
        for spec in self.inputs:
            array = np.ascontiguousarray(feed[spec.name], spec.dtype)
            _done(cuda, cuda.cudaMemcpy(self._memory[spec.name], array.ctypes.data, array.nbytes, _kind(cuda, "HostToDevice")))
        if not self._context.execute_async_v3(int(self._stream)):
            raise DeviceError("tensorrt could not run the engine", "edgekit doctor")
        _done(cuda, cuda.cudaStreamSynchronize(self._stream))
        return {spec.name: self._fetched(spec) for spec in self.outputs}

    def close(self) -> None:
        """Free the GPU's memory; closing again does nothing."""
        if self._context is None:
            return
        self._context = self._engine = None
        for address in self._memory.values():
            _done(self._cuda, self._cuda.cudaFree(address))
        _done(self._cuda, self._cuda.cudaStreamDestroy(self._stream))

    def _fetched(self, spec: TensorSpec) -> Any:
        array = np.empty(spec.shape, spec.dtype)
        kind = _kind(self._cuda, "DeviceToHost")
        _done(self._cuda, self._cuda.cudaMemcpy(array.ctypes.data, self._memory[spec.name], array.nbytes, kind))
        return array


class _TensorRT:
    name = NAME
    formats = ("tensorrt",)

    def probe(self) -> Probe:
        """Whether both Python packages import here and TensorRT is new enough; touches no GPU."""
        try:
            version = str(need("tensorrt").__version__)
            plan_build("fp32", version)
            _cuda()
        except (MissingDependency, Unsupported, DeviceError) as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        return Probe(ok=True, version=version)

    def load(self, artifact: Artifact, *, threads: int = 0) -> TensorRTSession:
        """Open the cached engine, or build it first (minutes). `DeviceError` for whatever TensorRT or CUDA refuses."""
        trt, cuda = need("tensorrt"), _cuda()
        model = model_file(artifact)
        file = artifact.manifest.file("model")
        folder = cache_folder(os.environ, Path.home())
        cached = folder / engine_name(file.sha256 if file else "", str(trt.__version__), _gpu_name(cuda))
        if not cached.is_file():
            write_atomically(cached, _build(trt, model, plan_build(artifact.manifest.target.precision, str(trt.__version__))))
        with complaints(NAME, f"open the engine {str(cached)!r}", hint=f"rm {cached}"):
            engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(cached.read_bytes())
            if engine is None:
                raise DeviceError(f"tensorrt refused the engine {str(cached)!r}", f"rm {cached}")
            return TensorRTSession(engine, trt, cuda)


def _build(trt: ModuleType, model: str, plan: BuildPlan) -> bytes:
    """The serialized engine of an ONNX file."""
    with complaints(NAME, f"build an engine of {model!r}"):
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        network = builder.create_network(_network_flags(trt, plan))
        parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
        if not parser.parse_from_file(model):
            said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise DeviceError(f"tensorrt does not read {model!r}: {said}", "convert again for this board's TensorRT version")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace_bytes)
        for flag in plan.flags:
            config.set_flag(getattr(trt.BuilderFlag, flag))
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise DeviceError(f"tensorrt could not build an engine of {model!r}", "is there memory left on the board?")
        return bytes(built)


def _network_flags(trt: ModuleType, plan: BuildPlan) -> int:
    """Explicit batch, which is the only kind since 10, and strong typing when planned."""
    flags = trt.NetworkDefinitionCreationFlag
    names = ("EXPLICIT_BATCH", *(("STRONGLY_TYPED",) if plan.typing == "strong" else ()))
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))


def _cuda() -> ModuleType:
    """CUDA's Python binding, under its newer or its older name."""
    try:
        return need("cuda.bindings.runtime")
    except MissingDependency:
        pass
    try:
        return need("cuda.cudart")
    except MissingDependency as missing:
        raise MissingDependency(missing.message, 'pip install "cuda-python"') from missing


def _gpu_name(cuda: ModuleType) -> str:
    """Name of the first GPU."""
    properties = _done(cuda, cuda.cudaGetDeviceProperties(0))
    name = properties.name
    return name.decode().rstrip("\0") if isinstance(name, bytes) else str(name)


def _done(cuda: ModuleType, answer: tuple[Any, ...]) -> Any:
    """A CUDA call's result, or `DeviceError` with its error code."""
    error, *values = answer
    if int(error) != 0:
        raise DeviceError(f"CUDA said {error}", "is the GPU busy or out of memory? see 'edgekit doctor'")
    return values[0] if values else None


def _kind(cuda: ModuleType, way: str) -> Any:
    return getattr(cuda.cudaMemcpyKind, f"cudaMemcpy{way}")


def _spec(engine: Any, trt: ModuleType, name: str) -> TensorSpec:
    return TensorSpec(
        name=name,
        shape=tuple(int(dim) for dim in engine.get_tensor_shape(name)),
        dtype=np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name,
    )


def _size(spec: TensorSpec) -> int:
    return max(int(np.prod(spec.shape)), 1) * np.dtype(spec.dtype).itemsize


runtime: Runtime[Session] = _TensorRT()
