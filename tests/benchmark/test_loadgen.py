"""MLPerf's own LoadGen and edgekit say the same of the same latencies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.benchmark.statistics.percentiles import samples_needed, upper_rank, value_rank

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import asdict
from loadgen import under_loadgen
print(json.dumps([asdict(under_loadgen(lambda: sum(range(2000)), seconds=0, least=n, most=n)) for n in json.loads(sys.argv[2])]))
"""
COUNTS = (64, 65, 100, 170, 333, 1000)


def test_percentiles_and_bounds_are_loadgen_s_up_to_one_sample() -> None:
    """LoadGen counts the sample that it names among those above; the bound here is the exact one, so one rank lower."""
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    if not BENCHMARKS.is_dir():
        pytest.skip("no benchmarks beside these tests")
    argv = [sys.executable, "-c", RUN, str(BENCHMARKS), json.dumps(COUNTS)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
    for count, official in zip(COUNTS, json.loads(done.stdout), strict=True):
        ordered = sorted(official["latencies"])
        assert len(ordered) == count
        assert official["bound"] == ordered[upper_rank(count, 90.0)]
        for key, level in (("p50", 50.0), ("p90", 90.0)):
            rank = value_rank(count, level)
            assert official[key] in ordered[rank - 1 : rank + 1]


def test_loadgen_s_least_counts_are_the_ones_here() -> None:
    """Its rules give 64 queries for the 90th percentile and 662 for the 99th, at 99 % confidence without tolerance."""
    assert [samples_needed(level) for level in (90.0, 99.0)] == [64, 662]
