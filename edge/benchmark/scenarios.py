"""What a benchmark does between two inferences. The scenarios are LoadGen's, and a camera's rate beside them.

Source of the method: MLPerf Inference rules, "Scenarios" and LoadGen's search for the peak rate; the words are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from edgekit.benchmark.report import Scenario
from edgekit.benchmark.statistics.percentiles import samples_needed
from edgekit.core.errors import UsageError
from edgekit.core.names import did_you_mean

ONE = "one call of session.run: input conversion, inference, output conversion; no picture is decoded, no box is decoded"
ANSWERED = (
    "one answer as whoever asks sees it: the time to its first piece (the prompt split into tokens and evaluated, the first token "
    "chosen), then the time to its end"
)
DEFAULT_RATE_HZ = 30.0
MEASURED: tuple[Scenario, ...] = get_args(Scenario)
QUERY: Mapping[Scenario, int] = {"multi-stream": 8, "offline": 64}
"""Inferences in one query, where there is more than one."""
BACK_TO_BACK = frozenset({"single-stream", "multi-stream", "offline"})
SERVER_LEVEL = 99.0
"""The percentile that must stay below the latency bound."""


def checked_scenario(name: str) -> Scenario:
    """`name` as one of the scenarios. Raises `UsageError` when there is none of that name."""
    for known in MEASURED:
        if name == known:
            return known
    raise UsageError(f"no scenario named {name!r}", did_you_mean(name, MEASURED, f"measured: {', '.join(MEASURED)}"))


def rate_for(scenario: Scenario, rate_hz: float | None) -> float | None:
    """How often inferences start, where that is given. Raises `UsageError` where a rate does not fit the scenario."""
    if scenario not in ("periodic", "server"):
        if rate_hz is not None:
            raise UsageError(f"a rate belongs to scenario 'periodic' or 'server', not {scenario!r}", "add --scenario periodic")
        return None
    rate = DEFAULT_RATE_HZ if rate_hz is None and scenario == "periodic" else rate_hz
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"the rate must be a positive number per second, got {rate:g}")
    return rate


def bound_for(scenario: Scenario, rate_hz: float | None, bound_ms: float | None) -> float | None:
    """The latency bound of a search for the highest rate. Raises `UsageError` where it does not fit, or both are missing."""
    if bound_ms is None:
        if scenario == "server" and rate_hz is None:
            raise UsageError(
                "scenario 'server' needs a latency bound, to search the highest rate, or a rate", "--latency-bound 50"
            )
        return None
    if scenario != "server":
        raise UsageError(f"a latency bound belongs to scenario 'server', not {scenario!r}", "add --scenario server")
    if rate_hz is not None:
        raise UsageError("a rate is given or searched for with a latency bound, not both", "leave out --rate")
    if not (math.isfinite(bound_ms) and bound_ms > 0):
        raise UsageError(f"the latency bound must be a positive number of milliseconds, got {bound_ms:g}")
    return bound_ms


def timed_words(scenario: Scenario) -> str:
    """What is inside the timer."""
    if scenario == "server":
        return f"the wait of a request in the queue and {ONE}"
    count = QUERY.get(scenario, 1)
    return ONE if count == 1 else f"one query of {count} inferences by all sessions together, each {ONE}"


def least_samples(scenario: Scenario, restarts: int, bound_ms: float | None) -> int:
    """Samples that each process must take, for the percentile that the scenario is about to have its bound."""
    if scenario == "offline":
        return 1
    if bound_ms is not None:
        return samples_needed(SERVER_LEVEL)
    return math.ceil(samples_needed(90.0) / restarts)
