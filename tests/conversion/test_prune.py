"""`convert --prune`: fewer multiply-accumulates, said in the manifest, and gated by accuracy like everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit.conversion.pipeline import source_for
from edgekit.conversion.request import Pruning, Request, multiples_for
from edgekit.conversion.shrink import shrunk
from edgekit.converters.cost import graph_cost
from edgekit.converters.importers.onnx.file import load
from edgekit.core.errors import EdgekitError, GateFailed, InputError, UsageError
from edgekit.core.profiles import find
from edgekit.core.schema import Precision, Recipe
from edgekit.models.digits import draw, model_path


@pytest.fixture(scope="module")
def digits() -> list[dict[str, np.ndarray]]:
    images, _ = draw.small_digits(40, seed=3)
    return [{"image": image[None, None].astype(np.float32) / np.float32(255)} for image in images]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgekit.tasks.pictures.images import write_png

    folder = tmp_path_factory.mktemp("labelled")
    images, labels = draw.small_digits(60, seed=4)
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        write_png(folder / str(label) / f"{index}.png", image[..., None].repeat(3, axis=2))
    return folder


@pytest.mark.parametrize(("target", "precision"), [("cpu", "fp32"), ("rpi", "int8")])
def test_a_pruned_artifact_agrees_with_the_pruned_model(
    digits: list[dict[str, np.ndarray]], tmp_path: Path, target: str, precision: str
) -> None:
    made = edgekit.convert(
        model_path(), target=target, precision=precision, format="onnx" if target == "cpu" else "auto", calibration=digits, output=tmp_path, prune=0.3
    )  # fmt: skip
    manifest = made.manifest
    assert manifest.parity is not None
    assert manifest.parity.ok
    step = next(step for step in manifest.steps if step.name == "prune")
    assert "of 4,848,512 multiply-accumulates" in step.detail
    assert step.detail in manifest.notes
    assert any("edgekit distill" in note for note in manifest.notes)
    if target == "cpu" and precision == "fp32":
        assert graph_cost(load(made.file("model")).graph).macs <= 0.7 * 4_848_512


def test_without_samples_the_note_says_that_weights_alone_decided(tmp_path: Path) -> None:
    made = edgekit.convert(model_path(), precision="fp32", output=tmp_path, prune=0.2)
    assert any("weights alone" in note for note in made.manifest.notes)


def test_accuracy_is_measured_against_the_model_as_it_came(
    digits: list[dict[str, np.ndarray]], labelled: Path, tmp_path: Path
) -> None:
    made = edgekit.convert(
        model_path(), precision="fp32", calibration=digits, evaluate=labelled, output=tmp_path, prune=0.3, max_drop=0.2
    )
    assert made.manifest.accuracy is not None
    assert made.manifest.accuracy.source >= 0.95
    assert made.manifest.accuracy.artifact >= 0.8


def test_a_model_that_lost_too_much_is_not_written_and_training_is_named(labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(GateFailed) as caught:
        edgekit.convert(model_path(), precision="fp32", evaluate=labelled, max_drop=0.01, output=tmp_path / "out", prune=0.7)
    assert "edgekit distill" in caught.value.hint
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize(
    ("share", "said"), [(0.999, "can be pruned away"), (0.0, "between 0 and 100"), (1.0, "between 0 and 100")]
)
def test_a_share_that_cannot_be_is_refused(share: float, said: str, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match=said):
        edgekit.convert(model_path(), precision="fp32", output=tmp_path, prune=share)


def test_a_model_without_channels_to_spare_says_so(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.ones((4, 8), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "one.onnx")
    with pytest.raises(InputError, match="at most 0%") as caught:
        edgekit.convert(tmp_path / "one.onnx", precision="fp32", output=tmp_path, prune=0.2)
    assert "leave out --prune" in caught.value.hint


def test_channels_are_kept_in_the_numbers_that_a_board_takes_whole(digits: list[dict[str, np.ndarray]], tmp_path: Path) -> None:
    for target, multiple in (("rpi", 8), ("jetson", 16)):
        made = edgekit.convert(
            model_path(), target=target, precision="int8", calibration=digits, output=tmp_path, prune=0.3, importance="weights"
        )
        assert any(f"multiples of {multiple}" in note for note in made.manifest.notes), target


def test_a_share_that_does_not_go_in_coarse_steps_goes_in_finer_ones() -> None:
    source = source_for(model_path(), Request())
    found = shrunk(source, Pruning(share=0.3, multiples=(64, 32, 16, 8)))
    assert found.pruned is not None
    assert found.pruned.share >= 0.3
    assert found.pruned.multiple < 64


@pytest.mark.parametrize(
    ("boards", "precision", "multiples"),
    [
        (("rpi5",), "int8", (8,)),
        (("coral-usb",), "int8", (8,)),
        (("jetson-orin-nano",), "int8", (16, 8)),
        (("jetson-orin-nano",), "fp16", (8,)),
        (("jetson-nano",), "auto", (8,)),
        (("rpi5", "jetson-orin-nano"), "auto", (16, 8)),
    ],
)
def test_the_board_that_wants_most_decides_for_all(
    boards: tuple[str, ...], precision: Precision, multiples: tuple[int, ...]
) -> None:
    assert multiples_for([find(board) for board in boards], Recipe(precision=precision)) == multiples


def test_the_users_own_multiple_comes_first() -> None:
    pruning = Request(prune=0.3, multiple=4).pruning([find("jetson-orin-nano")])
    assert pruning is not None
    assert pruning.multiples == (4,)


def test_gradients_are_left_to_distillation() -> None:
    with pytest.raises(UsageError, match="PyTorch") as caught:
        Request(prune=0.3, importance="taylor")
    assert "edgekit distill" in caught.value.hint
