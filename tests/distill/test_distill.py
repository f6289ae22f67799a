"""`edgekit distill`: what was pruned learns from the whole; without PyTorch it says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prune_graphs import feeds, network

from edgekit.cli import main
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.onnx.file import load
from edgekit.converters.prune import prune
from edgekit.core.errors import EdgekitError, InputError, UsageError
from edgekit.distill.distill import Request, distill
from edgekit.distill.match import matches
from edgekit.distill.pictures import prepared
from edgekit.distill.settings import Settings, checked

TINY = Settings(epochs=2, batch=24, learning_rate=2e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "net.onnx"
    path.write_bytes(to_bytes(network(("relu", "residual", "relu"), 2)))
    return path


@pytest.fixture(scope="module")
def data() -> list[Any]:
    return feeds(network(("relu",), 0), 240, seed=5)


def request(model: Path, data: Any, out: Path, **changes: Any) -> Request:
    return Request(**{"model": model, "data": data, "out": out, "share": 0.4, "settings": TINY, "bench_s": 0.0, **changes})


def test_training_brings_the_pruned_network_nearer_to_its_source(model: Path, data: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    found = distill(request(model, data, tmp_path / "small.onnx", settings=Settings(epochs=20, batch=16, learning_rate=2e-3)))
    assert found.macs_after <= 0.6 * found.macs_before
    assert found.loss_after < found.loss_before
    assert found.kept_epoch > 0
    made = load(tmp_path / "small.onnx").graph
    assert [(spec.name, spec.shape) for spec in made.outputs] == [(spec.name, spec.shape) for spec in load(model).graph.outputs]


def test_a_stopped_run_goes_on_to_the_same_bits(model: Path, data: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")

    def stop(event: Any) -> None:
        if "epoch 2" in event.stage:
            raise KeyboardInterrupt

    whole = distill(request(model, data, tmp_path / "whole.onnx"))
    with pytest.raises(KeyboardInterrupt):
        distill(request(model, data, tmp_path / "parts.onnx"), stop)
    assert not (tmp_path / "parts.onnx").exists()
    with pytest.raises(InputError, match="already holds a run"):
        distill(request(model, data, tmp_path / "parts.onnx"))
    parts = distill(request(model, data, tmp_path / "parts.onnx", resume=True))
    assert parts.sha256 == whole.sha256
    with pytest.raises(InputError, match="other settings"):
        distill(request(model, data, tmp_path / "parts.onnx", resume=True, settings=Settings(epochs=3, batch=24)))
    with pytest.raises(InputError, match="another share"):
        distill(request(model, data, tmp_path / "parts.onnx", resume=True, share=0.3))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04junk"])
def test_a_checkpoint_that_is_not_one_is_named(model: Path, data: list[Any], tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    (tmp_path / "small.distill.pt").write_bytes(content)
    with pytest.raises(InputError, match="is not a distillation"):
        distill(request(model, data, tmp_path / "small.onnx", resume=True))


def test_a_network_pruned_elsewhere_learns_from_its_source(model: Path, data: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    (tmp_path / "cut.onnx").write_bytes(to_bytes(prune(load(model).graph, share=0.4).graph))
    found = distill(request(tmp_path / "cut.onnx", data, tmp_path / "small.onnx", share=None, source=model))
    assert found.loss_after < found.loss_before


def test_without_pytorch_the_extra_is_named(
    model: Path, data: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        pytest.skip("PyTorch is installed here")
    np.savez(tmp_path / "data.npz", x=np.concatenate([feed["x"] for feed in data]))
    words = [
        "distill",
        str(model),
        "--prune",
        "20%",
        "--data",
        str(tmp_path / "data.npz"),
        "-o",
        str(tmp_path / "o.onnx"),
        "--json",
    ]
    assert main(words) == 1
    said = json.loads(capsys.readouterr().out)
    assert "torch is not installed" in said["error"]
    assert 'pip install "edgekit[' in said["hint"]


def test_either_a_share_or_a_source_is_wanted(model: Path, data: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    for wrong in ({"share": None}, {"source": model}):
        with pytest.raises(UsageError, match="either prune"):
            distill(request(model, data, tmp_path / "small.onnx", **wrong))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch", -1), ("threads", 0), ("seed", -1), ("learning_rate", 0.0), ("device", "tpu"), ("emphasis", -1.0)],
)
def test_settings_that_make_no_sense_are_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name.replace("_", " ")):
        checked(Settings(**{name: value}))


def test_samples_are_had_in_any_order_and_leave_nothing_behind() -> None:
    graph = network(("relu",), 0)
    given = feeds(graph, 7)
    with prepared(given, graph.inputs, limit=5) as samples:
        batch = samples.take(np.array([3, 0]))["x"]
        assert samples.count == 5
        folder = Path(samples.arrays["x"].filename).parent  # type: ignore[attr-defined]
        np.testing.assert_array_equal(batch, np.concatenate([given[3]["x"], given[0]["x"]]))
    assert not folder.exists()


def test_one_sample_is_too_few() -> None:
    graph = network(("relu",), 0)
    with pytest.raises(EdgekitError, match="1 samples are too few"), prepared(feeds(graph), graph.inputs, limit=5):
        pass


def test_the_last_layers_are_compared_whole_and_the_others_in_what_is_left() -> None:
    graph = network(("relu", "relu"), 2)
    pruned = prune(graph, share=0.4, multiple=4)
    found = matches(graph, pruned.graph, pruned.kept, 0.2)
    assert sum(one.weight for one in found) == pytest.approx(1.2)
    assert all(pruned.graph.shape(one.name)[one.axis] == len(one.kept) for one in found)
    with pytest.raises(InputError, match="no output of the same name"):
        matches(graph, network(("concat",), 0), {}, 0.2)


def test_rounding_in_ten_bits_is_no_difference_and_another_sample_is_one() -> None:
    torch = pytest.importorskip("torch", reason="distillation needs PyTorch")
    from edgekit.distill.loop import alike

    right = torch.randn(2, 60, 85, generator=torch.Generator().manual_seed(0))
    assert alike(right * (1 + 1e-2 * torch.randn(right.shape, generator=torch.Generator().manual_seed(1))), right)
    assert not alike(right.flip(0), right)
    assert not alike(right[:1], right)
    assert alike(torch.zeros(2, 3), torch.zeros(2, 3))


def test_a_graph_that_takes_batches_is_trained_in_batches(model: Path, data: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    assert distill(request(model, data, tmp_path / "small.onnx")).batch == TINY.batch


def test_a_gpu_that_is_not_there_is_said_so() -> None:
    torch = pytest.importorskip("torch", reason="distillation needs PyTorch")
    from edgekit.core.errors import DeviceError
    from edgekit.distill.device import chosen

    assert chosen("cpu") == "cpu"
    if torch.cuda.is_available():
        assert chosen("auto") == chosen("cuda") == "cuda"
    else:
        assert chosen("auto") == "cpu"
        with pytest.raises(DeviceError, match="no CUDA device"):
            chosen("cuda")


def test_a_run_that_has_no_more_minutes_writes_the_best_so_far_and_can_be_gone_on_with(
    model: Path, data: list[Any], tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    begun = distill(request(model, data, tmp_path / "small.onnx", minutes=0.0))
    assert begun.history == ()
    assert begun.loss_after == begun.loss_before
    assert any("stopped after 0 of 2 epochs" in note for note in begun.notes)
    done = distill(request(model, data, tmp_path / "small.onnx", resume=True))
    assert len(done.history) == 2
    assert done.loss_before == pytest.approx(begun.loss_before)
    assert not any("stopped" in note for note in done.notes)
