"""OpenCV's DNN module, the last resort for `onnx` artifacts: it is on many boards that have nothing else, and slower than the others.

It takes float32 inputs of known shape. What it computes of an integer model is its own affair: it has fewer operators than
ONNX Runtime, and says so while the file is read. It runs in a process of its own: a damaged file can end it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from edgekit.core.errors import ArtifactError, DeviceError, MissingDependency, Unsupported
from edgekit.core.optional import need
from edgekit.core.schema import Artifact, TensorSpec
from edgekit.runtimes._apart import apart
from edgekit.runtimes.base import Arrays, Probe, Runtime, Session, complaints, cores, model_file

NAME = "opencv"
TAKES = "float32"
RUN_S = 300.0


class OpenCVSession:
    """A network that OpenCV has read. Tensors are those of the artifact's manifest, which the file has by the same names."""

    def __init__(self, net: Any, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> None:
        self._net: Any = net
        self.inputs, self.outputs = inputs, outputs
        self._names = [spec.name for spec in outputs]

    def run(self, feed: Arrays) -> Arrays:
        """All outputs by name, in new arrays. Raises `DeviceError` for a feed that does not fit, or what OpenCV refuses."""
        if self._net is None:
            raise DeviceError("this opencv session is closed")
        for spec in self.inputs:
            _ensure_fits(spec, feed)
        with complaints(NAME, "run the model"):
            for spec in self.inputs:
                self._net.setInput(np.ascontiguousarray(feed[spec.name]), spec.name)
            found = self._net.forward(self._names)
        return {spec.name: _answer(spec, array) for spec, array in zip(self.outputs, found, strict=True)}

    def close(self) -> None:
        """Release the network; closing again does nothing."""
        self._net = None


class _OpenCV:
    name = NAME
    formats = ("onnx",)

    def probe(self) -> Probe:
        """Whether the package imports here, with its DNN module."""
        try:
            cv2 = need("cv2")
        except MissingDependency as missing:
            return Probe(ok=False, reason=missing.message, hint=missing.hint)
        if not hasattr(cv2, "dnn"):
            return Probe(
                ok=False, reason=f"OpenCV {cv2.__version__} was built without DNN", hint='pip install "edgekit[opencv]"'
            )
        return Probe(ok=True, version=str(cv2.__version__))

    def load(self, artifact: Artifact, *, threads: int = 0) -> Session:
        """Open the artifact's model file. `ArtifactError` when it is no model, `Unsupported` for what OpenCV does not take."""
        manifest = artifact.manifest
        inputs = tuple(port.engine for port in manifest.inputs)
        odd = next((spec for spec in inputs if spec.dtype != TAKES), None)
        if odd is not None:
            raise Unsupported(
                f"opencv takes {TAKES} inputs, and {odd.name!r} is {odd.dtype}", "load it with runtime='onnxruntime'"
            )
        need("cv2")
        arguments = {
            "path": model_file(artifact),
            "threads": threads,
            "inputs": msgspec.to_builtins(inputs),
            "outputs": msgspec.to_builtins(tuple(port.engine for port in manifest.outputs)),
        }
        return apart(
            NAME, f"{__name__}:{open_net.__name__}", arguments, advice="load it with runtime='onnxruntime'", run_s=RUN_S
        )


def open_net(path: str, threads: int, inputs: list[Any], outputs: list[Any]) -> OpenCVSession:
    """The network in this process. What the process apart calls."""
    specs = [msgspec.convert(side, tuple[TensorSpec, ...]) for side in (inputs, outputs)]
    return OpenCVSession(_read(need("cv2"), path, cores(threads)), *specs)


def _read(cv2: Any, path: str, threads: int) -> Any:
    _silence(cv2)
    cv2.setNumThreads(threads)
    try:
        return cv2.dnn.readNetFromONNX(path)
    except cv2.error as exc:
        said = str(exc.err or exc).strip().splitlines()
        why = said[0] if said else "it does not say why"
        if "parse" in why.lower():
            raise ArtifactError(f"{path!r} is not a readable ONNX model: {why}", "convert the model again") from exc
        raise DeviceError(f"opencv could not load {path!r}: {why}", "load it with runtime='onnxruntime'") from exc


def _silence(cv2: Any) -> None:
    """What goes wrong comes as an exception as well; where the switch is depends on the version."""
    logging = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)


def _ensure_fits(spec: TensorSpec, feed: Arrays) -> None:
    """OpenCV would reshape the whole network to whatever comes."""
    array = feed.get(spec.name)
    if array is None:
        raise DeviceError(f"opencv: the feed has no {spec.name!r}")
    if array.shape != spec.shape or array.dtype != spec.dtype:
        raise DeviceError(
            f"opencv: {spec.name!r} must be {spec.dtype} {list(spec.shape)}, got {array.dtype} {list(array.shape)}"
        )


def _answer(spec: TensorSpec, array: Any) -> Any:
    """A copy, since OpenCV writes the next answer to the same memory."""
    if array.size != int(np.prod(spec.shape)):
        raise DeviceError(f"opencv: {spec.name!r} came as {list(array.shape)}, which is not {list(spec.shape)}")
    return np.array(array, spec.dtype).reshape(spec.shape)


runtime: Runtime[Session] = _OpenCV()
