"""One measuring process: `python -m edgekit.benchmark.worker` reads an order on stdin and answers on stdout, both JSON.

Engines and drivers write to stdout as they please, so the answer goes to a copy of it taken before anything else, and the
rest of the process sees stderr there.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from edgekit.artifact import read
from edgekit.benchmark import loop, sensors
from edgekit.benchmark.feeds import feed_for
from edgekit.benchmark.order import Done, Order, Refused, decode_order, encode
from edgekit.benchmark.report import Engine, Run
from edgekit.core.errors import EdgekitError
from edgekit.loading import open_artifact
from edgekit.runtimes import registry
from edgekit.runtimes.base import cores
from edgekit.runtimes.face import FaceSession


def main() -> int:
    """Answer one order."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with answers:
        answers.write(encode(answer(decode_order(sys.stdin.read()))))
    return 0


def answer(order: Order) -> Done | Refused:
    """Measure, or say why not."""
    try:
        return measure(order)
    except EdgekitError as error:
        return Refused(error=type(error).__name__, message=error.message, hint=error.hint)


def measure(order: Order) -> Done:
    """Load the artifact and run the scenario once, in this process."""
    artifact = read(order.artifact)
    feed, source = feed_for(artifact)
    before = sensors.resident_bytes()
    begin = time.perf_counter_ns()
    with open_artifact(artifact, runtime=order.runtime, threads=order.threads) as session:
        load_ms = (time.perf_counter_ns() - begin) / 1e6
        run = _run(session, feed, order, load_ms, before)
        version = registry.get(session.runtime).probe().version
        engine = Engine(runtime=session.runtime, version=version, threads=cores(order.threads))
        return Done(run=run, engine=engine, input=source)


def _run(session: FaceSession, feed: Mapping[str, Any], order: Order, load_ms: float, before: int | None) -> Run:
    clock = loop.Clock()
    period_ns = round(loop.SECOND / order.rate_hz) if order.rate_hz else 0
    overhead = loop.overhead_ns(clock)
    begin = clock.now()
    session.run(feed)
    first_ms = (clock.now() - begin) / 1e6
    warmup, typical = loop.warm_up(lambda: session.run(feed), _pace(clock, period_ns), order.warmup_limit_s, clock)
    stride = loop.stride_for(typical, order.duration_s, period_ns)
    gc.collect()
    gc.freeze()
    timed = loop.timed(
        lambda: session.run(feed),
        _pace(clock, period_ns),
        duration_s=order.duration_s,
        minimum=order.minimum_samples,
        stride=stride,
        sense=sensors.reader(),
        clock=clock,
    )
    return Run(
        load_ms=round(load_ms, 3),
        first_ms=round(first_ms, 3),
        warmup=warmup,
        timed_s=round(timed.seconds, 6),
        latencies_ns=tuple(timed.latencies_ns),
        readings=timed.readings,
        start_rss_bytes=before,
        peak_rss_bytes=sensors.peak_resident_bytes(),
        loop_overhead_ns=overhead,
        stride=stride,
        missed=timed.missed,
    )


def _pace(clock: loop.Clock, period_ns: int) -> loop.Pace:
    return loop.Pace(clock=clock, period_ns=period_ns)


if __name__ == "__main__":
    sys.exit(main())
