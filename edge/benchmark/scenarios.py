"""What a benchmark does between two inferences. One row each; those that cannot be measured honestly yet are refused."""

from __future__ import annotations

import math
from typing import get_args

from edgekit.benchmark.report import Scenario
from edgekit.core.errors import Unsupported, UsageError
from edgekit.core.names import did_you_mean

TIMED = "one call of session.run: input conversion, inference, output conversion; no picture is decoded, no box is decoded"
DEFAULT_RATE_HZ = 30.0
MEASURED: tuple[Scenario, ...] = get_args(Scenario)
NOT_YET = {
    "multi-stream": "several queries at once need several sessions, which one process does not open yet",
    "offline": "it is about batches and parallel streams; one at a time, back to back, is the throughput of single-stream",
    "server": "requests at random times need a queue in front of the session, which there is not yet",
}


def checked_scenario(name: str) -> Scenario:
    """`name` when it can be measured. Raises `Unsupported` for a scenario that is not measured yet, `UsageError` for none."""
    for known in MEASURED:
        if name == known:
            return known
    if name in NOT_YET:
        raise Unsupported(f"scenario {name!r} is not measured yet: {NOT_YET[name]}", f"measured today: {', '.join(MEASURED)}")
    raise UsageError(
        f"no scenario named {name!r}", did_you_mean(name, (*MEASURED, *NOT_YET), f"measured: {', '.join(MEASURED)}")
    )


def rate_for(scenario: Scenario, rate_hz: float | None) -> float | None:
    """How often a periodic run starts an inference; None for one that does not wait. Raises `UsageError` where it does not fit."""
    if scenario != "periodic":
        if rate_hz is not None:
            raise UsageError(f"a rate belongs to scenario 'periodic', not {scenario!r}", "add --scenario periodic")
        return None
    rate = DEFAULT_RATE_HZ if rate_hz is None else rate_hz
    if not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"the rate must be a positive number per second, got {rate:g}")
    return rate
