"""What the ONNX Runtime adapter decides before a session is opened."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import SOURCE_IN, SOURCE_OUT, answer, tiny_artifact, tiny_onnx

from edgekit.core import profiles
from edgekit.core.errors import DeviceError, MissingDependency, UsageError
from edgekit.core.schema import TensorSpec
from edgekit.loading import open_artifact
from edgekit.runtimes import onnxruntime, registry
from edgekit.runtimes._ort_bound import BoundSession, bindable
from edgekit.runtimes._ort_nodes import left_to_the_cpu, tell_what_the_cpu_got
from edgekit.runtimes._ort_providers import Wish, chain, options, profile_of
from edgekit.runtimes.onnxruntime import CPU, PROVIDERS, RECORD, sums_saturate

IMAGE = np.ones((1, 3, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        pytest.param("flags : sse2 avx2 fma", True, id="avx2 alone"),
        pytest.param("flags : avx2 avx_vnni", False, id="avx vnni"),
        pytest.param("flags : avx512f avx512_vnni", False, id="avx512 vnni"),
    ],
)
def test_cpus_that_would_clamp_integer_sums_are_known_by_their_flags(tmp_path: Path, flags: str, saturates: bool) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    assert sums_saturate(tmp_path / "cpuinfo") is saturates


def test_a_cpu_that_cannot_be_asked_is_taken_for_one_that_clamps(tmp_path: Path) -> None:
    assert sums_saturate(tmp_path / "nothing")


def test_an_output_between_transposes_comes_as_it_is_written_where_pairs_are_left_as_they_are() -> None:
    rounded = [
        helper.make_node("QuantizeLinear", ["slice", "scale", "zero"], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["y"]),
    ]
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[2, 1, 0]),
        helper.make_node("Relu", ["t"], ["positive"]),
        helper.make_node("QuantizeLinear", ["t", "scale", "zero"], ["first"]),
        helper.make_node("DequantizeLinear", ["first", "scale", "zero"], ["rounded"]),
        helper.make_node("Slice", ["rounded", "from", "to", "axis"], ["slice"]),
        *rounded,
        helper.make_node("Concat", ["y", "positive"], ["both"], axis=0),
        helper.make_node("Transpose", ["both"], ["o"], perm=[2, 1, 0]),
    ]
    constants = {
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "from": np.array([2]),
        "to": np.array([4]),
        "axis": np.array([0]),
    }
    graph = helper.make_graph(
        nodes,
        "between",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3, 1]),
            helper.make_tensor_value_info("o", TensorProto.FLOAT, [1, 3, 6]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    x = (np.arange(12, dtype=np.float32) / 10).reshape(1, 3, 4)
    found = onnxruntime.simulate(model)({"x": x})
    np.testing.assert_allclose(found["y"], x.T[2:], atol=1e-6)
    np.testing.assert_allclose(found["o"], np.concatenate([x.T[2:], x.T]).T, atol=1e-6)


def built_with() -> list[str]:
    return list(pytest.importorskip("onnxruntime").get_available_providers())


def test_every_node_that_ran_is_told_with_its_operator_provider_and_time(tmp_path: Path) -> None:
    runtime = onnxruntime._OnnxRuntime()
    nodes = runtime.nodes(tiny_artifact(tmp_path, "onnx"), {"image": IMAGE})
    assert nodes
    assert {node.provider for node in nodes} == {CPU}
    assert any("Conv" in node.op for node in nodes)
    assert all(node.name and node.us >= 0 for node in nodes)
    assert len({node.name for node in nodes}) == len(nodes)


def test_a_feed_the_profiled_model_refuses_is_a_device_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="could not run the model"):
        onnxruntime._OnnxRuntime().nodes(tiny_artifact(tmp_path, "onnx"), {"image": IMAGE[0]})


@pytest.mark.parametrize("device", PROVIDERS)
def test_a_provider_is_used_where_it_is_built_and_refused_where_it_is_not(tmp_path: Path, device: str) -> None:
    made, runtime = tiny_artifact(tmp_path, "onnx"), registry.get(f"onnxruntime@{device}")
    if PROVIDERS[device] in built_with():
        with open_artifact(made, runtime=f"onnxruntime@{device}") as session:
            assert session.runtime == f"onnxruntime@{device}"
            session.run({"image": IMAGE})
        return
    assert not runtime.probe().ok
    with pytest.raises(MissingDependency, match=f"has no {PROVIDERS[device]} \\(it has .*CPUExecutionProvider") as caught:
        runtime.load(made)
    assert caught.value.hint


def test_a_provider_that_onnx_runtime_drops_while_it_opens_is_an_error() -> None:
    onnxruntime._check_provider([CPU], [CPU])
    with pytest.raises(DeviceError, match="could not start CUDAExecutionProvider and offers CPUExecutionProvider instead"):
        onnxruntime._check_provider([CPU], ["CUDAExecutionProvider", CPU])


def test_an_unknown_provider_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="no provider named 'cudaa'") as caught:
        registry.get("onnxruntime@cudaa")
    assert "cuda" in caught.value.hint


def opened(*entries: tuple[str, str]) -> object:
    ort = pytest.importorskip("onnxruntime")
    told = ort.SessionOptions()
    for entry in entries:
        told.add_session_config_entry(*entry)
    return ort.InferenceSession(tiny_onnx(), told, providers=[CPU])


@pytest.fixture
def bound() -> BoundSession:
    """A session with its tensors bound, as on a GPU, to the processor's own memory."""
    return BoundSession(opened(), pytest.importorskip("onnxruntime"), "cpu", [SOURCE_IN], [SOURCE_OUT])


