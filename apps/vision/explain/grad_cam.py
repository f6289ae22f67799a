"""Grad-CAM: which places of which features a score hangs on, by its gradients in the model that the artifact was made from.

Of a classifier it is Grad-CAM as it was written (Selvaraju et al., arXiv:1610.02391): the last map of features, each channel weighed by its
mean gradient. A detection is one of many in a picture, and a mean over all places would mix them: there the gradient counts where it
is (Jiang et al., "LayerCAM", IEEE TIP 2021), at every resolution that the network looks with. PyTorch computes both; the weights are the
source's, in float, whatever the artifact rounds them to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.explain.asking import Explanation, Map, scaled
from edgekit.apps.vision.explain.placed import placed
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.tracking.assign import overlaps
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.core.errors import ArtifactError, InputError, Unsupported
from edgekit.core.optional import need
from edgekit.core.schema import Artifact
from edgekit.tasks.decoding.dense import class_cells
from edgekit.tasks.pictures.preprocess import Prepared, prepare

if TYPE_CHECKING:
    from torch import Tensor

    from edgekit.converters.graph import Graph
    from edgekit.gradients.interpreter import TorchGraph

NAME = "grad-cam"
SCORES: Mapping[str, tuple[int | None, int]] = {"yolox": (4, 5), "fastestdet": (0, 5), "yolov8": (None, 4)}
"""Of the heads with one box in a cell: where a cell has its objectness, and where its classes begin."""
CERTAIN = 1e-6
"""Scores are held this far from 0 and 1, where a logit ends."""
FINAL = ("Softmax", "LogSoftmax", "Sigmoid", "Reshape", "Flatten", "Squeeze", "Identity")
"""Behind a classifier's scores: what squashes them or only reshapes them."""
LAST = 6
"""Maps of features looked at of one resolution: the last ones, of which some lead to boxes alone."""
OTHERWISE = "--method occlusion explains any network"


class GradCam:
    """The gradients of one artifact's source, for as long as it is kept; for one thread at a time."""

    def __init__(self, artifact: Artifact, original: Path) -> None:
        """Raises `MissingDependency` without PyTorch or ONNX, `Unsupported` for an operator without gradients, and as importing
        `original` does."""
        need("torch")
        manifest = artifact.manifest
        if manifest.preprocess is None or manifest.postprocess is None:
            raise ArtifactError(f"{artifact.path.name!r} does not say how pictures go in and answers come out")
        self._preprocess, self._postprocess = manifest.preprocess, manifest.postprocess
        self._net = _network(original)

    def of_class(self, picture: NDArray[np.uint8], class_id: int) -> Explanation:
        """What of the picture (uint8 RGB [H, W, 3]) speaks for the class. Raises `InputError` for a class that is none."""
        scores = _before_squashing(self._net.graph)
        count = int(np.prod(self._net.graph.shape(scores)))
        if not 0 <= class_id < count:
            raise InputError(f"there is no class {class_id}, only 0 to {count - 1}", "which class was read?")
        features = _maps(self._net.graph)[-1:]
        if not features:
            raise Unsupported("the network has no map of features", OTHERWISE)
        prepared = prepare(picture, self._preprocess)
        values = self._run(prepared, [*features, scores])
        ((activations, gradient),) = _gradients(values[scores].flatten()[class_id], [values[name] for name in features])
        heat = (gradient.mean(axis=(1, 2), keepdims=True) * activations).sum(axis=0)
        return self._explanation([heat], prepared)

    def of_detection(self, frame: Frame, detection: Boxes) -> Explanation:
        """What of the frame speaks for `detection` (one row): for the cells that propose its box, each by its score and agreement.

        Raises `Unsupported` for a head whose cells are not known.
        """
        prepared = prepare(frame.rgb(), self._preprocess)
        features = _seen_by_convolutions(self._net.graph)
        values = self._run(prepared, [name for names in features.values() for name in names])
        target = self._certainty(values, prepared, detection)
        heats = []
        for names in features.values():
            found = [pair for pair in _gradients(target, [values[name] for name in names]) if pair[1].any()]
            if found:
                activations, gradient = found[-1]
                heats.append((np.maximum(gradient, 0) * activations).sum(axis=0))
        return self._explanation(heats, prepared)

    def _certainty(self, values: Mapping[str, Tensor], prepared: Prepared, detection: Boxes) -> Tensor:
        """How much the cells speak for the detection: their scores as logits, weighed by how well their boxes agree with its own."""
        outputs = {spec.name: values[spec.name] for spec in self._net.graph.outputs}
        class_id = int(detection.class_ids[0])
        arrays = {name: value.detach().numpy() for name, value in outputs.items()}
        grid = class_cells(arrays, self._postprocess, self._preprocess, class_id)
        if grid is None or self._postprocess.head not in SCORES:
            raise Unsupported(f"it is not known which cells of a {self._postprocess.head} head speak for a box", OTHERWISE)
        boxes = prepared.placement.boxes_to_image(grid.boxes).astype(np.float64)
        same = np.zeros(len(boxes), np.int64)
        votes = grid.scores * overlaps(detection.boxes, boxes, np.zeros(1, np.int64), same)[0]
        logits = class_logits(outputs, self._postprocess.head, len(self._postprocess.labels), class_id)
        weighed: Tensor = (need("torch").from_numpy(votes.astype(np.float32)) * logits).sum()
        return weighed

    def _run(self, prepared: Prepared, wanted: list[str]) -> Mapping[str, Tensor]:
        """The outputs and the wanted tensors, whose gradients can be asked for."""
        picture = need("torch").from_numpy(np.ascontiguousarray(prepared.array, np.float32)).requires_grad_()
        return self._net.run({self._preprocess.input: picture}, wanted)

    def _explanation(self, heats: list[NDArray[np.float32]], prepared: Prepared) -> Explanation:
        """The highest of the maps, each from 0 to its own hottest place, over the picture."""
        size = (self._preprocess.height, self._preprocess.width)
        whole = [placed(scaled(heat), size, prepared.placement) for heat in heats]
        shape = (prepared.placement.image_height, prepared.placement.image_width)
        heat: Map = np.maximum.reduce(whole) if whole else np.zeros(shape, np.float32)
        return Explanation(heat=heat, method=NAME, timed_out=False, calls=1)


