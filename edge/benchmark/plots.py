"""What a report's charts show: pure functions from results to figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekit.benchmark.report import Result, Run
from edgekit.benchmark.summarise import median_ms, pooled_ns
from edgekit.benchmark.words import digits, duration, percentile_of, place_words
from edgekit.charts import Bar, Rule, Series, bars, histogram, line_chart, timeline
from edgekit.pages import Html, figure

BINS = 72
BUCKETS = 150
SHOWN = 0.99
"""Share of the samples that the charts show; the tail beyond is told in the caption."""


def comparison(results: Sequence[Result]) -> Html:
    """Medians side by side, with their bounds and the p90."""
    drawn = bars([_bar(result) for result in results], "ms", "median latency of every artifact")
    return figure(drawn, "Median latency; whiskers are its bounds (99 % confidence each), the diamond is the 90th percentile.")


def _bar(result: Result) -> Bar:
    p50, p90, value = percentile_of(result, 50.0), percentile_of(result, 90.0), median_ms(*result.runs)
    label = " · ".join(part for part in (result.subject.folder, result.engine.runtime, place_words(result)) if part)
    return Bar(
        label=label,
        value=value,
        low=p50.lower_ms if p50 else value,
        high=p50.upper_ms if p50 else value,
        mark=p90.value_ms if p90 else 0.0,
        text=duration(value),
    )


def distribution(result: Result) -> Html:
    """How often which latency occurred, all restarts together."""
    samples = pooled_ns(result.runs) / 1e6
    low, high = _shown_range(samples)
    counts, _ = np.histogram(samples, bins=BINS, range=(low, high))
    rules = [
        Rule(label=f"p{found.level:g} {digits(found.value_ms)}", value=found.value_ms) for found in result.summary.percentiles
    ]
    drawn = histogram(counts.tolist(), low, high, rules, "ms", f"latency distribution of {result.subject.folder}")
    beyond = int((samples > high).sum())
    tail = f"; {beyond:,} lie to the right of the chart, the slowest at {duration(float(samples.max()))}" if beyond else ""
    return figure(drawn, f"How often which latency occurred: {samples.size:,} samples{tail}.")


def over_time(result: Result) -> Html:
    """Latency in the order it was measured, one colour per restart."""
    low, high = _shown_range(pooled_ns(result.runs) / 1e6)
    series = [_series(number, run) for number, run in enumerate(result.runs, 1)]
    drawn = timeline(series, low, high, "s", f"latency over time of {result.subject.folder}")
    colours = "one colour per restart, a line at its median" if len(result.runs) > 1 else "the line is the median"
    return figure(
        drawn,
        f"Latency in ms over the timed region: {colours}. Dots are least, middle and most of short stretches; "
        "those on the upper edge lie above it.",
    )


def temperature(result: Result) -> list[Html]:
    """The hottest sensor over time, of the longest run; nothing where it was not measured or there is too little of it."""
    longest = max(result.runs, key=lambda run: len(run.readings))
    points = [(reading.at_s, reading.temperature_c) for reading in longest.readings if reading.temperature_c is not None]
    if len(points) < 4:
        return []
    return [
        figure(line_chart(points, "seconds", "°C", "temperature over time"), "The hottest sensor while it was measured, °C.")
    ]


def _series(number: int, run: Run) -> Series:
    latencies = np.asarray(run.latencies_ns, np.int64) / 1e6
    step = run.timed_s / latencies.size
    points = [(index * step, float(latencies[index])) for index in _telling(latencies)]
    return Series(label=f"restart {number}: {digits(median_ms(run))} ms", points=tuple(points), level=median_ms(run))


def _telling(latencies: NDArray[np.float64]) -> list[int]:
    """The samples worth a dot: all of a few, else the least, the middle and the greatest of each stretch."""
    if latencies.size <= 3 * BUCKETS:
        return list(range(latencies.size))
    found: set[int] = set()
    for stretch in np.array_split(np.arange(latencies.size), BUCKETS):
        order = stretch[np.argsort(latencies[stretch], kind="stable")]
        found |= {int(order[0]), int(order[order.size // 2]), int(order[-1])}
    return sorted(found)


def _shown_range(samples: NDArray[np.float64]) -> tuple[float, float]:
    """From the fastest sample to a little above the 99th percentile; never empty."""
    low, high = float(samples.min()), float(np.quantile(samples, SHOWN, method="higher"))
    margin = (high - low) * 0.06 or max(high * 0.02, 1e-6)
    return max(0.0, low - margin), high + margin
