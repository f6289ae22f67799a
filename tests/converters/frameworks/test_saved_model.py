"""SavedModel folders: a network is read, a program that reaches outside itself is refused before TensorFlow sees it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.converters.importers.protobuf import within
from edgekit.converters.importers.saved_model import ensure_harmless, is_saved_model, load
from edgekit.core.errors import InputError, MissingDependency, NotFound, Unsupported


def field(number: int, value: bytes) -> bytes:
    """One field of bytes in protobuf's wire format."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def program(op: str = "Conv2D", *, function_op: str = "Relu", child: str = "signatures", objects: bool = True) -> bytes:
    library = field(2, field(1, field(3, field(1, b"node") + field(2, function_op.encode()))))
    graph = field(2, field(1, field(1, b"node") + field(2, op.encode())) + library)
    tree = field(7, field(1, field(1, b"\x08\x01" + field(2, child.encode())))) if objects else b""
    return b"\x08\x01" + field(2, graph + tree)


def folder(path: Path, data: bytes) -> Path:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(data)
    return path


def test_a_network_passes(tmp_path: Path) -> None:
    made = folder(tmp_path / "net", program())
    assert is_saved_model(made)
    assert is_saved_model(made / "saved_model.pb")
    assert ensure_harmless(made) == program()


def test_a_folder_without_the_file_is_said_so(tmp_path: Path) -> None:
    assert not is_saved_model(tmp_path)
    with pytest.raises(NotFound, match=r"no saved_model\.pb"):
        load(tmp_path)


@pytest.mark.parametrize(
    "op", ["ReadFile", "WriteFile", "PyFunc", "EagerPyFunc", "PyFuncStateless", "MatchingFiles", "TFRecordDataset", "TextLineDatasetV2",
           "InitializeTableFromTextFileV2", "PrintV2", "RpcCall"]
)  # fmt: skip
@pytest.mark.parametrize("where", ["op", "function_op"])
def test_a_program_that_reaches_outside_is_refused_unread(op: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"operator {op}, which reaches outside"):
        load(folder(tmp_path / "net", program(**{where: op})))  # type: ignore[arg-type]


@pytest.mark.parametrize("child", ["_initialize", "_create_resource"])
def test_what_would_run_on_loading_is_refused(child: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run when it is loaded"):
        load(folder(tmp_path / "net", program(child=child)))


def test_a_model_of_tensorflow_1_is_refused_with_the_way_round_it(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="TensorFlow 1") as caught:
        load(folder(tmp_path / "net", program(objects=False)))
    assert "tf2onnx" in caught.value.hint


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    made = folder(tmp_path / "net", program())
    (tmp_path / "secret").write_bytes(b"x")
    (made / "variables.index").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="a link that leaves the folder"):
        load(made)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_program_cut_short_is_refused(cut: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cut short or damaged"):
        load(folder(tmp_path / "net", program()[:-cut]))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        list(within(memoryview(data), 2, 2, 1, 2))
    except InputError:
        return


@given(st.binary(max_size=300), st.integers(1, 5000))
def test_what_is_written_is_found(value: bytes, number: int) -> None:
    assert [bytes(one) for one in within(memoryview(field(number, field(3, value))), number, 3)] == [value]


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed here")
def test_without_tensorflow_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    from edgekit.formats import import_model

    with pytest.raises(MissingDependency, match="tensorflow is not installed") as caught:
        import_model(folder(tmp_path / "net", program()), {})
    assert caught.value.hint == 'pip install "edgekit[keras]"'


@pytest.fixture(scope="module")
def tensorflow() -> Any:
    pytest.importorskip("tf2onnx", reason="the extra keras is not installed")
    return pytest.importorskip("tensorflow", reason="the extra keras is not installed")


def module(tensorflow: Any, body: Any) -> Any:
    made = tensorflow.Module()
    made.weight = tensorflow.Variable(tensorflow.random.stateless_normal((4, 3), seed=(0, 0)))
    spec = tensorflow.TensorSpec((None, 4), tensorflow.float32, name="x")
    made.call = tensorflow.function(lambda x: {"y": body(x, made.weight)}, input_signature=[spec])
    return made


@pytest.mark.filterwarnings("ignore")
def test_a_saved_network_answers_the_same_as_a_graph(tensorflow: Any, tmp_path: Path) -> None:
    from edgekit.formats import import_model

    made = module(tensorflow, lambda x, weight: tensorflow.nn.relu(x @ weight))
    tensorflow.saved_model.save(made, str(tmp_path / "net"), signatures=made.call)
    for path in (tmp_path / "net", tmp_path / "net" / "saved_model.pb"):
        found = import_model(path, {})
        assert found.source.framework == "tensorflow"
        assert found.source.name == "net"
        assert (found.graph.inputs[0].shape, found.graph.outputs[0].shape) == ((1, 4), (1, 3))


@pytest.mark.filterwarnings("ignore")
def test_inspect_shows_the_face_and_the_cost_of_a_folder_and_of_its_program(tensorflow: Any, tmp_path: Path) -> None:
    from edgekit.inspect import inspect

    made = module(tensorflow, lambda x, weight: tensorflow.nn.relu(x @ weight))
    tensorflow.saved_model.save(made, str(tmp_path / "net"), signatures=made.call)
    for path in (tmp_path / "net", tmp_path / "net" / "saved_model.pb"):
        found = inspect(path)
        assert [spec.shape for spec in (*found.inputs, *found.outputs)] == [(1, 4), (1, 3)]
        assert (found.cost.macs, found.cost.params) == (12, 12)


@pytest.mark.filterwarnings("ignore")
def test_a_saved_program_that_writes_a_file_is_refused_and_writes_none(tensorflow: Any, tmp_path: Path) -> None:
    def body(x: Any, weight: Any) -> Any:
        tensorflow.io.write_file(str(tmp_path / "trace"), "x")
        return x @ weight

    made = module(tensorflow, body)
    tensorflow.saved_model.save(made, str(tmp_path / "net"), signatures=made.call)
    with pytest.raises(InputError, match="operator WriteFile"):
        load(tmp_path / "net")
    assert not (tmp_path / "trace").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_signature_that_saves_is_refused_before_it_runs(tensorflow: Any, tmp_path: Path) -> None:
    def body(x: Any, weight: Any) -> Any:
        tensorflow.raw_ops.SaveV2(prefix=str(tmp_path / "trace"), tensor_names=["w"], shape_and_slices=[""], tensors=[x])
        return x @ weight

    made = module(tensorflow, body)
    tensorflow.saved_model.save(made, str(tmp_path / "net"), signatures=made.call)
    with pytest.raises(InputError, match="runs SaveV2"):
        load(tmp_path / "net")
    assert not list(tmp_path.glob("trace*"))
