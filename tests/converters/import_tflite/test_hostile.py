"""A damaged or hostile TFLite file ends in a sentence, soon and in little memory; never in a traceback."""

from __future__ import annotations

import struct
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from busy import busy_tflite
from damage import flipped, truncated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import Op, T, tflite, tiny_tflite

from edgekit.converters.importers.tflite import load
from edgekit.core.errors import EdgekitError

GIGA = 10**9
EXTREMES = (0, 1, 0x7F, 0x80, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, GIGA)


FILES = {"float": tiny_tflite(quantized=False), "integer": tiny_tflite(quantized=True), "busy": busy_tflite()}


def read(data: bytes) -> None:
    """Load the bytes; anything but an `EdgekitError` is a failure of the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        try:
            load(path)
        except EdgekitError as error:
            assert error.message


@pytest.mark.parametrize("name", FILES)
def test_the_files_that_are_damaged_below_are_sound(name: str, tmp_path: Path) -> None:
    (tmp_path / "sound.tflite").write_bytes(FILES[name])
    assert load(tmp_path / "sound.tflite").graph.nodes


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_a_truncated_file_is_a_sentence(name: str, data: st.DataObject) -> None:
    read(truncated(FILES[name], data))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_flipped_bits_are_a_sentence_or_another_model(name: str, data: st.DataObject) -> None:
    read(flipped(FILES[name], data, first=8))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_offsets_and_lengths_out_of_range_are_a_sentence(name: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[name])
    at = data.draw(st.integers(8, len(damaged) - 4))
    struct.pack_into("<I", damaged, at, data.draw(st.sampled_from(EXTREMES)))
    read(bytes(damaged))


@pytest.mark.parametrize("name", FILES)
def test_a_billion_anywhere_costs_neither_memory_nor_time(name: str) -> None:
    tracemalloc.start()
    slowest = 0.0
    for at in range(8, len(FILES[name]) - 3, 4):
        damaged = bytearray(FILES[name])
        struct.pack_into("<I", damaged, at, GIGA)
        began = time.perf_counter()
        read(bytes(damaged))
        slowest = max(slowest, time.perf_counter() - began)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 << 20
    assert slowest < 5.0


def test_a_shape_of_petabytes_is_not_computed(tmp_path: Path) -> None:
    value = np.array(1.0, np.float32)
    tensors = [
        T(name="x", shape=(1, 4), dtype="float32"),
        T(name="dims", shape=(2,), dtype="int32", data=np.array([GIGA, 1 << 20], np.int32)),
        T(name="v", shape=(), dtype="float32", data=value),
        T(name="f", shape=(GIGA, 1 << 20), dtype="float32"),
        T(name="axes", shape=(2,), dtype="int32", data=np.array([0, 1], np.int32)),
        T(name="m", shape=(), dtype="float32"),
        T(name="y", shape=(1, 4), dtype="float32"),
    ]
    ops = [
        Op(op="FILL", inputs=["dims", "v"], outputs=["f"]),
        Op(op="MEAN", inputs=["f", "axes"], outputs=["m"], options_type="ReducerOptions"),
        Op(op="ADD", inputs=["x", "m"], outputs=["y"]),
    ]
    read(tflite(tensors, ops, ["x"], ["y"]))


def test_a_split_into_parts_of_another_rank_is_named(tmp_path: Path) -> None:
    tensors = [
        T(name="axis", shape=(), dtype="int32", data=np.array(3, np.int32)),
        T(name="x", shape=(1, 4, 4, 2), dtype="float32"),
        T(name="y", shape=(1, 4), dtype="float32"),
        T(name="z", shape=(1, 4, 4, 1), dtype="float32"),
    ]
    ops = [Op(op="SPLIT", inputs=["axis", "x"], outputs=["y", "z"], options_type="SplitOptions", options={"numSplits": 2})]
    (tmp_path / "model.tflite").write_bytes(tflite(tensors, ops, ["x"], ["y", "z"]))
    with pytest.raises(EdgekitError, match=r"op SPLIT at .* splits 4 dimensions into"):
        load(tmp_path / "model.tflite")
