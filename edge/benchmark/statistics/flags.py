"""What a careful reader would ask before quoting a number, asked of every result. One function, one question."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

import numpy as np

from edgekit.benchmark.report import Environment, Flag, Method, Result, Run
from edgekit.benchmark.statistics.percentiles import samples_needed
from edgekit.doctor.checks import FLAGS

TIMER_SHARE = 0.01
NOISY = 0.2
DRIFT = 0.05
DRIFT_ERRORS = 3.0
SPREAD = 0.05
WARMED_BY_C = 5.0
CLOCK_DROP = 0.05
BUSY_SHARE = 0.5
SHORT = 0.9
REMEMBERED = 0.05

Question = Callable[[Result, Environment, Method], Iterator[str]]


def flags_of(result: Result, environment: Environment, method: Method) -> tuple[Flag, ...]:
    """Every flag that the result raises, warnings first."""
    asked = (result, environment, method)
    return (
        *(Flag(code=code, severity="warning", text=text) for code, ask in WARNINGS.items() for text in ask(*asked)),
        *(Flag(code=code, severity="note", text=text) for code, ask in NOTES.items() for text in ask(*asked)),
    )


def shared(results: Sequence[Result]) -> tuple[Flag, ...]:
    """The flags that several results have in common word for word: said once, they are about the machine."""
    return tuple(flag for flag in results[0].flags if len(results) > 1 and all(flag in result.flags for result in results))


def own(result: Result, results: Sequence[Result]) -> tuple[Flag, ...]:
    """The flags of one result that are not `shared`."""
    common = shared(results)
    return tuple(flag for flag in result.flags if flag not in common)


def off_target(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The artifact was made for something else than what ran it."""
    subject, engine = result.subject, result.engine
    if not result.on_target:
        yield (
            f"measured on the host, not on {subject.device}: {engine.runtime} on {environment.cpu} ({environment.isa}). "
            f"This says nothing about the latency on {subject.device}, where {subject.target_runtime} runs it"
        )