def class_logits(outputs: Mapping[str, Tensor], head: str, classes: int, class_id: int) -> Tensor:
    """[cells], as `class_cells` orders them: the logit of each cell's score for the class, and of its objectness, if it has one."""
    objectness, first = SCORES[head]
    output = next(value for value in outputs.values() if first + classes in value.shape[1:])
    axis = list(output.shape).index(first + classes, 1)
    columns = [first + class_id, *([] if objectness is None else [objectness])]
    logits: Tensor = sum(_logit(output.select(axis, column).flatten()) for column in columns)
    return logits


def _logit(scores: Tensor) -> Tensor:
    found: Tensor = need("torch").logit(scores.clamp(CERTAIN, 1 - CERTAIN))
    return found


def _gradients(target: Tensor, features: list[Tensor]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Each map [C, h, w] with the gradient of the target by it, 0 where the target does not hang on it."""
    found = need("torch").autograd.grad(target, features, retain_graph=True, allow_unused=True, materialize_grads=True)
    return [(value.detach()[0].numpy(), gradient[0].numpy()) for value, gradient in zip(features, found, strict=True)]


def _network(original: Path) -> TorchGraph:
    from edgekit.converters.optimise import optimise  # these need onnx, which an artifact runs without
    from edgekit.formats import import_model
    from edgekit.gradients.interpreter import torch_graph

    try:
        return torch_graph(optimise(import_model(original, {}).graph), trained=False)
    except Unsupported as exc:
        raise Unsupported(exc.message, OTHERWISE) from exc


def _maps(graph: Graph) -> list[str]:
    """The computed tensors that are maps [1, C, h, w] of more than one place, in their order."""
    made = (name for node in graph.nodes for name in node.outputs if name)
    return [name for name in made if len(graph.shape(name)) == 4 and min(graph.shape(name)[2:]) > 1]


def _seen_by_convolutions(graph: Graph) -> Mapping[tuple[int, ...], list[str]]:
    """By height and width the last maps that a convolution looks at: what a head predicts is looked at by none."""
    seen = {node.inputs[0] for node in graph.nodes if node.op == "Conv"}
    found: dict[tuple[int, ...], list[str]] = {}
    for name in _maps(graph):
        if name in seen:
            found.setdefault(graph.shape(name)[2:], []).append(name)
    return {size: names[-LAST:] for size, names in found.items()}


def _before_squashing(graph: Graph) -> str:
    """The tensor of a classifier's scores before they are made probabilities: gradients die where these are nearly 0 or 1."""
    name, count = graph.outputs[0].name, np.prod(graph.shape(graph.outputs[0].name))
    while True:
        node = graph.producers.get(name)
        if node is None or node.op not in FINAL or np.prod(graph.shape(node.inputs[0])) != count:
            return name
        name = node.inputs[0]
