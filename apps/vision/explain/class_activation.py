"""Class activation maps of classifiers (Zhou et al., "Learning Deep Features for Discriminative Localization", arXiv:1512.04150).

Where a network ends in the mean over its last feature map and one dense layer, a class's score is the mean of one map: the features'
channels, weighted by that layer. Both lie in the TFLite file that runs on the device, so the map is exact, costs one run, and needs no
gradients; for such networks it is what Grad-CAM gives (Selvaraju et al., arXiv:1610.02391, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.explain.asking import Explanation, Map, scaled
from edgekit.apps.vision.explain.placed import placed
from edgekit.artifact import read
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.converters.tflite_file.read import Operator, Tensor, TFLiteFile
from edgekit.converters.tflite_file.values import value_of
from edgekit.core.errors import ArtifactError, InputError, Unsupported
from edgekit.core.schema import Artifact
from edgekit.loading import open_inner
from edgekit.runtimes.base import model_file
from edgekit.runtimes.face import FaceSession
from edgekit.tasks.pictures.preprocess import Placement, prepare

FORMAT = "tflite"
PASSED = ("SOFTMAX", "LOGISTIC", "RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE")
"""Operators that change neither which class is meant nor the order of the channels."""
HEIGHT_AND_WIDTH = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearHead:
    """How a network ends: the tensor whose mean over places goes in, and the dense layer's weights float32 [classes, channels]."""

    features: int
    weights: NDArray[np.float32]


class ClassActivation:
    """The class activation maps of one artifact, for as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Raises `Unsupported` for an artifact that is no TFLite classifier, or does not end in a mean and one dense layer."""
        artifact = read(path)
        file = _file(artifact)
        head = linear_head(file)
        if head is None:
            raise Unsupported(
                f"{artifact.path.name!r} does not end in a mean over places and one dense layer",
                "occlusion explains any network",
            )
        preprocess = artifact.manifest.preprocess
        if preprocess is None:
            raise ArtifactError(f"{artifact.path.name!r} does not say how pictures go in", "convert the model again")
        self._preprocess, self._weights = preprocess, head.weights
        self._session: FaceSession = open_inner(artifact, head.features)

    def __call__(self, picture: NDArray[np.uint8], class_id: int) -> Explanation:
        """What of the picture (uint8 RGB [H, W, 3]) speaks for the class. Raises `InputError` for a class that is none."""
        raw, placement = self._of(picture, class_id)
        heat = placed(scaled(raw), (self._preprocess.height, self._preprocess.width), placement)
        return Explanation(heat=heat, method="cam", timed_out=False, calls=1)

    def raw(self, picture: NDArray[np.uint8], class_id: int) -> Map:
        """float32 [h, w], as coarse as the features: its mean is the class's score before softmax, less the bias."""
        return self._of(picture, class_id)[0]

    def close(self) -> None:
        """Release the engine."""
        self._session.close()

    def __enter__(self) -> ClassActivation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _of(self, picture: NDArray[np.uint8], class_id: int) -> tuple[Map, Placement]:
        if not 0 <= class_id < len(self._weights):
            raise InputError(f"there is no class {class_id}, only 0 to {len(self._weights) - 1}", "which class was read?")
        prepared = prepare(picture, self._preprocess)
        (features,) = self._session.run({self._preprocess.input: prepared.array}).values()
        return (features[0] @ self._weights[class_id]).astype(np.float32), prepared.placement


def linear_head(file: TFLiteFile) -> LinearHead | None:
    """The end of a classifier's file, from its output backwards; None where it is not features, their mean, and a dense layer."""
    if len(file.outputs) != 1:
        return None
    dense = _before(file, file.outputs[0])
    if dense is None or not _is_dense(dense):
        return None
    pool = _before(file, dense.inputs[0])
    weights = file.tensors[dense.inputs[1]]
    if pool is None or not _is_mean(file, pool) or not weights.constant:
        return None
    features = file.tensors[pool.inputs[0]]
    if len(features.shape) != 4 or weights.elements != weights.shape[0] * features.shape[3]:
        return None
    return LinearHead(features=pool.inputs[0], weights=_real(weights).reshape(weights.shape[0], features.shape[3]))


def _before(file: TFLiteFile, tensor: int) -> Operator | None:
    """The operator that made a tensor, past those that only reshape or rescale it."""
    found = file.producers.get(tensor)
    for _ in file.operators:
        if found is None or found.op not in PASSED or not found.inputs:
            return found
        found = file.producers.get(found.inputs[0])
    return None


def _is_dense(found: Operator) -> bool:
    """Whether it is a dense layer (as a convolution, too) with no activation fused into it."""
    activation = {"CONV_2D": 3, "FULLY_CONNECTED": 0}.get(found.op)
    return activation is not None and len(found.inputs) > 1 and found.option(activation, "<b") == 0


def _is_mean(file: TFLiteFile, pool: Operator) -> bool:
    """Whether the operator is the plain mean over all places."""
    shape = file.tensors[pool.inputs[0]].shape if pool.inputs else ()
    if len(shape) != 4:
        return False
    if pool.op == "MEAN" and len(pool.inputs) == 2:
        return tuple(sorted(axis % 4 for axis in file.tensors[pool.inputs[1]].integers())) == HEIGHT_AND_WIDTH
    window = (pool.option(4, "<i"), pool.option(3, "<i"))
    whole = file.tensors[pool.outputs[0]].shape[1:3] == (1, 1)
    return pool.op == "AVERAGE_POOL_2D" and whole and window == shape[1:3] and pool.option(5, "<b") == 0


def _real(weights: Tensor) -> NDArray[np.float32]:
    """The weights as the floats they stand for; their first axis is that of the classes."""
    value = value_of(weights).astype(np.float32)
    if not weights.scale:
        return value
    rows = (-1, *[1] * (value.ndim - 1))
    zero, scale = (np.asarray(part, np.float32).reshape(rows) for part in (weights.zero_point or (0,), weights.scale))
    return ((value - zero) * scale).astype(np.float32)


def _file(artifact: Artifact) -> TFLiteFile:
    if artifact.manifest.target.format != FORMAT:
        raise Unsupported(
            f"{artifact.path.name!r} is a file in the format {artifact.manifest.target.format}: only TFLite shows its features",
            "convert it for the CPU too (--target rpi5), or ask by occlusion",
        )
    return tflite_file.load(Path(model_file(artifact)))
