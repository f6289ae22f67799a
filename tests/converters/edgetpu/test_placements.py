"""Which operators the Edge TPU takes, decided on files built here and on Google's own compiled pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import Op, T, tflite

from edgekit.converters.lower import edgetpu
from edgekit.converters.lower.edgetpu import Placement, first_off_tpu, parameter_cache, placements, report
from edgekit.converters.lower.edgetpu_ops import ADVICE, ROWS
from edgekit.converters.tflite_file.read import parse

IMAGE = (1, 8, 8, 4)


def chain(
    *operators: Op, tensors: Sequence[T] = (), inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ()
) -> tuple[Placement, ...]:
    """Placements of a file; tensors that are not described are int8 pictures."""
    described = {tensor.name for tensor in tensors}
    names = dict.fromkeys(
        name for operator in operators for name in (*operator.inputs, *operator.outputs) if name
    ) | dict.fromkeys(inputs)
    pictures = [T(name=name, shape=IMAGE, scale=0.1) for name in names if name not in described]
    return placements(tflite([*tensors, *pictures], operators, inputs, outputs or operators[-1].outputs))


def only(*arguments: Any, **keywords: Any) -> Placement:
    (placement,) = chain(*arguments, **keywords)
    return placement


def constant(name: str, value: Sequence[Any], dtype: str = "int32") -> T:
    data = np.array(value, dtype)
    return T(name=name, shape=data.shape, dtype=dtype, data=data, scale=0.1 if dtype == "int8" else None)


def conv(version: int = 3, dilation: tuple[int, int] = (1, 1), weights: str = "w") -> Op:
    options = {"strideW": 1, "strideH": 1, "dilationWFactor": dilation[1], "dilationHFactor": dilation[0]}
    return Op(
        op="CONV_2D", inputs=("x", weights, "b"), outputs=("y",), version=version, options_type="Conv2DOptions", options=options
    )


WEIGHTS = (constant("w", np.ones((4, 1, 1, 4)), "int8"), constant("b", [0, 0, 0, 0]))


def test_an_int8_convolution_is_mapped() -> None:
    placed = only(conv(), tensors=WEIGHTS)
    assert placed == Placement(index=0, op="CONV_2D", name="y", version=3, on_tpu=True, reason="")


def test_a_uint8_operator_is_mapped() -> None:
    tensors = [T(name="x", shape=IMAGE, dtype="uint8", scale=1.0), T(name="y", shape=IMAGE, dtype="uint8", scale=1.0)]
    assert only(Op(op="RELU", inputs=("x",), outputs=("y",)), tensors=tensors).on_tpu


def test_a_newer_version_of_a_known_operator_is_refused_with_both_versions() -> None:
    placed = only(conv(version=6), tensors=WEIGHTS)
    assert not placed.on_tpu
    assert "version 6 is newer than 5" in placed.reason


@pytest.mark.parametrize(("op", "row"), sorted(ROWS.items()))
def test_every_row_of_the_table_refuses_the_next_version_and_says_where_it_was_read(op: str, row: Any) -> None:
    placed = only(Op(op=op, inputs=["x"] * row.inputs, outputs=("y",), version=row.newest + 1))
    assert f"newer than {row.newest}" in placed.reason
    assert row.source.startswith(("http", "github.com"))


def test_different_dilation_in_height_and_width_stays_on_the_cpu() -> None:
    assert "dilation is 2 x 1" in only(conv(dilation=(2, 1)), tensors=WEIGHTS).reason
    assert only(conv(dilation=(2, 2)), tensors=WEIGHTS).on_tpu


def test_computed_weights_stay_on_the_cpu() -> None:
    assert "must be constants" in only(conv(weights="v"), tensors=WEIGHTS, inputs=("x", "v")).reason


def test_a_float_tensor_is_named_with_its_type() -> None:
    tensors = [T(name=name, shape=IMAGE, dtype="float32") for name in "xy"]
    assert only(Op(op="RELU", inputs=("x",), outputs=("y",)), tensors=tensors).reason.startswith("'x' is float32")


def test_a_float_constant_is_named() -> None:
    tensors = [constant("c", [1.0], "float32")]
    assert "'c' is float32" in only(Op(op="ADD", inputs=("x", "c"), outputs=("y",)), tensors=tensors).reason


def test_sixteen_bit_activations_stay_on_the_cpu() -> None:
    tensors = [T(name=name, shape=IMAGE, dtype="int16", scale=0.1) for name in "xy"]
    assert "int16" in only(Op(op="RELU", inputs=("x",), outputs=("y",)), tensors=tensors).reason


def test_a_batch_of_two_stays_on_the_cpu() -> None:
    tensors = [T(name=name, shape=(2, 8, 8, 4), scale=0.1) for name in "xy"]
    assert "three innermost" in only(Op(op="RELU", inputs=("x",), outputs=("y",)), tensors=tensors).reason


def test_an_open_size_stays_on_the_cpu_but_an_open_batch_does_not() -> None:
    relu = Op(op="RELU", inputs=("x",), outputs=("y",))
    open_width = [T(name="x", shape=IMAGE, scale=0.1, signature=(1, -1, 8, 4))]
    open_batch = [T(name="x", shape=IMAGE, scale=0.1, signature=(-1, 8, 8, 4))]
    assert "only known at run time" in only(relu, tensors=open_width).reason
    assert only(relu, tensors=open_batch).on_tpu


@pytest.mark.parametrize("op", ["HARD_SWISH", "LEAKY_RELU", "DIV", "BATCH_MATMUL", "CAST", "DEQUANTIZE", "GATHER", "TOPK_V2"])
def test_operators_the_accelerator_does_not_have_stay_on_the_cpu(op: str) -> None:
    assert "no such operator" in only(Op(op=op, inputs=("x",), outputs=("y",))).reason


@pytest.mark.parametrize("op", sorted(ROWS))
def test_an_operator_without_its_inputs_stays_on_the_cpu(op: str) -> None:
    assert "too few" in only(Op(op=op, inputs=(), outputs=("y",))).reason
    assert not any(place.on_tpu for place in chain(Op(op=op, inputs=("x",), outputs=()), outputs=("x",)))


def test_a_custom_operator_is_named_by_its_own_name() -> None:
    placed = only(Op(op="CUSTOM", custom="my-op", inputs=("x",), outputs=("y",)))
    assert (placed.op, placed.reason) == ("my-op", "a custom operator")


@pytest.mark.parametrize("op", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_a_pool_with_a_fused_activation_stays_on_the_cpu(op: str) -> None:
    def pool(activation: int) -> Op:
        options = {"fusedActivationFunction": activation, "strideW": 1, "strideH": 1}
        return Op(op=op, inputs=("x",), outputs=("y",), options_type="Pool2DOptions", options=options)

    assert only(pool(0)).on_tpu
    assert "fused activation" in only(pool(1)).reason


def test_concatenation_takes_one_constant_of_zeros_and_one_other_input() -> None:
    def concatenation(*inputs: str) -> Op:
        return Op(op="CONCATENATION", inputs=inputs, outputs=("y",), options_type="ConcatenationOptions")

    zeros, ones = constant("c", np.zeros(IMAGE), "int8"), constant("c", np.ones(IMAGE), "int8")
    assert only(concatenation("x", "z"), inputs=("x", "z")).on_tpu
    assert only(concatenation("x", "c"), tensors=[zeros]).on_tpu
    assert "a constant is concatenated" in only(concatenation("x", "c"), tensors=[ones]).reason
    assert "a constant is concatenated" in only(concatenation("x", "z", "c"), tensors=[zeros], inputs=("x", "z")).reason


def test_a_fully_connected_output_must_be_one_dimensional() -> None:
    def dense(rows: int) -> Placement:
        tensors = [
            T(name="x", shape=(rows, 4), scale=0.1),
            T(name="y", shape=(rows, 2), scale=0.1),
            constant("w", np.ones((2, 4)), "int8"),
        ]
        return only(Op(op="FULLY_CONNECTED", inputs=("x", "w", ""), outputs=("y",), version=6), tensors=tensors)

    assert dense(1).on_tpu
    assert "[3, 2] is not one-dimensional" in dense(3).reason


@pytest.mark.parametrize("op", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"])
def test_reductions_leave_the_batch_alone(op: str) -> None:
    reduce = Op(op=op, inputs=("x", "axes"), outputs=("y",))
    assert only(reduce, tensors=[constant("axes", [1, 2])]).on_tpu
    assert "the batch dimension" in only(reduce, tensors=[constant("axes", [0])]).reason
    assert "the batch dimension" in only(reduce, tensors=[constant("axes", [-4])]).reason


def test_a_mean_over_channels_needs_a_multiple_of_four() -> None:
    mean = Op(op="MEAN", inputs=("x", "axes"), outputs=("y",))
    odd = [constant("axes", [3]), T(name="x", shape=(1, 8, 8, 6), scale=0.1)]
    assert only(mean, tensors=[constant("axes", [3])]).on_tpu
    assert "6 channels" in only(mean, tensors=odd).reason


def test_padding_and_splitting_leave_the_batch_alone() -> None:
    pad = Op(op="PAD", inputs=("x", "p"), outputs=("y",))
    split = Op(op="SPLIT", inputs=("axis", "x"), outputs=("y",))
    assert only(pad, tensors=[constant("p", [[0, 0], [1, 1], [1, 1], [0, 0]])]).on_tpu
    assert "pads the batch" in only(pad, tensors=[constant("p", [[1, 0], [0, 0], [0, 0], [0, 0]])]).reason
    assert only(split, tensors=[constant("axis", [3])]).on_tpu
    assert "splits the batch" in only(split, tensors=[constant("axis", [0])]).reason


def test_packing_along_the_batch_stays_on_the_cpu() -> None:
    def pack(axis: int) -> Placement:
        options = {"valuesCount": 1, "axis": axis}
        return only(
            Op(op="PACK", inputs=("x",), outputs=("y",), options_type="PackOptions", options=options),
            tensors=[T(name="x", shape=(8, 4), scale=0.1), T(name="y", shape=(8, 4, 1), scale=0.1)],
        )

    assert pack(2).on_tpu
    assert "packs along the batch" in pack(0).reason


def test_prelu_takes_one_slope_per_channel() -> None:
    prelu = Op(op="PRELU", inputs=("x", "a"), outputs=("y",))
    assert only(prelu, tensors=[constant("a", np.ones((1, 1, 4)), "int8")]).on_tpu
    assert "alpha [8, 8, 4]" in only(prelu, tensors=[constant("a", np.ones((8, 8, 4)), "int8")]).reason


def test_softmax_takes_one_row_of_at_most_16000() -> None:
    def softmax(*shape: int) -> Placement:
        tensors = [T(name=name, shape=shape, scale=1 / 256, zero_point=-128) for name in "xy"]
        return only(Op(op="SOFTMAX", inputs=("x",), outputs=("y",), version=2), tensors=tensors)

    assert softmax(1, 16_000).on_tpu
    assert "16001 elements" in softmax(1, 16_001).reason
    assert "not one-dimensional" in softmax(1, 4, 10).reason


def test_squeeze_removes_leading_ones_only() -> None:
    def squeeze(before: tuple[int, ...], after: tuple[int, ...]) -> Placement:
        tensors = [T(name="x", shape=before, scale=0.1), T(name="y", shape=after, scale=0.1)]
        return only(Op(op="SQUEEZE", inputs=("x",), outputs=("y",)), tensors=tensors)

    assert squeeze((1, 1, 10), (10,)).on_tpu
    assert squeeze((1, 5, 10), (5, 10)).on_tpu
    assert "leading dimensions" in squeeze((5, 1, 10), (5, 10)).reason


def test_strided_slice_takes_steps_of_one_and_no_masks() -> None:
    def strided(strides: Sequence[int], **options: int) -> Placement:
        tensors = [constant("begin", [0, 0, 0, 0]), constant("end", [1, 8, 8, 4]), constant("strides", strides)]
        operator = Op(
            op="STRIDED_SLICE",
            inputs=("x", "begin", "end", "strides"),
            outputs=("y",),
            options_type="StridedSliceOptions",
            options=options,
        )
        return only(operator, tensors=tensors)

    assert strided([1, 1, 1, 1]).on_tpu
    assert "strides" in strided([1, 2, 2, 1]).reason
    assert "mask" in strided([1, 1, 1, 1], ellipsisMask=1).reason


def test_a_bilinear_resize_by_two_maps_and_by_thirty_three_does_not() -> None:
    def resize(before: int, after: int) -> Placement:
        tensors = [T(name="x", shape=(1, before, before, 4), scale=0.1), T(name="y", shape=(1, after, after, 4), scale=0.1)]
        operator = Op(op="RESIZE_BILINEAR", inputs=("x", "size"), outputs=("y",), version=3)
        return only(operator, tensors=[*tensors, constant("size", [after, after])])

    assert resize(6, 12).on_tpu
    assert "33 times" in resize(1, 33).reason


def test_what_follows_an_unmapped_operator_stays_on_the_cpu_and_a_parallel_branch_does_not() -> None:
    first, swish, after, beside, join = chain(
        Op(op="RELU", inputs=("x",), outputs=("a",)),
        Op(op="HARD_SWISH", inputs=("a",), outputs=("s",)),
        Op(op="RELU", inputs=("s",), outputs=("t",)),
        Op(op="RELU6", inputs=("a",), outputs=("u",)),
        Op(op="ADD", inputs=("t", "u"), outputs=("y",)),
    )
    assert [place.on_tpu for place in (first, swish, after, beside, join)] == [True, False, False, True, False]
    assert after.reason == "it follows 's' (HARD_SWISH), which runs on the CPU"
    assert join.reason == after.reason
    assert first_off_tpu([first, swish, after, beside, join]) is swish


def test_dequantizing_the_result_and_decoding_it_in_float_is_by_design() -> None:
    floats = [T(name=name, shape=IMAGE, dtype="float32") for name in "fy"]
    placed = chain(
        Op(op="RELU", inputs=("x",), outputs=("a",)),
        Op(op="DEQUANTIZE", inputs=("a",), outputs=("f",)),
        Op(op="EXP", inputs=("f",), outputs=("y",)),
        tensors=floats,
    )
    assert [place.reason for place in placed] == ["", "float tail", "float tail"]
    assert first_off_tpu(placed) is None


def test_float_in_the_middle_is_a_miss_and_so_is_a_float_convolution_at_the_end() -> None:
    floats = [T(name=name, shape=IMAGE, dtype="float32") for name in "fg"]
    relu, dequantize = Op(op="RELU", inputs=("x",), outputs=("a",)), Op(op="DEQUANTIZE", inputs=("a",), outputs=("f",))
    middle = chain(relu, dequantize, Op(op="QUANTIZE", inputs=("f",), outputs=("y",)), tensors=floats)
    heavy = chain(
        relu,
        dequantize,
        Op(op="CONV_2D", inputs=("f", "w", "b"), outputs=("g",)),
        tensors=[*floats, constant("w", np.ones((4, 1, 1, 4)), "float32"), constant("b", [0.0] * 4, "float32")],
    )
    assert first_off_tpu(middle) == middle[1]
    assert first_off_tpu(heavy) == heavy[1]


def test_converting_a_float_input_to_integers_is_by_design_and_does_not_cut_the_model() -> None:
    placed = chain(
        Op(op="QUANTIZE", inputs=("f",), outputs=("x",)),
        Op(op="RELU", inputs=("x",), outputs=("y",)),
        tensors=[T(name="f", shape=IMAGE, dtype="float32")],
        inputs=("f",),
    )
    assert [(place.on_tpu, place.reason) for place in placed] == [(False, "float head"), (True, "")]


def test_a_float_model_has_no_tail_to_excuse_it() -> None:
    tensors = [T(name=name, shape=IMAGE, dtype="float32") for name in "xay"]
    placed = chain(Op(op="RELU", inputs=("x",), outputs=("a",)), Op(op="EXP", inputs=("a",), outputs=("y",)), tensors=tensors)
    assert all(place.missed for place in placed)


def test_weights_beyond_the_memory_of_the_chip_are_streamed() -> None:
    big = constant("w", np.ones((4096, 1, 1, 4096)), "int8")
    tensors = [
        big,
        T(name="x", shape=(1, 1, 1, 4096), scale=0.1),
        T(name="y", shape=(1, 1, 1, 4096), scale=0.1),
        constant("b", [0] * 4096),
    ]
    cache = parameter_cache(tflite(tensors, [conv()], ["x"], ["y"]))
    assert cache.weight_bytes == 4096 * 4096 + 4 * 4096
    assert cache.cached_bytes == edgetpu.CACHE_BYTES
    assert cache.streamed_bytes == cache.weight_bytes - cache.cached_bytes


def test_the_report_counts_names_and_advises() -> None:
    text = report(chain(Op(op="RELU", inputs=("x",), outputs=("a",)), Op(op="HARD_SWISH", inputs=("a",), outputs=("y",))))
    assert text.splitlines()[0] == "1 of 2 operators map to the Edge TPU"
    assert "HARD_SWISH" in text
    assert ADVICE["HARD_SWISH"] in text


def test_the_report_is_a_forecast_until_the_compiler_has_spoken() -> None:
    forecast = report(chain(Op(op="RELU", inputs=("x",), outputs=("y",))))
    settled = report(chain(Op(op="CUSTOM", custom="edgetpu-custom-op", inputs=("x",), outputs=("y",))))
    assert forecast.endswith(edgetpu.CAVEAT)
    assert settled == "1 of 1 operators run on the Edge TPU"


def test_a_long_report_names_the_first_misses_and_counts_the_rest() -> None:
    names = ["x", *(f"t{i}" for i in range(50))]
    operators = [Op(op="HARD_SWISH", inputs=(a,), outputs=(b,)) for a, b in pairwise(names)]
    assert "and 30 more" in report(chain(*operators))


TWINS = (
    "deeplabv3_mnv2_dm05_pascal_quant",
    "keras_lstm_mnist_ptq",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_1.0_224_quant_embedding_extractor",
    "mobilenet_v2_1.0_224_quant",
    "movenet_single_pose_lightning_ptq",
    "posenet_mobilenet_v1_075_353_481_16_quant_decoder",
    "split_concat",
)


@pytest.mark.parametrize("name", TWINS)
def test_the_operators_google_s_compiler_left_on_the_cpu_are_the_ones_found_here(name: str, shared_data: Path) -> None:
    folder = shared_data / "models_coral"
    compiled = parse((folder / f"{name}_edgetpu.tflite").read_bytes())
    left = Counter(operator.custom_code or operator.op for operator in compiled.operators)
    del left["edgetpu-custom-op"]
    placed = placements((folder / f"{name}.tflite").read_bytes())
    assert Counter(place.op for place in placed if not place.on_tpu) == left


@pytest.mark.parametrize("name", [name for name in TWINS if name.startswith(("mobilenet", "keras", "split"))])
def test_models_that_google_compiled_whole_are_reported_whole(name: str, shared_data: Path) -> None:
    placed = placements((shared_data / "models_coral" / f"{name}.tflite").read_bytes())
    assert first_off_tpu(placed) is None
    assert all(place.on_tpu for place in placed)
