"""A small real artifact to measure, and reports made from known samples."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifact import described, write
from edgekit.bench.report import (
    REPORT_VERSION,
    Engine,
    Environment,
    Method,
    Reading,
    Report,
    Result,
    Run,
    Subject,
    Warmup,
)
from edgekit.bench.summarise import summarise
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


def make_run(latencies_ms: Sequence[float], **changes: object) -> Run:
    """A run with these latencies and nothing else worth a flag."""
    fields: dict[str, object] = {
        "load_ms": 20.0,
        "first_ms": 5.0,
        "warmup": Warmup(runs=50, seconds=0.5, steady=True),
        "timed_s": sum(latencies_ms) / 1e3,
        "latencies_ns": tuple(round(value * 1e6) for value in latencies_ms),
        "readings": (Reading(at_s=0.0, rss_bytes=10 << 20, temperature_c=40.0, clock_mhz=1500.0),),
        "start_rss_bytes": 30 << 20,
        "peak_rss_bytes": 80 << 20,
        "loop_overhead_ns": 60,
    }
    return Run(**{**fields, **changes})  # type: ignore[arg-type]


ENVIRONMENT = Environment(
    machine="Test Board 1",
    compatible=("test,board-1",),
    cpu="Test CPU",
    isa="aarch64",
    cores=4,
    usable_cores=4,
    memory_bytes=8 << 30,
    virtual=False,
    governor="performance",
    maximum_mhz=1500.0,
    os="Test OS 1",
    kernel="6.6",
    python="3.11.2",
    edgekit="0.1.0",
    load_average=0.1,
)
METHOD = Method(
    scenario="single-stream",
    duration_s=2.0,
    restarts=3,
    warmup_limit_s=1.0,
    rate_hz=None,
    confidence=0.99,
    timed="session.run",
)
SUBJECT = Subject(
    name="net",
    folder="net.host.int8",
    sha256="a" * 64,
    device="host",
    target_runtime="onnxruntime",
    precision="int8",
    format="onnx",
    bytes=1_000_000,
    parity=Parity(metric="sqnr_db", value=35.0, tolerance=20.0, ok=True, worst_output="y", samples=8),
    accuracy=None,
)
ENGINE = Engine(runtime="onnxruntime", version="1.2.3", threads=4)


def make_result(runs: Sequence[Run], **changes: object) -> Result:
    """A result of these runs, on its target, without flags."""
    fields: dict[str, object] = {
        "subject": SUBJECT,
        "engine": ENGINE,
        "on_target": True,
        "input": "golden",
        "summary": summarise(runs),
        "flags": (),
        "runs": tuple(runs),
    }
    return Result(**{**fields, **changes})  # type: ignore[arg-type]


def make_report(*results: Result, **changes: object) -> Report:
    """A report of these results."""
    fields: dict[str, object] = {
        "schema_version": REPORT_VERSION,
        "created": "2026-11-22T12:00:00+00:00",
        "method": METHOD,
        "environment": ENVIRONMENT,
        "results": results,
    }
    return Report(**{**fields, **changes})  # type: ignore[arg-type]
