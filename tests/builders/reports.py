"""Benchmark reports made from known samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgekit.benchmark.report import (
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
from edgekit.benchmark.statistics.summarise import summarise
from edgekit.core.schema import Parity


def make_run(latencies_ms: Iterable[float], **changes: object) -> Run:
    """A run with these latencies and nothing else worth a flag."""
    latencies_ms = tuple(latencies_ms)
    fields: dict[str, object] = {
        "load_ms": 20.0,
        "first_ms": 5.0,
        "warmup": Warmup(runs=50, seconds=0.5, steady=True),
        "timed_s": float(sum(latencies_ms)) / 1e3,
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
