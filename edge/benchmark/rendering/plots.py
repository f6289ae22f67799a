"""What a report's charts show: pure functions from results to figures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edgekit.benchmark.rendering.words import digits, duration, percentile_of, place_words
from edgekit.benchmark.report import Rate, Result, Run
from edgekit.benchmark.statistics.summarise import median_ms, pooled_ns
from edgekit.charts import Bar, Rule, Series, Stack, bars, histogram, stacks, timeline
from edgekit.pages import Html, figure, join

BINS = 72
BUCKETS = 150
SHOWN = 0.99
"""Share of the samples that the charts show; the tail beyond is told in the caption."""


def comparison(results: Sequence[Result]) -> Html:
    """Medians side by side, with their bounds and the p90."""
    drawn = bars([_bar(result) for result in results], "ms", "median latency of every artifact")
    return figure(drawn, "Median latency; whiskers are its bounds (99 % confidence each), the diamond is the 90th percentile.")


def spoken(results: Sequence[Result]) -> Html:
    """Rates of language models side by side: reading prompts, then writing answers."""
    found = [(result, result.summary.tokens) for result in results if result.summary.tokens is not None]
    reading = bars([_rate_bar(one, tokens.prompt) for one, tokens in found], "per s", "rate of reading a prompt")
    writing = bars([_rate_bar(one, tokens.generation) for one, tokens in found], "per s", "rate of writing an answer")
    whiskers = "mean, with whiskers of one standard deviation"
    return join(
        [
            figure(reading, f"Tokens of a prompt read per second: {whiskers}."),
            figure(writing, f"Tokens of an answer written per second: {whiskers}."),
        ]
    )


def _rate_bar(result: Result, rate: Rate) -> Bar:
    spread = rate.deviation or 0.0
    return Bar(
        label=_label(result),
        value=rate.per_s,
        low=max(0.0, rate.per_s - spread),
        high=rate.per_s + spread,
        text=digits(rate.per_s),
    )


def _label(result: Result) -> str:
    return " · ".join(part for part in (result.subject.folder, result.engine.runtime, place_words(result)) if part)


def _bar(result: Result) -> Bar:
    p50, p90, value = percentile_of(result, 50.0), percentile_of(result, 90.0), median_ms(*result.runs)
    return Bar(
        label=_label(result),
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
    """Latency in the order it was measured, one colour per restart, and the temperature where a sensor told it."""
    low, high = _shown_range(pooled_ns(result.runs) / 1e6)
    series = [_series(number, run) for number, run in enumerate(result.runs, 1)]
    drawn = timeline(series, low, high, "s", f"latency over time of {result.subject.folder}", aside_unit="°C")
    colours = "one colour per restart, a line at its median" if len(result.runs) > 1 else "the line is the median"
    warm = "; dashed, on the right, the hottest sensor" if any(one.aside for one in series) else ""
    return figure(
        drawn,
        f"Latency in ms over the timed region: {colours}{warm}. Dots are least, middle and most of short stretches; "
        "those on the upper edge lie above it.",
    )


STAGES = {"pre": "prepare", "into": "to engine", "infer": "infer", "out": "from engine", "post": "read"}
"""What the parts of an answer are called, in their order."""


def stage_bars(results: Sequence[Result]) -> list[Html]:
    """Where the time of an answer goes, one bar per artifact; nothing for a report without stages."""
    rows = [_shares(result.subject.folder, parts) for result in results if (parts := stage_parts(result))]
    if not rows:
        return []
    pictures = {found.picture for result in results if (found := result.runs[0].stages) is not None} - {None}
    frame = "".join(f" The picture that is prepared has {width} x {height} pixels." for width, height in filter(None, pictures))
    caption = f"Where the time of an answer goes: shares of the medians of its stages, timed one by one, apart from the latencies above.{frame}"
    return [figure(stacks(rows, "%", "stages of an answer"), caption)]


def _shares(label: str, parts: Sequence[tuple[str, float]]) -> Stack:
    """Shares, since artifacts may differ a thousandfold; the whole stands at the end."""
    whole = sum(ms for _, ms in parts) or 1.0
    return Stack(label=label, parts=tuple((name, 100 * ms / whole) for name, ms in parts), text=duration(whole))


def stage_parts(result: Result) -> tuple[tuple[str, float], ...]:
    """The stages that an artifact has and their milliseconds, medians over the restarts; none in an older report."""
    found = [run.stages for run in result.runs if run.stages is not None]
    if len(found) < len(result.runs):
        return ()
    values = ((name, [getattr(one, f"{key}_ms") for one in found]) for key, name in STAGES.items())
    return tuple((name, median(ms)) for name, ms in values if None not in ms)


def _series(number: int, run: Run) -> Series:
    latencies = np.asarray(run.latencies_ns, np.int64) / 1e6
    step = run.timed_s / latencies.size
    points = [(index * step, float(latencies[index])) for index in _telling(latencies)]
    warm = [(reading.at_s, reading.temperature_c) for reading in run.readings if reading.temperature_c is not None]
    return Series(
        label=f"restart {number}: {digits(median_ms(run))} ms",
        points=tuple(points),
        level=median_ms(run),
        aside=tuple(warm) if len(warm) > 1 else (),
    )


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
