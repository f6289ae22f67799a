"""Which engine and precision the plan chooses, and what it refuses."""

from __future__ import annotations

import pytest

from edgekit.core.errors import InputError, Unsupported
from edgekit.core.schema import Device, Engine, Recipe
from edgekit.plan import plan

BOARD = Device(
    name="board",
    title="A board",
    family="raspberry-pi",
    isa="aarch64",
    engines=(
        Engine(runtime="litert", format="tflite", precisions=("int8", "fp16")),
        Engine(runtime="onnxruntime", format="onnx", precisions=("int8", "fp32"), dialect="arm"),
    ),
)
TPU = Device(
    name="tpu",
    title="A TPU",
    family="coral",
    isa="any",
    engines=(Engine(runtime="edgetpu", format="edgetpu", precisions=("int8",)),),
)


def chosen(recipe: Recipe, *, device: Device = BOARD, calibrated: bool = True) -> list[tuple[str, str]]:
    return [(target.format, target.precision) for target in plan(device, recipe, calibrated=calibrated)]


def test_auto_is_the_first_engine_with_its_precisions_best_first() -> None:
    assert chosen(Recipe()) == [("tflite", "int8"), ("tflite", "fp16")]


def test_auto_without_calibration_data_leaves_out_int8() -> None:
    assert chosen(Recipe(), calibrated=False) == [("tflite", "fp16")]


def test_a_format_chooses_the_engine() -> None:
    assert chosen(Recipe(format="onnx")) == [("onnx", "int8"), ("onnx", "fp32")]


def test_an_explicit_precision_takes_the_first_engine_that_computes_in_it() -> None:
    assert chosen(Recipe(precision="fp32")) == [("onnx", "fp32")]


def test_the_dialect_of_the_engine_is_kept() -> None:
    assert plan(BOARD, Recipe(precision="fp32"), calibrated=False)[0].dialect == "arm"


def test_a_precision_no_engine_has_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="tpu does not run fp32, only int8") as caught:
        plan(TPU, Recipe(precision="fp32"), calibrated=True)
    assert caught.value.hint == "--precision int8"


def test_a_format_the_board_has_no_engine_for_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="runs no 'tensorrt' artifacts"):
        plan(BOARD, Recipe(format="tensorrt"), calibrated=True)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(precision="int8")])
def test_int8_without_calibration_data_asks_for_it(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="needs calibration data") as caught:
        plan(TPU, recipe, calibrated=False)
    assert "--calibration" in caught.value.hint
