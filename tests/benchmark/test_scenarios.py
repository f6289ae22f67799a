"""Queries of several inferences, requests at random times, and the search for the highest rate that holds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hand import MS, Hand, no_sensors

import edgekit
from edgekit.benchmark.process.loop import SECOND, Arrivals, Timed, timed
from edgekit.benchmark.process.peak import holds, search
from edgekit.benchmark.rendering.method import scenario_sentence
from edgekit.benchmark.statistics.percentiles import percentiles, samples_needed
from edgekit.core.errors import GateFailed, UsageError
from edgekit.core.schema import Artifact

MakeArtifact = Callable[..., Artifact]


def served(rate_hz: float, service_ns: int, *, duration_s: float = 200.0, seed: int = 1) -> Timed:
    """A queue in front of a server that always takes as long, on a clock turned by hand."""
    hand = Hand()
    clock = hand.clock()
    arrivals = Arrivals(clock=clock, rate_hz=rate_hz, random=Random(seed))
    call = hand.taking(service_ns)
    return timed(call, arrivals, duration_s=duration_s, minimum=1, stride=1, sense=no_sensors, clock=clock)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_requests_at_random_wait_as_long_as_queueing_theory_says(load: float) -> None:
    service = 10 * MS
    found = np.asarray(served(load * SECOND / service, service, duration_s=2000).latencies_ns, float)
    # Pollaczek and Khinchine: the mean wait in front of a server of constant time is load / (2 (1 - load)) services.
    assert found.mean() == pytest.approx(service * (1 + load / (2 * (1 - load))), rel=0.1)


def test_requests_come_at_the_rate_that_was_asked_for_with_exponential_gaps() -> None:
    found = served(50.0, 1, duration_s=400)
    assert len(found.latencies_ns) / found.seconds == pytest.approx(50.0, rel=0.05)


def test_a_request_that_came_while_another_ran_waited_from_its_arrival() -> None:
    latencies = served(150.0, 10 * MS, duration_s=5).latencies_ns
    assert min(latencies) >= 10 * MS
    assert latencies[-1] > 100 * MS, "more requests than can be served: the queue grows"


def test_the_highest_rate_that_holds_is_found_and_the_next_one_fails() -> None:
    service, bound_ms = 10 * MS, 40.0
    found = search(lambda rate: served(rate, service), service, bound_ms, 99.0)
    assert holds(found.timed.latencies_ns, bound_ms, 99.0)
    assert 40 < found.rate_hz < 90, "of the hundred per second that it could serve if none had to wait"
    assert not holds(served(found.rate_hz + 2.0, service).latencies_ns, bound_ms, 99.0)


def test_a_bound_below_a_single_inference_is_met_at_no_rate() -> None:
    with pytest.raises(GateFailed, match="no rate keeps p99 within 5 ms: one inference takes 10 ms"):
        search(lambda rate: served(rate, 10 * MS), 10 * MS, 5.0, 99.0)


def test_a_trial_too_short_for_its_percentile_is_refused() -> None:
    with pytest.raises(UsageError, match=f"p99 needs {samples_needed(99.0)} samples and a trial took 20"):
        holds([MS] * 20, 5.0, 99.0)


@pytest.mark.parametrize(("level", "count"), [(50.0, 11), (90.0, 64), (90.0, 300), (99.0, 662), (99.9, 6636)])
def test_the_bounds_of_a_percentile_hold_it_as_often_as_they_say(level: float, count: int) -> None:
    random, trials, above, below = np.random.default_rng(5), min(2000, 2_000_000 // count), 0, 0
    truth = -np.log(1 - level / 100) * 1e6
    for _ in range(trials):
        (found,) = percentiles(np.round(random.exponential(1e6, count)).astype(np.int64), (level,))
        above += found.upper_ms * 1e6 < truth
        below += found.lower_ms * 1e6 > truth
    assert max(above, below) / trials <= 0.01 + 3 * (0.01 * 0.99 / trials) ** 0.5


@pytest.mark.parametrize(("scenario", "query"), [("multi-stream", 8), ("offline", 64)])
def test_a_query_is_many_inferences_and_each_counts(scenario: str, query: int, make_artifact: MakeArtifact) -> None:
    report = edgekit.bench(make_artifact().path, scenario=scenario, duration_s=0.3, restarts=1)
    (result,) = report.results
    assert report.method.query == query
    assert result.summary.throughput_per_s == pytest.approx(query * 1e3 / result.summary.mean_ms, rel=1e-3)
    assert result.engine.threads == 1
    assert result.runs[0].streams >= 1
    assert str(query) in scenario_sentence(report.method)


def test_a_server_is_measured_at_the_highest_rate_that_keeps_its_bound(make_artifact: MakeArtifact) -> None:
    report = edgekit.bench(make_artifact(runtime="dryrun").path, scenario="server", bound_ms=1000.0, duration_s=0.4, restarts=1)
    (result,) = report.results
    p99 = next(found for found in result.summary.percentiles if found.level == 99.0)
    assert p99.upper_ms <= 1000.0
    assert result.summary.throughput_per_s == result.runs[0].rate_hz
    assert "1000 ms" in scenario_sentence(report.method)


def test_a_server_at_a_given_rate_keeps_it(make_artifact: MakeArtifact) -> None:
    report = edgekit.bench(make_artifact(runtime="dryrun").path, scenario="server", rate_hz=300.0, duration_s=0.5, restarts=1)
    assert 90 < report.results[0].summary.samples < 210
    assert report.results[0].summary.throughput_per_s is None


def test_a_bound_that_cannot_be_kept_is_a_failed_gate(make_artifact: MakeArtifact) -> None:
    with pytest.raises(GateFailed, match="no rate keeps p99 within"):
        edgekit.bench(make_artifact().path, scenario="server", bound_ms=1e-4, duration_s=0.2, restarts=1)
