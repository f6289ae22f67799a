"""The largest of each window, in PyTorch as in ONNX Runtime, however large the windows are and whatever lies beyond the edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from prune_graphs import run_one_thread

torch = pytest.importorskip("torch", reason="the interpreter needs PyTorch")

WINDOWS = {
    "small": "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
    "large": "kernel_shape = [13, 13], pads = [6, 6, 6, 6]",
    "uneven": "kernel_shape = [5, 9], strides = [2, 3], pads = [0, 3, 4, 1]",
    "wide apart": "kernel_shape = [5, 5], dilations = [2, 1], strides = [1, 2]",
    "rounded up": "kernel_shape = [6, 5], strides = [4, 3], ceil_mode = 1",
    "same": 'kernel_shape = [7, 5], strides = [2, 2], auto_pad = "SAME_UPPER"',
}


@pytest.mark.parametrize("attributes", WINDOWS.values(), ids=WINDOWS.keys())
def test_the_largest_of_a_window_is_what_onnx_runtime_finds(attributes: str, tmp_path: Path) -> None:
    from edgekit.converters.importers.onnx.file import load
    from edgekit.gradients.interpreter import torch_graph

    text = f'<ir_version: 8, opset_import: ["" : 13]> g (float[1,3,25,22] x) => (float[N,C,H,W] y) {{ y = MaxPool<{attributes}>(x) }}'
    model = onnx.parser.parse_model(text).SerializeToString()
    (tmp_path / "windows.onnx").write_bytes(model)
    x = np.random.RandomState(0).standard_normal((1, 3, 25, 22)).astype(np.float32) - 3.0
    made = torch_graph(load(tmp_path / "windows.onnx").graph, trained=False).run({"x": torch.from_numpy(x)})
    np.testing.assert_array_equal(made["y"].numpy(), run_one_thread(model)({"x": x})["y"])
