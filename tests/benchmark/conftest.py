"""A small real artifact to measure."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import described, write
from edgekit.core.schema import MANIFEST_VERSION, Artifact, Manifest, Parity, Port, Source, Target, TensorSpec

MakeArtifact = Callable[..., Artifact]


def matmul_model(size: int, repeats: int) -> bytes:
    """`y = x @ W`, several times over, as ONNX."""
    onnx = pytest.importorskip("onnx")
    helper, proto = onnx.helper, onnx.TensorProto
    weights = onnx.numpy_helper.from_array(np.eye(size, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", [f"t{i}" if i else "x", "w"], [f"t{i + 1}"]) for i in range(repeats)]
    nodes.append(helper.make_node("Identity", [f"t{repeats}"], ["y"]))
    io_specs = [[helper.make_tensor_value_info(name, proto.FLOAT, [size, size])] for name in ("x", "y")]
    graph = helper.make_graph(nodes, "matmul", *io_specs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _golden(size: int) -> bytes:
    held = io.BytesIO()
    np.savez(held, **{"input/x/0": np.ones((size, size), np.float32), "output/y/0": np.ones((size, size), np.float32)})
    return held.getvalue()


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """Writes an ONNX artifact for a device and a runtime; `golden` adds its recorded sample."""

    def make(
        name: str = "matmul",
        *,
        device: str = "host",
        runtime: str = "onnxruntime",
        golden: bool = False,
        ok: bool = True,
        size: int = 32,
    ) -> Artifact:
        port = {axis: TensorSpec(name=axis, shape=(size, size), dtype="float32") for axis in "xy"}
        files = {"model.onnx": matmul_model(size, 4), **({"golden.npz": _golden(size)} if golden else {})}
        manifest = Manifest(
            schema_version=MANIFEST_VERSION,
            name=name,
            target=Target(device=device, runtime=runtime, format="onnx", precision="fp32"),
            runtimes=tuple(dict.fromkeys([runtime, "onnxruntime", "dryrun"])),
            files=described(files, {"model.onnx": "model", "golden.npz": "golden"}),
            inputs=(Port(source=port["x"], engine=port["x"]),),
            outputs=(Port(source=port["y"], engine=port["y"]),),
            source=Source(name="matmul.onnx", sha256="0" * 64, bytes=1, framework="onnx"),
            steps=(),
            parity=Parity(metric="max_relative_error", value=1e-7, tolerance=1e-4, ok=ok, worst_output="y", samples=1),
        )
        return write(tmp_path / f"{name}.{device}.fp32", manifest, files)

    return make
