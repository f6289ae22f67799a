"""Class activation maps: exact by the weights of the file that runs, and of the network that ran."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.apps.vision.explain.class_activation import ClassActivation, linear_head
from edgekit.apps.vision.explain.faithfulness import areas
from edgekit.apps.vision.networks.artifacts import adopted
from edgekit.converters.tflite_file import read as tflite_file
from edgekit.core.errors import InputError, Unsupported
from edgekit.models.digits import artifacts
from edgekit.tasks.classification import classify
from edgekit.tasks.pictures.images import read_image
from edgekit.tasks.pictures.preprocess import prepare

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
onnx = pytest.importorskip("onnx", reason="onnx (extra convert) is not installed")
CLASSES, CHANNELS = 3, 4


def network(folder: Path, *, end: str = "mean") -> Path:
    """A picture of 12 x 16, one convolution with ReLU, the mean (or the maximum) over places, a dense layer, softmax."""
    helper, chance = onnx.helper, np.random.default_rng(0)
    values = {
        "kernel": chance.normal(size=(CHANNELS, 3, 3, 3)).astype(np.float32),
        "dense": chance.normal(size=(CLASSES, CHANNELS)).astype(np.float32),
        "bias": chance.normal(size=CLASSES).astype(np.float32),
    }
    pool = "GlobalAveragePool" if end == "mean" else "GlobalMaxPool"
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["convolved"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["convolved"], ["features"]),
        helper.make_node(pool, ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", real, [1, 3, 12, 16])],
        [helper.make_tensor_value_info("probabilities", real, [1, CLASSES])],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / f"{end}.onnx")
    np.savez(folder / "weights.npz", **values)
    return folder / f"{end}.onnx"


def by_hand(picture: np.ndarray, weights: dict[str, np.ndarray], class_id: int) -> np.ndarray:
    """The sum that the map is defined as, written out."""
    padded = np.pad(picture.astype(np.float64) / 255, ((1, 1), (1, 1), (0, 0)))
    heat = np.zeros(picture.shape[:2])
    for row, column in np.ndindex(*heat.shape):
        window = padded[row : row + 3, column : column + 3].transpose(2, 0, 1)
        for channel in range(CHANNELS):
            heat[row, column] += weights["dense"][class_id, channel] * max(
                0.0, float((weights["kernel"][channel] * window).sum())
            )
    return heat


def test_the_map_is_the_sum_of_the_features_weighted_by_the_dense_layer(tmp_path: Path) -> None:
    artifact = edgekit.convert(network(tmp_path), target="rpi5", precision="fp32", output=tmp_path / "artifacts")
    weights = dict(np.load(tmp_path / "weights.npz"))
    picture = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    with ClassActivation(artifact.path) as maps:
        found = [maps.raw(picture, class_id) for class_id in range(CLASSES)]
    for class_id, heat in enumerate(found):
        np.testing.assert_allclose(heat, by_hand(picture, weights, class_id), atol=1e-4)
    with edgekit.load(artifact.path) as session:
        (answer,) = session.run({"image": picture.transpose(2, 0, 1)[None] / np.float32(255)}).values()
    scores = np.array([heat.mean() for heat in found]) + weights["bias"]
    np.testing.assert_allclose(answer[0], np.exp(scores) / np.exp(scores).sum(), atol=1e-4)


def test_the_map_has_the_pictures_size_and_goes_from_0_to_1(tmp_path: Path) -> None:
    artifact = edgekit.convert(network(tmp_path), target="rpi5", precision="fp32", output=tmp_path / "artifacts")
    picture = np.random.default_rng(1).integers(0, 256, (120, 90, 3)).astype(np.uint8)
    with ClassActivation(artifact.path) as maps:
        found = maps(picture, 1)
        with pytest.raises(InputError, match="there is no class 3"):
            maps(picture, 3)
    assert (found.method, found.calls, found.heat.shape) == ("cam", 1, (120, 90))
    assert float(found.heat.min()) >= 0 and float(found.heat.max()) <= 1


def test_a_network_that_ends_otherwise_says_so(tmp_path: Path) -> None:
    largest = edgekit.convert(network(tmp_path, end="max"), target="rpi5", precision="fp32", output=tmp_path / "artifacts")
    with pytest.raises(Unsupported, match="does not end in a mean over places and one dense layer"):
        ClassActivation(largest.path)
    with pytest.raises(Unsupported, match="is a file in the format onnx"):
        ClassActivation(next(path for path in artifacts() if "fp32" in path.name))


def test_the_boxed_digit_network_in_int8_has_maps() -> None:
    digit = np.zeros((28, 28, 3), np.uint8)
    digit[4:24, 13:16] = 255
    with ClassActivation(next(path for path in artifacts() if "int8" in path.name)) as maps:
        means = [float(maps.raw(digit, class_id).mean()) for class_id in range(10)]
    assert int(np.argmax(means)) == 1


MOBILENET = "mobilenet_v2_1.0_224_quant.tflite"
OBJECTS = {"cat.bmp": (282, (0.10, 0.10, 0.71, 1.0)), "parrot.jpg": (89, (0.19, 0.10, 0.91, 0.66))}
"""The class of what each photograph shows (ImageNet's, counted from the background, 0), and the box around it in shares."""


@pytest.mark.parametrize("name", OBJECTS)
def test_the_map_points_at_the_object_and_is_of_the_weights_that_ran(shared_data: Path, tmp_path: Path, name: str) -> None:
    """A file as its maker published it, in uint8: the hottest place lies on the object, and inside its box it is hotter than around.
    With the values of the dense layer's weights in another order the map is another (Adebayo et al., arXiv:1810.03292)."""
    class_id, box = OBJECTS[name]
    data = (shared_data / "models_coral" / MOBILENET).read_bytes()
    picture = read_image(shared_data / "images_coral" / name)
    with adopted(written(tmp_path / "published.tflite", data)) as path, ClassActivation(path) as maps:
        heat = maps(picture, class_id).heat
    with adopted(written(tmp_path / "mixed.tflite", mixed(data))) as path, ClassActivation(path) as maps:
        other = maps(picture, class_id).heat
    height, width = picture.shape[:2]
    left, top, right, bottom = (np.array(box) * [width, height, width, height]).astype(int)
    inside = np.zeros(heat.shape, bool)
    inside[top:bottom, left:right] = True
    assert inside.ravel()[heat.argmax()]
    assert heat[inside].mean() > 1.5 * heat[~inside].mean()
    assert np.corrcoef(heat.ravel(), other.ravel())[0, 1] < 0.5


@pytest.mark.parametrize("name", OBJECTS)
def test_the_map_is_more_faithful_than_chance_by_deletion_and_insertion(shared_data: Path, tmp_path: Path, name: str) -> None:
    class_id, _ = OBJECTS[name]
    picture = read_image(shared_data / "images_coral" / name)
    data = (shared_data / "models_coral" / MOBILENET).read_bytes()
    with adopted(written(tmp_path / "published.tflite", data)) as path, edgekit.load(path, threads=1) as session:
        manifest = session.artifact.manifest
        preprocess, postprocess = manifest.preprocess, manifest.postprocess
        assert preprocess is not None and postprocess is not None

        def certainty(shown: np.ndarray) -> float:
            return float(
                classify(session.run({preprocess.input: prepare(shown, preprocess).array}), postprocess, preprocess)[class_id]
            )

        with ClassActivation(path) as maps:
            made = areas(certainty, picture, maps(picture, class_id).heat)
        drawn = areas(certainty, picture, np.random.default_rng(1).random(picture.shape[:2]).astype(np.float32))
    assert made.insertion > drawn.insertion + 0.1
    assert made.deletion < drawn.deletion + 0.02


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def mixed(data: bytes) -> bytes:
    """The file with the bytes of its dense layer's weights in another order."""
    file = tflite_file.parse(data)
    head = linear_head(file)
    assert head is not None
    weights = next(tensor for tensor in file.tensors if tensor.elements == head.weights.size and tensor.constant)
    before = bytes(weights.data)
    at = data.index(before)
    after = np.random.default_rng(0).permutation(np.frombuffer(before, np.uint8)).tobytes()
    return data[:at] + after + data[at + len(after) :]
