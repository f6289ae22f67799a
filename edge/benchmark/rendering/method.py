"""The method in one paragraph, generated from what was done."""

from __future__ import annotations

from edgekit.benchmark.process.language import least_answers
from edgekit.benchmark.process.loop import HEAT_STEP_C, HEAT_STRETCH_S
from edgekit.benchmark.rendering.words import size
from edgekit.benchmark.report import Environment, Method
from edgekit.benchmark.statistics.percentiles import LEVELS, samples_needed

_SCENARIOS = {
    "single-stream": "One inference after the other, each begun when the one before has ended.",
    "periodic": "One inference every {period:g} ms ({rate:g} per second) with the process asleep in between, as a camera gives frames.",
    "multi-stream": "Queries of {query} inferences, each begun when the one before has ended, shared by sessions of one thread each.",
    "offline": "As many inferences as all cores can do, in queries of {query} shared by sessions of one thread each.",
    "server": "Requests at random times (exponential gaps, {rate_words}) wait in one queue for one session.",
}


def scenario_sentence(method: Method) -> str:
    """What happens between two inferences."""
    if method.answer_tokens:
        return f"One answer after the other: {method.prompt_tokens} tokens are read, then {method.answer_tokens} are written."
    rate = method.rate_hz or 1.0
    given = f"{rate:g} per second on average"
    searched = f"at the highest rate, found by halving, at which p99 surely stays below {method.bound_ms or 0:g} ms"
    words = searched if method.bound_ms is not None else given
    return _SCENARIOS[method.scenario].format(period=round(1000 / rate, 3), rate=rate, query=method.query, rate_words=words)


def method_paragraphs(method: Method) -> tuple[str, ...]:
    """How the numbers came about."""
    return _spoken(method) if method.answer_tokens else _fed(method)


def _spoken(method: Method) -> tuple[str, ...]:
    """Language models."""
    return (
        f"{scenario_sentence(method)} Each artifact was measured in {_processes(method)}: load, a first answer (the cold start), one to "
        f"warm up, then answers for {method.duration_s:g} s and at least {least_answers(method.restarts)}. Prompts are plain words in "
        f"an order of their own, so that none begins like the one before; tokens that the engine knew all the same are counted and "
        f"are in no rate. The model's end-of-text tokens cannot be chosen. Latency is the time to the first piece of an answer.",
        f"The rates are named as llama-bench names them, pp{method.prompt_tokens} and tg{method.answer_tokens}, as mean ± standard "
        f"deviation over the answers of all processes, by the engine's own clock. pp counts the tokens of a prompt that were evaluated, "
        f"tg those of an answer after its first. Here tokens are chosen, become text, and follow the prompt; llama-bench leaves "
        f"choosing out and writes from an empty context, so that its rates are a little higher. The first piece, and the whole "
        f"answer in the raw samples, are by the clock of whoever asks.",
    )


def _processes(method: Method) -> str:
    return "one fresh process" if method.restarts == 1 else f"{method.restarts} fresh processes, artifacts in turns"


def _fed(method: Method) -> tuple[str, ...]:
    """Models with tensors."""
    counts = ", ".join(f"p{level:g}: {samples_needed(level, method.confidence)}" for level in LEVELS)
    return (
        f"{scenario_sentence(method)} Each artifact was measured in {_processes(method)}: load, first inference, warm-up until the medians "
        f"of successive stretches agree within 2 %{_heat(method)} (at most {method.warmup_limit_s:g} s), then {method.duration_s:g} s timed, longer "
        f"while a p90 lacks samples. The timer holds {method.timed}. Sensors are read between inferences, at most once a second; a "
        f"power meter, and the stages of an answer, after the timed region.",
        f"Percentiles are order statistics (nearest rank) of the samples of all processes together. Their bounds are exact binomial "
        f"bounds that assume nothing about the distribution; each holds with {method.confidence:.0%} confidence for independent "
        f"samples. A percentile is left out below the count at which its bound exists with one sample to spare ({counts}). The bounds "
        f"say nothing of other days, other boards or other settings: restarts differ by more, and the spread between them is given.",
    )


def _heat(method: Method) -> str:
    """What warm-up waits for besides latency."""
    if method.warmup_limit_s <= 2 * HEAT_STRETCH_S:
        return ""
    return f" and the temperature rises by less than {HEAT_STEP_C:g} °C from {HEAT_STRETCH_S} s to the next, where a sensor tells it"


def conditions(environment: Environment) -> tuple[tuple[str, str], ...]:
    """The machine and the software, as names and values."""
    usable = "" if environment.usable_cores == environment.cores else f" ({environment.usable_cores} usable)"
    clock = f", up to {environment.maximum_mhz:.0f} MHz" if environment.maximum_mhz else ""
    return (
        ("Machine", environment.machine + (" (virtual)" if environment.virtual else "")),
        ("Processor", f"{environment.cpu}{clock}"),
        ("Cores", f"{environment.cores}{usable}, {environment.isa}"),
        ("Memory", size(environment.memory_bytes)),
        ("Governor", environment.governor or "unknown"),
        *_known(
            ("Clock cap", environment.cap_mhz and f"{environment.cap_mhz:.0f} MHz"),
            ("GPU clock cap", environment.gpu_cap_mhz and f"{environment.gpu_cap_mhz:.0f} MHz"),
            ("Power mode", environment.power_mode),
            ("Jetson Linux", environment.l4t),
            ("Power supply", environment.supply_ma and f"{environment.supply_ma} mA"),
        ),
        ("Load before", "unknown" if environment.load_average is None else f"{environment.load_average:.2f}"),
        ("System", f"{environment.os}, kernel {environment.kernel}"),
        ("Software", f"edgekit {environment.edgekit}, Python {environment.python}"),
    )


def _known(*rows: tuple[str, object]) -> tuple[tuple[str, str], ...]:
    """Only what the machine told."""
    return tuple((name, str(value)) for name, value in rows if value)
