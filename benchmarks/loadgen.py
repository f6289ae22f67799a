"""The same artifact under MLPerf's own LoadGen and under `edgekit bench`, side by side. Writes results/loadgen.json.

    pip install mlcommons-loadgen
    python benchmarks/loadgen.py ARTIFACT

Two comparisons. From the latencies in LoadGen's own trace of its single-stream run, edgekit computes its percentiles and its
bound beside LoadGen's ("early stopping estimate"): LoadGen takes the sample after the one that nearest rank and the exact
binomial bound name, so that each lies one sample higher and never further. Then `edgekit bench` runs the artifact by itself,
whose percentiles differ from LoadGen's by what the machine does differently a few seconds later.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import conditions, write

import edgekit
from edgekit.artifact import read
from edgekit.benchmark.process.feeds import feed_for
from edgekit.benchmark.statistics.percentiles import upper_rank, value_rank
from edgekit.core.optional import need
from edgekit.loading import open_artifact

LEVEL = 90.0
SECONDS = 5.0
QUERIES = 200
_LINE = re.compile(r"^:::MLLOG (\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Official:
    """What LoadGen says (ns): percentiles, the bound of the 90th, and every latency that it took."""

    p50: int
    p90: int
    bound: int
    latencies: tuple[int, ...]


def main(arguments: list[str]) -> int:
    """Run both, compare, write."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = compared(Path(arguments[0]))
    write("loadgen", {"conditions": conditions("edgekit", "mlcommons-loadgen", "numpy"), **found})
    return 0


def compared(path: Path, threads: int = 1) -> dict[str, Any]:
    """LoadGen's numbers, edgekit's from the same latencies, and those of edgekit's own run."""
    artifact = read(path)
    feed, _ = feed_for(artifact)
    with open_artifact(artifact, threads=threads) as session:
        session.run(feed)
        official = under_loadgen(lambda: session.run(feed), seconds=SECONDS, least=QUERIES)
    report = edgekit.bench(path, duration_s=SECONDS, restarts=1, threads=threads)
    own = {each.level: each for each in report.results[0].summary.percentiles}
    return {
        "artifact": artifact.path.name,
        "queries": len(official.latencies),
        "loadgen": {"p50_ms": official.p50 / 1e6, "p90_ms": official.p90 / 1e6, "p90_bound_ms": official.bound / 1e6},
        "same_latencies": summary(official.latencies),
        "edgekit_bench": {"p50_ms": own[50.0].value_ms, "p90_ms": own[90.0].value_ms, "p90_bound_ms": own[90.0].upper_ms},
    }


def summary(latencies: tuple[int, ...]) -> dict[str, float]:
    """What edgekit says of these latencies (ns)."""
    ordered = sorted(latencies)
    ranks = {"p50_ms": value_rank(len(ordered), 50.0), "p90_ms": value_rank(len(ordered), LEVEL)}
    return {name: ordered[rank - 1] / 1e6 for name, rank in {**ranks, "p90_bound_ms": upper_rank(len(ordered), LEVEL)}.items()}


def under_loadgen(call: Callable[[], object], *, seconds: float, least: int, most: int = 0) -> Official:
    """LoadGen's single-stream scenario for so many seconds and at least (and, unless 0, at most) so many queries."""
    loadgen = need("mlperf_loadgen")

    def issue(samples: Any) -> None:
        call()
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0) for sample in samples])

    settings = loadgen.TestSettings()
    settings.scenario, settings.mode = loadgen.TestScenario.SingleStream, loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms, settings.min_query_count, settings.max_query_count = round(1e3 * seconds), least, most
    settings.single_stream_target_latency_percentile = LEVEL / 100
    with tempfile.TemporaryDirectory() as folder:
        logs = loadgen.LogSettings()
        logs.enable_trace = True
        logs.log_output.outdir, logs.log_output.copy_summary_to_stdout = folder, False
        system = loadgen.ConstructSUT(issue, lambda: None)
        library = loadgen.ConstructQSL(1, 1, lambda samples: None, lambda samples: None)
        loadgen.StartTestWithLogSettings(system, library, settings, logs)
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
        detail, trace = (Path(folder, f"mlperf_log_{name}").read_text("utf-8") for name in ("detail.txt", "trace.json"))
    return official_numbers(detail, trace)


def official_numbers(detail: str, trace: str) -> Official:
    """The numbers in LoadGen's two logs."""
    said = {line["key"]: line["value"] for line in map(json.loads, _LINE.findall(detail))}
    spans = re.findall(r'"issue_start_ns":(\d+),"complete_ns":(\d+)', trace)
    return Official(
        p50=said["result_50.00_percentile_latency_ns"],
        p90=said[f"result_{LEVEL:.2f}_percentile_latency_ns"],
        bound=said["early_stopping_latency_ss"],
        latencies=tuple(int(end) - int(start) for start, end in spans),
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
