"""The runs of one artifact taken together."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edgekit.benchmark.process.language import tokens_of
from edgekit.benchmark.report import Run, Summary
from edgekit.benchmark.statistics.percentiles import percentiles, value_rank


def summarise(runs: Sequence[Run], *, query: int = 1) -> Summary:
    """Pool the samples of at least one run, each with at least one sample; the spread between the runs stands beside.

    `query` is how many inferences each sample is, 0 where they do not follow one another at once.
    """
    pooled = pooled_ns(runs)
    medians = tuple(median_ms(run) for run in runs)
    peaks = [run.peak_rss_bytes for run in runs if run.peak_rss_bytes is not None]
    grown = [run.peak_rss_bytes - run.start_rss_bytes for run in runs if run.peak_rss_bytes and run.start_rss_bytes]
    metered = [run.energy for run in runs if run.energy is not None]
    mean = float(pooled.mean())
    return Summary(
        samples=int(pooled.size),
        mean_ms=round(mean / 1e6, 6),
        minimum_ms=round(int(pooled.min()) / 1e6, 6),
        maximum_ms=round(int(pooled.max()) / 1e6, 6),
        variation=round(float(pooled.std()) / mean, 6) if mean else 0.0,
        percentiles=percentiles(pooled),
        throughput_per_s=_throughput(runs, mean, query),
        restart_medians_ms=medians,
        restart_spread=round(max(medians) / min(medians) - 1, 6) if len(medians) > 1 and min(medians) else None,
        load_ms=round(median(run.load_ms for run in runs), 3),
        first_ms=round(median(run.first_ms for run in runs), 3),
        peak_rss_bytes=max(peaks, default=None),
        model_rss_bytes=max(grown, default=None),
        mj_per_inference=round(median(each.mj_per_inference for each in metered), 6) if metered else None,
        mean_w=round(median(each.mean_w for each in metered), 4) if metered else None,
        tokens=tokens_of(runs),
    )


def _throughput(runs: Sequence[Run], mean_ns: float, query: int) -> float | None:
    """Inferences per second: of queries back to back, or the rate that every restart found to hold."""
    if query:
        return round(query * 1e9 / mean_ns, 3) if mean_ns else None
    found = [run.rate_hz for run in runs if run.rate_hz is not None]
    return min(found, default=None)


def pooled_ns(runs: Sequence[Run]) -> NDArray[np.int64]:
    """Every latency of every run, in order, nanoseconds."""
    return np.concatenate([np.asarray(run.latencies_ns, np.int64) for run in runs])


def median_ms(*runs: Run) -> float:
    """The median latency of the runs together, a measured value as every percentile is."""
    ordered = np.sort(pooled_ns(runs))
    return round(int(ordered[value_rank(ordered.size, 50.0) - 1]) / 1e6, 6)