def test_a_bound_session_computes_the_model_and_leaves_earlier_answers_alone(bound: BoundSession) -> None:
    rng = np.random.default_rng(3)
    images = [rng.uniform(-1, 1, (1, 3, 4, 4)).astype(np.float32) for _ in range(3)]
    answers = [bound.run({"image": image})["scores"] for image in images]
    for image, found in zip(images, answers, strict=True):
        np.testing.assert_allclose(found, answer(image), rtol=1e-5, atol=1e-6)


def test_a_bound_session_takes_arrays_that_are_not_contiguous(bound: BoundSession) -> None:
    wide = np.random.default_rng(4).uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32)
    turned = wide.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(bound.run({"image": turned})["scores"], answer(turned), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({}, "the feed has no 'image'"),
        ({"image": IMAGE[0]}, r"must be float32 \[1, 3, 4, 4\], got float32 \[3, 4, 4\]"),
        ({"image": IMAGE.astype(np.float64)}, "got float64"),
    ],
    ids=["missing", "another shape", "another type"],
)
def test_what_does_not_fit_the_bound_memory_is_refused_before_it_is_copied(
    bound: BoundSession, feed: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(DeviceError, match=said):
        bound.run(feed)


def test_a_bound_session_closes_twice_and_does_not_run_afterwards(bound: BoundSession) -> None:
    bound.close()
    bound.close()
    with pytest.raises(DeviceError, match="closed"):
        bound.run({"image": IMAGE})


def test_only_numbers_of_known_sizes_are_bound() -> None:
    unknown = TensorSpec(name="x", shape=(-1, 3), dtype="float32")
    words = TensorSpec(name="x", shape=(1,), dtype="object")
    assert bindable([SOURCE_IN, SOURCE_OUT])
    assert not bindable([unknown])
    assert not bindable([words])


def test_nodes_that_went_to_the_cpu_are_named() -> None:
    if not hasattr(opened(), "get_provider_graph_assignment_info"):
        pytest.skip("this ONNX Runtime does not say which provider took a node")
    assert left_to_the_cpu(opened((RECORD, "1"))) == (("conv",), 1)
    assert left_to_the_cpu(opened()) == ((), 0), "without the record nothing is known, and nothing is claimed"
    assert left_to_the_cpu(object()) is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((("a", "b"), 9), "net on onnxruntime@cuda: 2 of 9 nodes run on the CPU: 'a', 'b'"),
        ((tuple("abcde"), 9), "5 of 9 nodes run on the CPU: 'a', 'b', 'c' and 2 more"),
        (None, "some nodes may run on the CPU"),
        (((), 9), ""),
    ],
)
def test_a_provider_that_leaves_nodes_to_the_cpu_says_so(
    caplog: pytest.LogCaptureFixture, found: tuple[tuple[str, ...], int] | None, said: str
) -> None:
    tell_what_the_cpu_got("net", "onnxruntime@cuda", found)
    assert said in caplog.text
    assert {record.levelno for record in caplog.records} == ({logging.WARNING} if said else set())


def test_what_tensorrt_leaves_goes_to_the_same_gpu_first() -> None:
    built = tuple(PROVIDERS.values())
    assert chain("tensorrt", built) == ("tensorrt", "cuda")
    assert chain("tensorrt", (PROVIDERS["tensorrt"], CPU)) == ("tensorrt",)
    assert chain("cuda", built) == ("cuda",)
    assert chain("cpu", built) == chain("", built) == ()


ORIN = profiles.by_name("jetson-orin-nano")


def test_where_the_gpu_shares_the_processor_s_memory_its_pool_is_kept_small() -> None:
    told = options("cuda", Wish(board=ORIN, precision="fp16"))
    assert told == {"arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": str(ORIN.facts["memory_bytes"].value // 2)}  # type: ignore[operator]
    bare = msgspec.structs.replace(ORIN, facts={})
    assert options("cuda", Wish(board=bare, precision="fp16")) == {"arena_extend_strategy": "kSameAsRequested"}
    assert options("cuda", Wish(precision="fp16")) == {}


def test_a_float32_artifact_is_not_computed_in_tf32() -> None:
    assert options("cuda", Wish(precision="fp32")) == {"use_tf32": "0"}


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"), [("fp32", "0", "0"), ("fp16", "1", "0"), ("int8", "1", "1"), ("mixed", "1", "1")]
)
def test_tensorrt_s_provider_is_told_the_artifact_s_precision_and_where_to_keep_engines(
    precision: str, fp16: str, int8: str, tmp_path: Path
) -> None:
    told = options("tensorrt", Wish(board=ORIN, precision=precision, cache=tmp_path))
    assert (told["trt_fp16_enable"], told["trt_int8_enable"]) == (fp16, int8)
    assert told["trt_engine_cache_path"] == told["trt_timing_cache_path"] == str(tmp_path)


def test_xnnpack_gets_the_threads() -> None:
    assert options("xnnpack", Wish(threads=3)) == {"intra_op_num_threads": "3"}
    assert options("cpu", Wish(threads=3)) == {}


@pytest.mark.parametrize("name", ["no-such-board", "../rpi5", "rpi5\n", ""])
def test_a_board_without_a_profile_gets_the_defaults(name: str) -> None:
    assert profile_of(name) is None
