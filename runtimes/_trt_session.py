"""A built engine at work: pinned buffers on this side, device buffers on that, and one CUDA graph for the whole round trip."""

from __future__ import annotations

import ctypes
import logging
from types import ModuleType
from typing import Any

import numpy as np

from edgekit.core.errors import DeviceError
from edgekit.core.schema import TensorSpec
from edgekit.runtimes.base import Arrays

log = logging.getLogger(__name__)


class TensorRTSession:
    """A deserialized engine. Every tensor has a buffer in the GPU's memory and a pinned one in the processor's.

    The first run goes call by call; what it does (copy in, compute, copy out) is then recorded as a CUDA graph, and later runs
    launch that. Engines that cannot be recorded go on call by call.
    """

    def __init__(self, engine: Any, trt: ModuleType, cuda: ModuleType) -> None:
        self._engine, self._cuda = engine, cuda
        self._context: Any = engine.create_execution_context()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = tuple(_spec(engine, trt, name) for name in inputs)
        self.outputs = tuple(_spec(engine, trt, name) for name in names if name not in inputs)
        self._stream = done(cuda.cudaStreamCreate())
        self._device: dict[str, Any] = {}
        self._pinned: dict[str, Any] = {}
        self._arrays: dict[str, Any] = {}
        self._graph: Any = None
        self._ran = False
        try:
            self._allocate()
        except DeviceError:
            self.close()
            raise

    def _allocate(self) -> None:
        for spec in (*self.inputs, *self.outputs):
            size = _size(spec)
            self._device[spec.name] = address = done(self._cuda.cudaMalloc(size))
            self._context.set_tensor_address(spec.name, int(address))
            self._pinned[spec.name] = host = done(self._cuda.cudaHostAlloc(size, 0))
            memory = memoryview((ctypes.c_byte * size).from_address(int(host))).cast("B")
            self._arrays[spec.name] = np.ndarray(spec.shape, spec.dtype, memory)

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name, in new arrays. Raises `DeviceError` for whatever CUDA or TensorRT refuses."""
        if self._context is None:
            raise DeviceError("this tensorrt session is closed")
        for spec in self.inputs:
            self._fill(spec, feed)
        if self._graph is not None:
            done(self._cuda.cudaGraphLaunch(self._graph, self._stream))
        else:
            self._enqueue()
        done(self._cuda.cudaStreamSynchronize(self._stream))
        if not self._ran:
            self._ran = True
            self._record()
        return {spec.name: self._arrays[spec.name].copy() for spec in self.outputs}

    def close(self) -> None:
        """Free the GPU's memory; closing again does nothing."""
        if self._context is None:
            return
        cuda, self._arrays = self._cuda, {}
        if self._graph is not None:
            done(cuda.cudaGraphExecDestroy(self._graph))
        self._context = self._engine = self._graph = None
        for address in self._device.values():
            done(cuda.cudaFree(address))
        for address in self._pinned.values():
            done(cuda.cudaFreeHost(address))
        done(cuda.cudaStreamDestroy(self._stream))

    def _fill(self, spec: TensorSpec, feed: Arrays) -> None:
        array = feed.get(spec.name)
        if array is None:
            raise DeviceError(f"tensorrt: the feed has no {spec.name!r}")
        if array.shape != spec.shape:
            raise DeviceError(f"tensorrt: {spec.name!r} must be {list(spec.shape)}, got {list(array.shape)}")
        np.copyto(self._arrays[spec.name], array, casting="same_kind")

    def _enqueue(self) -> None:
        """Everything a run does on the stream: copy in, compute, copy out."""
        cuda, kind = self._cuda, self._cuda.cudaMemcpyKind
        for spec in self.inputs:
            to, of = self._device[spec.name], self._pinned[spec.name]
            done(cuda.cudaMemcpyAsync(to, of, _size(spec), kind.cudaMemcpyHostToDevice, self._stream))
        if not self._context.execute_async_v3(int(self._stream)):
            raise DeviceError("tensorrt could not run the engine", "edgekit doctor")
        for spec in self.outputs:
            to, of = self._pinned[spec.name], self._device[spec.name]
            done(cuda.cudaMemcpyAsync(to, of, _size(spec), kind.cudaMemcpyDeviceToHost, self._stream))

    def _record(self) -> None:
        """Record the run as a graph. TensorRT asks for one run beforehand; some layers cannot be recorded, which is no error."""
        cuda = self._cuda
        try:
            done(cuda.cudaStreamBeginCapture(self._stream, cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal))
            try:
                self._enqueue()
            finally:
                graph = done(cuda.cudaStreamEndCapture(self._stream))
            try:
                self._graph = done(cuda.cudaGraphInstantiateWithFlags(graph, 0))
            finally:
                done(cuda.cudaGraphDestroy(graph))  # the template: what is launched is a copy of it
        except DeviceError as refused:
            cuda.cudaGetLastError()  # what was refused must not be taken for a fault of the next call
            log.info("the engine runs call by call, it cannot be recorded as a CUDA graph (%s)", refused.message)


def done(answer: tuple[Any, ...]) -> Any:
    """A CUDA call's result, or `DeviceError` with its error code."""
    error, *values = answer
    if int(error) != 0:
        raise DeviceError(f"CUDA said {error}", "is the GPU busy or out of memory? see 'edgekit doctor'")
    return values[0] if values else None


def _spec(engine: Any, trt: ModuleType, name: str) -> TensorSpec:
    return TensorSpec(
        name=name,
        shape=tuple(int(dim) for dim in engine.get_tensor_shape(name)),
        dtype=np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name,
    )


def _size(spec: TensorSpec) -> int:
    return max(int(np.prod(spec.shape)), 1) * np.dtype(spec.dtype).itemsize
