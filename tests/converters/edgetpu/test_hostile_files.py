"""Files that are not TFLite, are cut short, or were changed on purpose: an error in words, never a crash or a hang."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Op, T, tflite, tiny_tflite

from edgekit.converters.lower.edgetpu import parameter_cache, placements
from edgekit.converters.lower.edgetpu_ops import ROWS
from edgekit.converters.tflite_file.read import load, parse
from edgekit.core.errors import EdgekitError, InputError, NotFound, Unsupported

MODEL = tiny_tflite(quantized=True)


def read(data: bytes) -> None:
    """Anything goes but an exception that is not ours."""
    try:
        placements(data)
        parameter_cache(data)
    except (InputError, Unsupported) as error:
        assert error.message


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    read(data)


@given(st.binary(max_size=400))
def test_random_bytes_with_the_right_identifier(data: bytes) -> None:
    read(data[:4].ljust(4, b"\0") + b"TFL3" + data[4:])


@given(st.integers(0, len(MODEL) - 1))
def test_a_file_that_ends_early(size: int) -> None:
    read(MODEL[:size])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    data = bytearray(MODEL)
    for place, value in changes:
        data[place] = value
    read(bytes(data))


@settings(max_examples=300)
@given(st.integers(0, len(MODEL) // 4 - 1), st.sampled_from([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000000, 0]))
def test_a_length_or_offset_of_billions(word: int, value: int) -> None:
    data = bytearray(MODEL)
    struct.pack_into("<I", data, 4 * word, value)
    read(bytes(data))


def test_every_bit_of_a_real_file_flipped_one_at_a_time_stays_quick() -> None:
    start = time.monotonic()
    for bit in range(0, 8 * len(MODEL), 7):
        data = bytearray(MODEL)
        data[bit // 8] ^= 1 << bit % 8
        read(bytes(data))
    assert time.monotonic() - start < 30


def amplified(tensors: int, name: bytes) -> bytes:
    """A file whose one tensor, with a long name, stands in the list of tensors over and over."""
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString(name)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, text)
    tensor = schema.TensorEnd(builder)
    builder.StartVector(4, tensors, 4)
    for _ in range(tensors):
        builder.PrependUOffsetTRelative(tensor)
    listed = builder.EndVector()
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, listed)
    graph = schema.SubGraphEnd(builder)
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_one_table_listed_over_and_over_runs_out_of_budget_instead_of_memory() -> None:
    assert placements(amplified(1, b"name")) == ()
    with pytest.raises(InputError, match="without end"):
        placements(amplified(25_000, b"n" * 100_000))


def test_a_tensor_of_a_million_dimensions_is_damage() -> None:
    data = tflite([T(name="x", shape=(1,) * 1000)], [], ["x"], ["x"])
    with pytest.raises(InputError, match="1000 dimensions"):
        parse(data)


@given(
    st.sampled_from(sorted(ROWS)), st.lists(st.sampled_from("xyz"), max_size=5), st.lists(st.sampled_from("xyz"), max_size=2)
)
def test_operators_with_any_number_of_inputs_of_any_shape(op: str, inputs: list[str], outputs: list[str]) -> None:
    tensors = [T(name="x", shape=()), T(name="y", shape=(0, 3)), T(name="z", shape=(1, 2, 3, 4, 5), data=np.ones(3, np.int8))]
    read(tflite(tensors, [Op(op=op, inputs=inputs, outputs=outputs)], ["x"], ["y"]))


def test_the_message_says_what_is_wrong_and_the_hint_what_to_do() -> None:
    with pytest.raises(InputError, match="not a TFLite file") as caught:
        parse(b"PK\x03\x04 something else")
    assert "complete" in caught.value.hint


def test_a_truncated_file_says_so() -> None:
    with pytest.raises(InputError, match="damaged") as caught:
        parse(MODEL[: len(MODEL) // 2])
    assert "complete" in caught.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.tflite"):
        load(tmp_path / "gone.tflite")
    with pytest.raises(EdgekitError, match="could not read"):
        load(tmp_path)
