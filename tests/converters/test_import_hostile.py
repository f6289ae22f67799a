"""A damaged or hostile ONNX file ends in a sentence, never in a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import pytest
from busy import busy_onnx
from damage import flipped, truncated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from tiny import tiny_onnx

from edgekit.converters.importers.onnx.file import load
from edgekit.core.errors import EdgekitError

FILES = {"small": tiny_onnx(), "busy": busy_onnx()}


def read(data: bytes) -> None:
    """Load the bytes; anything but an `EdgekitError` is a failure of the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(data)
        try:
            load(path)
        except EdgekitError as error:
            assert error.message


def test_the_files_that_are_damaged_below_are_sound(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
        assert load(tmp_path / name).graph.nodes


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_a_truncated_file_is_a_sentence(name: str, data: st.DataObject) -> None:
    read(truncated(FILES[name], data))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_flipped_bits_are_a_sentence_or_another_model(name: str, data: st.DataObject) -> None:
    read(flipped(FILES[name], data))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_sizes_out_of_range_are_a_sentence(data: st.DataObject) -> None:
    model = onnx.load_model_from_string(FILES["busy"])
    size = data.draw(st.sampled_from([-(2**63), -1, 0, 10**9, 2**31, 2**62, 2**63 - 1]))
    tensor = model.graph.initializer[data.draw(st.integers(0, len(model.graph.initializer) - 1))]
    if data.draw(st.booleans()):
        tensor.dims[data.draw(st.integers(0, len(tensor.dims) - 1))] = size
    elif tensor.data_type == TensorProto.INT64:
        values = numpy_helper.to_array(tensor).copy()
        values[data.draw(st.integers(0, values.size - 1))] = size
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    else:
        model.graph.input[0].type.tensor_type.shape.dim[data.draw(st.integers(0, 3))].dim_value = size
    read(model.SerializeToString())


def test_an_element_type_that_onnx_has_not_is_named(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(FILES["small"])
    model.graph.input[0].type.tensor_type.elem_type = 33
    (tmp_path / "strange.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EdgekitError, match="33"):
        load(tmp_path / "strange.onnx")


def test_an_input_that_is_no_tensor_is_named(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(FILES["small"])
    model.graph.input[0].type.Clear()
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
    (tmp_path / "sequence.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EdgekitError, match=repr(model.graph.input[0].name)):
        load(tmp_path / "sequence.onnx")
