"""The face of an artifact: the source model's names, layout and float meaning over any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny import IN_SCALE, IN_ZERO, NHWC, OUT_SCALE, OUT_ZERO, SOURCE_IN, SOURCE_OUT, answer, tiny_artifact

from edgekit.converters.quantize.parameters import QuantParams, dequantize, quantize
from edgekit.core.errors import ArtifactError, InputError, UsageError
from edgekit.core.schema import Artifact, Port, TensorSpec
from edgekit.loading import open_artifact
from edgekit.runtimes._ports import into_engine, into_memory, into_memory_scaled, out_of_engine, takes_bytes
from edgekit.runtimes.base import Arrays
from edgekit.runtimes.face import FaceSession

IMAGE = np.random.default_rng(1).uniform(-1.5, 1.5, (1, 3, 4, 4)).astype(np.float32)


@pytest.fixture
def session(tmp_path: Path) -> FaceSession:
    return open_artifact(tiny_artifact(tmp_path, "tflite-int8"))


def test_inputs_and_outputs_are_the_source_model_s(session: FaceSession) -> None:
    assert (session.inputs, session.outputs) == ((SOURCE_IN,), (SOURCE_OUT,))
    assert session.runtime == "litert"


def test_float_goes_in_and_float_comes_out_in_the_source_s_layout(session: FaceSession) -> None:
    scores = session.run({"image": IMAGE})["scores"]
    assert (scores.shape, scores.dtype) == ((1, 2, 4, 4), np.dtype("float32"))
    assert scores.flags.c_contiguous
    np.testing.assert_allclose(scores, answer(IMAGE), atol=0.13)


def test_raw_takes_and_gives_the_engine_s_arrays_by_the_source_s_names(session: FaceSession) -> None:
    raw = np.full((1, 4, 4, 3), IN_ZERO, np.int8)
    scores = session.run({"image": raw}, raw=True)["scores"]
    assert (scores.shape, scores.dtype) == ((1, 4, 4, 2), np.dtype("int8"))
    real = (scores.astype(np.float32) - OUT_ZERO) * OUT_SCALE
    np.testing.assert_allclose(real[0, 0, 0], [0.5, -0.25], atol=OUT_SCALE)


def test_raw_and_float_say_the_same(session: FaceSession) -> None:
    raw = np.clip(np.rint(IMAGE.transpose(NHWC) / IN_SCALE) + IN_ZERO, -128, 127).astype(np.int8)
    quantized = session.run({"image": raw}, raw=True)["scores"]
    real = session.run({"image": IMAGE})["scores"]
    np.testing.assert_array_equal(
        real, ((quantized.astype(np.float32) - OUT_ZERO) * np.float32(OUT_SCALE)).transpose(0, 3, 1, 2)
    )


def test_the_first_answer_survives_the_second_run(session: FaceSession) -> None:
    first = session.run({"image": IMAGE})["scores"]
    kept = first.copy()
    session.run({"image": -IMAGE})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int8", "int64", "bool"])
def test_a_float_input_takes_any_real_number(session: FaceSession, dtype: str) -> None:
    image = np.ones((1, 3, 4, 4), dtype)
    np.testing.assert_allclose(session.run({"image": image})["scores"], answer(np.ones((1, 3, 4, 4))), atol=0.13)


def test_a_picture_in_another_memory_order_is_the_same_picture(session: FaceSession) -> None:
    seen = session.run({"image": np.asfortranarray(IMAGE)})["scores"]
    np.testing.assert_array_equal(seen, session.run({"image": IMAGE})["scores"])


@pytest.mark.parametrize("kind", ["tflite-int8", "onnx"])
def test_pictures_may_lie_as_the_engine_keeps_them(tmp_path: Path, kind: str) -> None:
    artifact = tiny_artifact(tmp_path, kind)
    with open_artifact(artifact) as plain, open_artifact(artifact, layout="engine") as turned:
        seen = plain.run({"image": IMAGE})["scores"]
        way = artifact.manifest.inputs[0].permutation or (0, 1, 2, 3)
        answers = turned.run({"image": np.ascontiguousarray(IMAGE.transpose(way))})["scores"]
        assert (turned.inputs[0].shape, turned.outputs[0].shape) == (IMAGE.transpose(way).shape, answers.shape)
        np.testing.assert_array_equal(answers, seen.transpose(artifact.manifest.outputs[0].permutation or (0, 1, 2, 3)))


def test_a_layout_that_there_is_not_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no layout named 'engin'") as caught:
        open_artifact(tiny_artifact(tmp_path, "onnx"), layout="engin")  # type: ignore[arg-type]
    assert caught.value.hint == "did you mean 'engine'?"


def test_a_feed_that_does_not_fit_leaves_the_engine_as_it_was_and_usable(session: FaceSession) -> None:
    seen = session.run({"image": IMAGE})["scores"]
    with pytest.raises(InputError):
        session.run({"image": IMAGE[0]})
    np.testing.assert_array_equal(session.run({"image": IMAGE})["scores"], seen)


def test_the_engine_s_memory_gets_its_numbers_directly_and_lends_none(tmp_path: Path) -> None:
    """LiteRT refuses to run while anybody holds its memory, so a second run shows that nobody does."""
    with open_artifact(tiny_artifact(tmp_path, "tflite")) as session:
        kept = [session.run({"image": IMAGE * scale})["scores"] for scale in (1, 2, 3)]
    assert len({array.tobytes() for array in kept}) == 3
    assert all(array.flags.owndata for array in kept)


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype"), [(1.0, -128, "int8"), (1.0, 0, "uint8"), (1.0, 3, "uint8"), (0.5, -128, "int8")]
)
@pytest.mark.parametrize("permutation", [None, (1, 2, 0)])
def test_a_picture_of_bytes_is_quantized_as_the_same_numbers_in_float_are(
    scale: float, zero_point: int, dtype: str, permutation: tuple[int, ...] | None
) -> None:
    convert = into_engine(port(dtype, scale, zero_point, permutation))
    picture = np.random.default_rng(0).integers(0, 256, (2, 3, 4), np.uint8)
    np.testing.assert_array_equal(convert(picture).copy(), convert(picture.astype(np.float32)))


@pytest.mark.parametrize(
    ("factor", "scale", "zero_point", "dtype", "adds"),
    [
        (1 / 255, 0.003921568859368563, -128, "int8", True),
        (1 / 255, 1 / 255, 0, "uint8", True),
        (1 / 255, 0.0041, -120, "int8", False),
        (1 / 127.5, 1 / 255, -128, "int8", False),
        (1 / 255, 1 / 255, 7, "int16", False),
    ],
)
@pytest.mark.parametrize("permutation", [None, (1, 2, 0)])
def test_bytes_with_a_scale_are_quantized_as_their_products_in_float_are(
    factor: float, scale: float, zero_point: int, dtype: str, adds: bool, permutation: tuple[int, ...] | None
) -> None:
    quantized = port(dtype, scale, zero_point, permutation)
    picture = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    scaled, plain = (np.zeros(picture.transpose(permutation or (0, 1, 2)).shape, dtype) for _ in range(2))
    into_memory_scaled(quantized, factor)(picture, scaled)
    into_memory(quantized)(picture.astype(np.float32) * np.float32(factor), plain)
    np.testing.assert_array_equal(scaled, plain)
    assert takes_bytes(quantized, factor) is adds


@pytest.mark.parametrize("kind", ["tflite-int8", "tflite", "onnx"])
def test_inputs_are_multiplied_on_their_way_in(tmp_path: Path, kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 4), np.uint8)
    with open_artifact(tiny_artifact(tmp_path, kind)) as session:
        wanted = session.run({"image": picture.astype(np.float32) * np.float32(0.01)})["scores"]
        for _ in range(2):
            np.testing.assert_array_equal(session.run({"image": picture}, scales={"image": 0.01})["scores"], wanted)
        np.testing.assert_array_equal(
            session.run({"image": picture})["scores"], session.run({"image": picture * 1.0})["scores"]
        )
        assert not session.takes_bytes("image", 0.01)


def test_a_scale_of_what_is_no_input_or_of_raw_numbers_is_refused(session: FaceSession) -> None:
    with pytest.raises(InputError, match="no input 'imgae'"):
        session.run({"image": IMAGE}, scales={"imgae": 2.0})
    with pytest.raises(UsageError, match="not multiplied"):
        session.run({"image": IMAGE}, raw=True, scales={"image": 2.0})


def test_a_missing_input_is_named(session: FaceSession) -> None:
    with pytest.raises(InputError, match="input 'image' is missing"):
        session.run({})


def test_an_unknown_input_gets_the_nearest_name(session: FaceSession) -> None:
    with pytest.raises(InputError, match="no input 'imgae'") as caught:
        session.run({"imgae": IMAGE})
    assert caught.value.hint == "did you mean 'image'?"


def test_a_wrong_shape_is_shown_beside_the_right_one(session: FaceSession) -> None:
    with pytest.raises(InputError, match=r"must be float32 \[1, 3, 4, 4\], got float32 \[1, 4, 4, 3\]"):
        session.run({"image": IMAGE.transpose(NHWC)})


def test_a_forgotten_batch_dimension_is_guessed(session: FaceSession) -> None:
    with pytest.raises(InputError) as caught:
        session.run({"image": IMAGE[0]})
    assert caught.value.hint == "is the batch dimension missing?"


@pytest.mark.parametrize("value", [IMAGE.tolist(), 3, None])
def test_what_is_no_numpy_array_is_refused(session: FaceSession, value: Any) -> None:
    with pytest.raises(InputError, match="must be a numpy array") as caught:
        session.run({"image": value})
    assert "asarray" in caught.value.hint


@pytest.mark.parametrize("dtype", ["complex64", "U3", "datetime64[s]"])
def test_what_is_no_real_number_is_refused(session: FaceSession, dtype: str) -> None:
    with pytest.raises(InputError, match="must be float32"):
        session.run({"image": np.zeros((1, 3, 4, 4), dtype)})


def test_raw_takes_the_engine_s_type_and_no_other(session: FaceSession) -> None:
    with pytest.raises(InputError, match="must be int8"):
        session.run({"image": np.zeros((1, 4, 4, 3), np.uint8)}, raw=True)


def test_nan_in_a_quantized_input_becomes_its_lowest_value_in_silence(session: FaceSession) -> None:
    low = np.full((1, 3, 4, 4), (-128 - IN_ZERO) * IN_SCALE, np.float32)
    seen = session.run({"image": np.full((1, 3, 4, 4), np.nan, np.float32)})["scores"]
    np.testing.assert_array_equal(seen, session.run({"image": low})["scores"])


def test_after_close_a_run_says_so_and_close_again_is_fine(session: FaceSession) -> None:
    session.close()
    session.close()
    with pytest.raises(UsageError, match="is closed") as caught:
        session.run({"image": IMAGE})
    assert "edgekit.load" in caught.value.hint


def test_a_with_block_closes_even_when_it_fails(tmp_path: Path) -> None:
    artifact = tiny_artifact(tmp_path, "onnx")
    with pytest.raises(ZeroDivisionError), open_artifact(artifact) as session:
        raise ZeroDivisionError
    with pytest.raises(UsageError):
        session.run({"image": IMAGE})


class Echo:
    """An engine of one input and one output, the same array."""

    def __init__(self, spec: TensorSpec) -> None:
        self.inputs = self.outputs = (spec,)
        self.closed = False

    def run(self, feed: Arrays) -> Arrays:
        return feed

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "wrong",
    [{"name": "other"}, {"shape": (1, 3, 4, 4)}, {"dtype": "uint8"}, {"scale": 0.5}, {"zero_point": 7}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_an_engine_whose_tensors_are_not_the_manifest_s_is_refused_and_closed(tmp_path: Path, wrong: dict[str, Any]) -> None:
    artifact = tiny_artifact(tmp_path, "tflite-int8")
    engine = Echo(msgspec.structs.replace(artifact.manifest.inputs[0].engine, **wrong))
    with pytest.raises(ArtifactError, match="the manifest says 'image' is int8") as caught:
        FaceSession(engine, artifact, "echo")
    assert engine.closed
    assert "edgekit verify" in caught.value.hint


def port(
    dtype: str, scale: float, zero_point: int, permutation: tuple[int, ...] | None = None, source: str = "float32"
) -> Port:
    shape = (2, 3, 4)
    turned = shape if permutation is None else tuple(shape[axis] for axis in permutation)
    return Port(
        source=TensorSpec(name="x", shape=shape, dtype=source),
        engine=TensorSpec(name="x", shape=turned, dtype=dtype, scale=scale, zero_point=zero_point),
        permutation=permutation,
    )


REALS = arrays(np.float32, (2, 3, 4), elements=st.floats(-1e6, 1e6, width=32))
SCALES = st.floats(1e-4, 1e3)
PERMUTATIONS = st.one_of(st.none(), st.permutations(range(3)).map(tuple))
INTEGERS = st.one_of(st.tuples(st.just("int8"), st.integers(-128, 127)), st.tuples(st.just("uint8"), st.integers(0, 255)))


@given(REALS, SCALES, INTEGERS, PERMUTATIONS)
def test_quantizing_agrees_with_the_converters_to_one_step(real: Any, scale: float, kind: Any, permutation: Any) -> None:
    dtype, zero_point = kind
    made = into_engine(port(dtype, scale, zero_point, permutation))(real)
    params = QuantParams(scale=np.float32([scale]), zero_point=np.int32([zero_point]), dtype=dtype)
    expected = quantize(real if permutation is None else real.transpose(permutation), params)
    assert (made.dtype, made.shape) == (expected.dtype, expected.shape)
    # One float32 multiply against a float64 division: they differ only where the value lies between two steps.
    assert np.abs(made.astype(int) - expected.astype(int)).max() <= 1


@given(st.integers(-300, 300), INTEGERS, PERMUTATIONS)
def test_a_number_between_two_steps_goes_to_the_even_one_whatever_the_zero_point(
    half: int, kind: Any, permutation: Any
) -> None:
    dtype, zero_point = kind
    made = into_engine(port(dtype, 1.0, zero_point, permutation))(np.full((2, 3, 4), half / 2, np.float32))
    limits = np.iinfo(dtype)
    assert (made == np.clip(np.rint(half / 2) + zero_point, limits.min, limits.max)).all()


@given(arrays(np.int8, (2, 3, 4)), SCALES, st.integers(-128, 127), PERMUTATIONS)
def test_every_integer_comes_back_as_itself(integers: Any, scale: float, zero_point: int, permutation: Any) -> None:
    way = port("int8", scale, zero_point, permutation)
    turned = np.ascontiguousarray(integers if permutation is None else integers.transpose(permutation))
    real = out_of_engine(way)(turned)
    assert (real.shape, real.dtype) == ((2, 3, 4), np.dtype("float32"))
    params = QuantParams(scale=np.float32([scale]), zero_point=np.int32([zero_point]), dtype="int8")
    np.testing.assert_allclose(real, dequantize(integers, params), rtol=1e-6)
    np.testing.assert_array_equal(into_engine(way)(real), turned)


@given(REALS, SCALES, INTEGERS, st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_plane_at_a_time_is_quantized_as_the_whole_is(real: Any, scale: float, kind: Any, odd: float) -> None:
    dtype, zero_point = kind
    real[0, 1, 2] = odd
    planar = into_engine(port(dtype, scale, zero_point, (1, 2, 0)))(real).copy()
    shape = planar.shape
    way = Port(
        source=TensorSpec(name="x", shape=shape, dtype="float32"),
        engine=TensorSpec(name="x", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point),
    )
    np.testing.assert_array_equal(planar, into_engine(way)(np.ascontiguousarray(real.transpose(1, 2, 0))))


def test_an_integer_source_is_cast_not_quantized_and_must_fit() -> None:
    way = Port(
        source=TensorSpec(name="ids", shape=(2,), dtype="int64"), engine=TensorSpec(name="ids", shape=(2,), dtype="int32")
    )
    assert into_engine(way)(np.array([1, 2])).dtype == np.int32
    assert out_of_engine(way)(np.array([1, 2], np.int32)).dtype == np.int64
    with pytest.raises(InputError, match="does not fit int32"):
        into_engine(way)(np.array([1, 2**40]))


def test_a_contiguous_float_array_for_a_float_engine_is_not_copied() -> None:
    way = Port(source=SOURCE_IN, engine=SOURCE_IN)
    assert into_engine(way)(IMAGE) is IMAGE


def test_an_engine_of_half_precision_gets_and_gives_halves() -> None:
    way = Port(source=SOURCE_IN, engine=msgspec.structs.replace(SOURCE_IN, dtype="float16"))
    assert into_engine(way)(IMAGE).dtype == np.float16
    assert out_of_engine(way)(IMAGE.astype(np.float16)).dtype == np.float32


def test_two_inputs_are_told_apart_by_name_in_any_order(tmp_path: Path) -> None:
    a, b = (TensorSpec(name=name, shape=(2,), dtype="float32") for name in "ab")
    artifact = tiny_artifact(tmp_path, "onnx")
    manifest = msgspec.structs.replace(
        artifact.manifest, inputs=(Port(source=a, engine=a), Port(source=b, engine=b)), outputs=(Port(source=b, engine=b),)
    )

    class Second(Echo):
        def __init__(self) -> None:
            super().__init__(b)
            self.inputs = (b, a)

    session = FaceSession(Second(), Artifact(path=artifact.path, manifest=manifest, sha256=""), "second")
    answers = session.run({"b": np.float32([3, 4]), "a": np.float32([1, 2])})
    assert answers["b"].tolist() == [3, 4]
