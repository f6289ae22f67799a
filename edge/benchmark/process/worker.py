"""One measuring process: `python -m edgekit.benchmark.process.worker` reads an order on stdin and answers on stdout, both JSON.

Engines and drivers write to stdout as they please, so the answer goes to a copy of it taken before anything else, and the
rest of the process sees stderr there.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from random import Random
from typing import Any

from msgspec.structs import replace

from edgekit.artifact import read
from edgekit.benchmark.conditions import sensors
from edgekit.benchmark.conditions.energy import energy, readings_for
from edgekit.benchmark.conditions.environment import environment
from edgekit.benchmark.conditions.meters import find_meter
from edgekit.benchmark.process import answers, loop
from edgekit.benchmark.process.feeds import SEED, feed_for
from edgekit.benchmark.process.order import Done, Order, Refused, decode_order, encode
from edgekit.benchmark.process.peak import search
from edgekit.benchmark.process.pool import query_of
from edgekit.benchmark.process.stages import stages
from edgekit.benchmark.report import Energy, Engine, Environment, Run
from edgekit.benchmark.scenarios import SERVER_LEVEL
from edgekit.core.errors import ArtifactError, EdgekitError
from edgekit.core.schema import Artifact
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
    artifact, place = read(order.artifact), environment()
    if artifact.sha256 != order.sha256:
        raise ArtifactError(f"{order.artifact!r} is not what it was when the benchmark began", "measure again")
    kind = measure_tensors if artifact.manifest.language is None else answers.measure
    return kind(order, artifact, place)


def measure_tensors(order: Order, artifact: Artifact, place: Environment) -> Done:
    """As `measure`, for a model with inputs to feed."""
    feed, source = feed_for(artifact)
    before = sensors.resident_bytes()
    threads = cores(order.threads or (1 if order.query > 1 else 0))
    begin = time.perf_counter_ns()
    with ExitStack() as stack:
        session = stack.enter_context(open_artifact(artifact, runtime=order.runtime, threads=threads))
        load_ms = (time.perf_counter_ns() - begin) / 1e6
        version = registry.get(session.runtime).probe().version
        run = _run(session, artifact, feed, order, threads, stack)
        return Done(
            run=replace(run, load_ms=round(load_ms, 3), start_rss_bytes=before),
            environment=place,
            engine=Engine(runtime=session.runtime, version=version, threads=threads),
            input=source,
        )


def _run(
    session: FaceSession, artifact: Artifact, feed: Mapping[str, Any], order: Order, threads: int, stack: ExitStack
) -> Run:
    """Cold start, warm-up and the timed region; what is known only outside is left at nothing."""
    clock = loop.Clock()
    overhead = loop.overhead_ns(clock)
    begin = clock.now()
    session.run(feed)
    first_ms = (clock.now() - begin) / 1e6
    call: loop.Call = lambda: session.run(feed)  # noqa: E731
    streams = 1
    if order.query > 1:
        call, streams = query_of(order.query, session, artifact, feed, threads, stack)
    warmup, typical = loop.warm_up(call, _warm_pace(clock, order), order.warmup_limit_s, clock, _heat())
    gc.collect()
    gc.freeze()
    timed, rate, stride = _timed(call, order, typical, clock)
    peak = sensors.peak_resident_bytes()
    return Run(
        load_ms=0.0,
        first_ms=round(first_ms, 3),
        warmup=warmup,
        timed_s=round(timed.seconds, 6),
        latencies_ns=tuple(timed.latencies_ns),
        readings=timed.readings,
        start_rss_bytes=None,
        peak_rss_bytes=peak,
        loop_overhead_ns=overhead,
        stride=stride,
        missed=timed.missed,
        streams=streams,
        rate_hz=rate,
        energy=_energy(call, order, rate, clock),
        stages=stages(session, feed),
    )


def _heat() -> loop.Heat:
    zones = sensors.thermal_zones()
    return lambda: sensors.hottest_c(zones)


def _energy(call: loop.Call, order: Order, rate: float | None, clock: loop.Clock) -> Energy | None:
    """At the pace of the timed region, where the board has a meter."""
    meter = find_meter()
    if meter is None:
        return None
    served = rate or order.rate_hz or 1.0
    pace = _arrivals(served, clock) if order.scenario == "server" else loop.Pace(clock=clock, period_ns=_period_ns(order))
    return energy(call, pace, meter, clock, readings=readings_for(order.duration_s), query=order.query)


def _timed(call: loop.Call, order: Order, typical: float, clock: loop.Clock) -> tuple[loop.Timed, float | None, int]:
    """The timed region, the rate of its requests where they come at random, and which share of inferences was recorded."""
    stride = loop.stride_for(typical, order.duration_s, round(loop.SECOND / order.rate_hz) if order.rate_hz else 0)

    def go(pace: loop.Pace | loop.Arrivals, stride: int) -> loop.Timed:
        return loop.timed(
            call,
            pace,
            duration_s=order.duration_s,
            minimum=order.minimum_samples,
            stride=stride,
            sense=sensors.reader(),
            clock=clock,
        )

    if order.scenario != "server":
        return go(loop.Pace(clock=clock, period_ns=_period_ns(order)), stride), None, stride
    if order.bound_ms is None:
        return go(_arrivals(order.rate_hz or 1.0, clock), stride), None, stride
    peak = search(lambda rate: go(_arrivals(rate, clock), 1), typical, order.bound_ms, SERVER_LEVEL)
    return peak.timed, round(peak.rate_hz, 3), 1


def _arrivals(rate_hz: float, clock: loop.Clock) -> loop.Arrivals:
    return loop.Arrivals(clock=clock, rate_hz=rate_hz, random=Random(SEED))


def _warm_pace(clock: loop.Clock, order: Order) -> loop.Pace:
    return loop.Pace(clock=clock, period_ns=_period_ns(order))


def _period_ns(order: Order) -> int:
    return round(loop.SECOND / order.rate_hz) if order.rate_hz and order.scenario == "periodic" else 0


if __name__ == "__main__":
    sys.exit(main())
