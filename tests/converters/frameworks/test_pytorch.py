"""PyTorch files: programs are read, weights and pickles are refused, and nothing hostile is unfolded or run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters.importers.archives import entries_of
from edgekit.converters.importers.pytorch import from_module, kind_of, load
from edgekit.core.errors import EdgekitError, InputError, NotFound


def archive(path: Path, **entries: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(f"model/{name.replace('__', '/').replace('_json', '.json').replace('_pkl', '.pkl')}", data)
    return path


class Evil:
    """Unpickling it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_no_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no model file"):
        load(tmp_path / "none.pt2")


def test_an_old_pickle_is_refused_unread(tmp_path: Path) -> None:
    path, trace = tmp_path / "old.pt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(InputError, match="pickle file, which may run any code") as caught:
        load(path)
    assert "torch.export" in caught.value.hint
    assert not trace.exists()


def test_weights_alone_are_refused_with_what_to_do(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = archive(tmp_path / "weights.pt", data_pkl=pickle.dumps(Evil(trace)))
    with pytest.raises(InputError, match="weights or a pickled module, and no program") as caught:
        load(path)
    assert "torch.export.save" in caught.value.hint
    assert not trace.exists()


def test_what_no_framework_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing that PyTorch writes"):
        load(archive(tmp_path / "other.pt2", readme="hello"))


def test_a_zip_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.pt2", models__m_json=bytes(64 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match="would unfold to 67108864"):
        load(path)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "cut.pt2", models__m_json="{}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="not a zip file"):
        entries_of(path)


@pytest.mark.parametrize("size", ["__import__('os')", "a.b", "x[0]", "s0;s1", "'text'"])
def test_a_size_that_is_no_expression_is_refused(size: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "sly.pt2", models__m_json='{"expr_str": "%s"}' % size)  # noqa: UP031
    with pytest.raises(InputError, match="which is no expression"):
        kind_of(path)


def test_sizes_as_pytorch_writes_them_pass(tmp_path: Path) -> None:
    text = '{"expr_str": "2*s77 + 1", "e": {"expr_str": "Max(1, s0//2)"}}'
    assert kind_of(archive(tmp_path / "fine.pt2", models__m_json=text)) == "pt2"


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("onnxscript")
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def net(torch: Any) -> Any:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 2),
    )
    return layers.eval()


def check(found: Any, framework: str = "pytorch") -> None:
    """The graph is small, static and float, and the exporter agrees with PyTorch."""
    from edgekit.formats import faithful

    assert found.source.framework == framework
    assert found.graph.inputs[0].shape == (1, 3, 8, 8)
    assert found.graph.outputs[0].shape == (1, 2)
    assert faithful(found) is found


def test_an_exported_program_is_read(torch: Any, net: Any, tmp_path: Path) -> None:
    torch.export.save(torch.export.export(net, (torch.rand(1, 3, 8, 8),)), tmp_path / "net.pt2")
    check(load(tmp_path / "net.pt2"))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore:`torch.jit:FutureWarning")
def test_a_torchscript_file_is_read_when_its_shapes_are_named(torch: Any, net: Any, tmp_path: Path) -> None:
    torch.jit.trace(net, torch.rand(1, 3, 8, 8)).save(str(tmp_path / "net.pt"))
    with pytest.raises(InputError, match="does not say the shapes of its inputs: input") as caught:
        load(tmp_path / "net.pt")
    assert "--input-shape input=" in caught.value.hint
    check(load(tmp_path / "net.pt", input_shapes={"input": (1, 3, 8, 8)}))


def test_a_module_in_the_api_is_read(torch: Any, net: Any) -> None:
    check(from_module(net, (torch.rand(1, 3, 8, 8),)))


def test_a_state_dict_is_refused(torch: Any, net: Any, tmp_path: Path) -> None:
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="weights or a pickled module"):
        load(tmp_path / "weights.pt")


def test_a_program_with_a_pickle_in_its_examples_is_not_run(torch: Any, net: Any, tmp_path: Path) -> None:
    good, bad, trace = tmp_path / "good.pt2", tmp_path / "bad.pt2", tmp_path / "trace"
    torch.export.save(torch.export.export(net, (torch.rand(1, 3, 8, 8),)), good)
    torch.save(Evil(trace), tmp_path / "evil.pt")
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            swap = "sample_inputs" in name
            target.writestr(name, (tmp_path / "evil.pt").read_bytes() if swap else source.read(name))
    with pytest.raises(EdgekitError):
        load(bad)
    assert not trace.exists()


def test_an_export_that_changed_the_model_is_refused(torch: Any, net: Any) -> None:
    from dataclasses import replace

    from edgekit.core.errors import GateFailed
    from edgekit.formats import faithful

    found = from_module(net, (torch.rand(1, 3, 8, 8),))
    feed, told = found.answers[0]
    wrong = {name: np.asarray(value) + 1 for name, value in told.items()}
    with pytest.raises(GateFailed, match="changed the model"):
        faithful(replace(found, answers=((feed, wrong),)))
