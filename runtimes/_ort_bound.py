"""A session whose tensors live on a device: made once, filled in place before every run, read back after it."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from edgekit.core.errors import DeviceError
from edgekit.core.schema import TensorSpec
from edgekit.runtimes.base import Arrays


class BoundSession:
    """An ONNX Runtime session with its inputs and outputs bound to memory of `device` ("cuda", or "cpu" to prove the wire).

    No allocation and no address changes between runs; an input crosses once, an output once. Every shape must be known.
    """

    def __init__(
        self, session: Any, ort: ModuleType, device: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
    ) -> None:
        self._session: Any = session
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._binding = session.io_binding()
        self._into = {spec.name: _memory(ort, spec, device) for spec in self.inputs}
        self._out = {spec.name: _memory(ort, spec, device) for spec in self.outputs}
        for name, value in self._into.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._out.items():
            self._binding.bind_ortvalue_output(name, value)

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name, in new arrays. Raises `DeviceError` for a feed that does not fit, or what ONNX Runtime refuses."""
        if self._session is None:
            raise DeviceError("this onnxruntime session is closed")
        arrays = {spec.name: _fitting(spec, feed) for spec in self.inputs}
        try:
            for name, array in arrays.items():
                self._into[name].update_inplace(array)
            self._binding.synchronize_inputs()
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
            return {name: np.array(value.numpy()) for name, value in self._out.items()}
        except Exception as exc:
            raise DeviceError(f"onnxruntime could not run the model: {exc}") from exc

    def close(self) -> None:
        """Release the model and its memory; closing again does nothing."""
        self._session = self._binding = None
        self._into, self._out = {}, {}


def bindable(specs: Sequence[TensorSpec]) -> bool:
    """Whether every tensor's size is known before the run, and is numbers."""
    return all(min(spec.shape, default=0) >= 0 and spec.dtype != "object" for spec in specs)


def _memory(ort: ModuleType, spec: TensorSpec, device: str) -> Any:
    return ort.OrtValue.ortvalue_from_shape_and_type(list(spec.shape), np.dtype(spec.dtype), device, 0)


def _fitting(spec: TensorSpec, feed: Arrays) -> Any:
    """The fed array, whole and of the bound size: what is copied in place is not checked by anyone else."""
    array = feed.get(spec.name)
    if array is None:
        raise DeviceError(f"onnxruntime: the feed has no {spec.name!r}")
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise DeviceError(
            f"onnxruntime: {spec.name!r} must be {spec.dtype} {list(spec.shape)}, got {array.dtype} {list(array.shape)}"
        )
    return np.asarray(array, order="C")