def nothing_computed(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The dry run answers zeros."""
    if result.engine.runtime == "dryrun":
        yield "nothing was computed: the dryrun runtime answers zeros, so these are the costs of the interface alone"


def broken(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The speed of a model that does not work is worth nothing."""
    parity, accuracy = result.subject.parity, result.subject.accuracy
    if parity is not None and not parity.ok:
        yield f"parity with the source model failed ({parity.metric} {parity.value:.4g}, tolerance {parity.tolerance:.4g})"
    if accuracy is not None and not accuracy.ok:
        yield f"the accuracy gate failed ({accuracy.metric} {accuracy.artifact:.4g} against {accuracy.source:.4g})"


def unproven(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Nobody compared the artifact with its source."""
    if result.subject.parity is None:
        yield "the artifact carries no parity with its source model: whether it computes the right thing is not known"


def few_samples(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Too few for a tail percentile. A language model's numbers are rates, which have a deviation instead."""
    if method.answer_tokens:
        return
    needed, taken = samples_needed(90.0, method.confidence), result.summary.samples
    if taken < needed:
        slowest = max(result.summary.mean_ms / 1e3, 1 / method.rate_hz if method.rate_hz else 0.0)
        seconds = math.ceil(needed * slowest / method.restarts * 1.1)
        yield f"p90 needs {needed} samples and there are {taken}; --duration {max(seconds, 1)} would give enough"


def not_steady(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Warm-up ran into its limit."""
    count = sum(run.warmup.steady is False for run in result.runs)
    if count:
        longest = max(run.warmup.seconds for run in result.runs)
        yield f"latency had not settled when warm-up ended in {count} of {len(result.runs)} runs (longest {longest:.2g} s)"


def noisy(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The samples scatter widely."""
    if result.summary.variation > NOISY:
        yield f"samples scatter by {result.summary.variation:.0%} of their mean (standard deviation): probably something else ran too"


def drifted(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The last third of a run is slower or faster than the first."""
    worst = max((drift(run) for run in result.runs if abs(drift(run)) > DRIFT_ERRORS * drift_error(run)), key=abs, default=0.0)
    if abs(worst) > DRIFT:
        yield f"median latency moved by {worst:+.1%} from the first to the last third of a run: not in a steady state"


def spread(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Restarts disagree."""
    found = result.summary.restart_spread
    if found is not None and found > SPREAD:
        yield f"restart medians differ by {found:.1%}: smaller differences than that mean nothing"


def timer(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The clock itself takes a visible part."""
    overhead = median(run.loop_overhead_ns for run in result.runs) / 1e6
    typical = median(result.summary.restart_medians_ms)
    if overhead > TIMER_SHARE * typical:
        yield f"the timer itself takes {overhead * 1e3:.2f} us of {typical * 1e3:.2f} us"


def warmed(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The machine was still heating up."""
    for temperatures in (_known(reading.temperature_c for reading in run.readings) for run in result.runs):
        if temperatures and max(temperatures) - temperatures[0] > WARMED_BY_C:
            yield f"the machine warmed from {temperatures[0]:.0f} to {max(temperatures):.0f} °C while it was measured"
            return


def throttled(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The firmware slowed the board down, now or (a sticky flag that came up) between two readings."""
    for run in result.runs:
        flags = [reading.throttled for reading in run.readings if reading.throttled is not None]
        risen = [flag & ~flags[0] for flag in flags]
        seen = {name for bit, name in enumerate(FLAGS) for f, r in zip(flags, risen, strict=True) if (f | r >> 16) >> bit & 1}
        if seen:
            yield f"the firmware reports, while it was measured: {', '.join(name for name in FLAGS if name in seen)}"
            return


def throttled_before(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Sticky flags that stood before the run began."""
    first = next((reading.throttled for run in result.runs for reading in run.readings if reading.throttled is not None), 0)
    seen = [name for bit, name in enumerate(FLAGS, 16) if first >> bit & 1]
    if seen:
        yield f"since the board was switched on, before this run, it was {', '.join(seen)}"


def heating(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Warm-up ended before the temperature had settled."""
    rising = [run.warmup.temperatures_c for run in result.runs if run.warmup.temperature_steady is False]
    if rising:
        yield f"the temperature still rose when warm-up ended in {len(rising)} of {len(result.runs)} runs (to {rising[0][-1]:.0f} °C)"


def capped(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """A policy or a power mode keeps the clock below what the cores can do."""
    cap, most = environment.cap_mhz, environment.maximum_mhz
    if cap and most and cap < (1 - CLOCK_DROP) * most:
        mode = f" (power mode {environment.power_mode})" if environment.power_mode else ""
        yield f"the clock is capped at {cap:.0f} of {most:.0f} MHz{mode}"


def slowed_clock(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """A clock fell below its cap."""
    readings = [reading for run in result.runs for reading in run.readings]
    clocks = (
        ("the fastest core", _known(reading.clock_mhz for reading in readings), environment.cap_mhz or environment.maximum_mhz),
        ("the GPU", _known(reading.gpu_mhz for reading in readings), environment.gpu_cap_mhz),
    )
    for name, seen, limit in clocks:
        if seen and limit and min(seen) < (1 - CLOCK_DROP) * limit:
            yield f"{name} ran at {min(seen):.0f} MHz at times, of {limit:.0f} MHz: power saving, a power mode or heat"


def missed(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """A periodic run could not keep its rate."""
    count, done = sum(run.missed for run in result.runs), result.summary.samples
    if count:
        yield f"{count} of {count + done} frames at {method.rate_hz:g} per second came while an inference was still running"


def busy(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Others were at work."""
    load = environment.load_average
    if load is not None and load > BUSY_SHARE * environment.usable_cores:
        yield f"the machine was busy before it began: load average {load:.2g} on {environment.usable_cores} cores"


def short_answers(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """A model ended its answers by itself, so that their rate is that of their beginning."""
    written = [answer.tokens + 1 for run in result.runs for answer in run.answers]
    short = sum(tokens < SHORT * method.answer_tokens for tokens in written)
    if short:
        yield f"{short} of {len(written)} answers ended by themselves before {method.answer_tokens} tokens (shortest: {min(written)})"


def remembered(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Prompts that the engine knew in part."""
    found = result.summary.tokens
    if found is not None and found.cached_tokens > REMEMBERED * method.prompt_tokens:
        yield f"up to {found.cached_tokens} tokens of a prompt were known from the one before; they are in no rate"


def one_restart(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """One process says nothing about the next."""
    if len(result.runs) == 1:
        yield "one process only: how much a restart changes is not known"


def random_input(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Work that depends on the data may differ on real data."""
    if result.input == "random" and not method.answer_tokens:
        yield "the input was random: a model whose work depends on the data may take longer on real data"


def thinned(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Not every inference was recorded."""
    stride = max(run.stride for run in result.runs)
    if stride > 1:
        yield f"one inference in {stride} was recorded, evenly, to keep the report small"


def governor(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """The clock follows the load."""
    if environment.governor not in (None, "performance"):
        yield f"the clock governor was {environment.governor!r}, so the clock follows the load"


def virtual(result: Result, environment: Environment, method: Method) -> Iterator[str]:
    """Somebody else shares the processor."""
    if environment.virtual:
        yield "this is a virtual machine: neighbours share its processor"


def drift(run: Run) -> float:
    """How much the median of the last third of a run lies above that of the first (0.1: 10 %)."""
    third = max(1, len(run.latencies_ns) // 3)
    first = median(run.latencies_ns[:third])
    return median(run.latencies_ns[-third:]) / first - 1 if first else 0.0


def drift_error(run: Run) -> float:
    """The standard error of `drift` if nothing drifts: that of a median is 1.2533 times that of a mean (normal samples)."""
    third = max(1, len(run.latencies_ns) // 3)
    first, last = run.latencies_ns[:third], run.latencies_ns[-third:]
    centre = median(first)
    return 1.2533 * float(np.std(first) + np.std(last)) / 2 / centre * math.sqrt(2 / third) if centre else 0.0


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


DENIALS = frozenset({"off-target", "nothing-computed", "broken"})
"""Warnings after which the numbers do not mean what a reader expects."""
WARNINGS: dict[str, Question] = {
    "off-target": off_target,
    "nothing-computed": nothing_computed,
    "broken": broken,
    "unproven": unproven,
    "few-samples": few_samples,
    "not-steady": not_steady,
    "noisy": noisy,
    "drifted": drifted,
    "restart-spread": spread,
    "timer": timer,
    "warmed": warmed,
    "throttled": throttled,
    "heating": heating,
    "clock-dropped": slowed_clock,
    "missed": missed,
    "busy": busy,
    "short-answers": short_answers,
}
NOTES: dict[str, Question] = {
    "one-restart": one_restart,
    "remembered": remembered,
    "random-input": random_input,
    "thinned": thinned,
    "governor": governor,
    "capped": capped,
    "throttled-before": throttled_before,
    "virtual": virtual,
}
