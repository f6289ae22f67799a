"""One process that measures a language model: it is asked for one answer after the other, each to a prompt it has never seen."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random

from msgspec.structs import replace

from edgekit.benchmark.conditions import sensors
from edgekit.benchmark.conditions.energy import energy, readings_for
from edgekit.benchmark.conditions.meters import Meter, find_meter
from edgekit.benchmark.process import loop
from edgekit.benchmark.process.feeds import SEED
from edgekit.benchmark.process.language import SLACK_TOKENS, Sizes
from edgekit.benchmark.process.order import Done, Order
from edgekit.benchmark.report import Answer, Energy, Engine, Environment, Reading, Run, Warmup
from edgekit.core.errors import DeviceError
from edgekit.core.gguf_file import read_header
from edgekit.core.schema import Artifact
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.text import Done as Said
from edgekit.runtimes.text import Piece, Sampling, TextOptions, TextRequest, TextSession, Timings

PLAIN = (
    "the of and to in is that it was for on are with as his they be at one have this from or had by but some what there we can out "
    "other were all your when up use word how said an each she which do their time if will way about many then them would write like"
)
WORDS = tuple(PLAIN.split())
ENDINGS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
NEVER = -1e9
PACKAGES = {"llama_cpp": "llama-cpp-python"}
"""Distributions that are called otherwise than the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An answer, and when its first piece came after it was asked for."""

    answer: Answer
    first_ns: int


def measure(order: Order, artifact: Artifact, place: Environment) -> Done:
    """Load the model and ask it, in this process; the engine has one of its own. Raises what opening and asking raise."""
    sizes = Sizes(prompt=order.prompt_tokens, answer=order.answer_tokens)
    options = TextOptions(context=sizes.prompt + sizes.answer + SLACK_TOKENS, threads=order.threads)
    begin = time.perf_counter_ns()
    with ExitStack() as stack:
        session = stack.enter_context(closing(open_text(artifact.file("model"), engine=order.runtime, options=options)))
        load_ms = (time.perf_counter_ns() - begin) / 1e6
        ask = asking(session, sizes, biases(artifact.file("model")))
        run = asked(ask, order, sensors.of_process(getattr(session, "pid", None)))
        engine = Engine(runtime=session.model.engine, version=_version(session.model.engine), threads=session.model.threads)
    return Done(run=replace(run, load_ms=round(load_ms, 3)), environment=place, engine=engine, input="random")


def asked(
    ask: Callable[[int], Timed],
    order: Order,
    process: str,
    clock: loop.Clock = loop.DEFAULT_CLOCK,
    *,
    board: Callable[[], Meter | None] = find_meter,
) -> Run:
    """The first answer, one to warm up, then answers until the time is over and there are enough."""
    now, sense = clock.now, sensors.reader(process=process)
    first = ask(0)
    begin = now()
    ask(1)
    warmup = Warmup(runs=1, seconds=round((now() - begin) / loop.SECOND, 6), steady=None)
    found: list[Timed] = []
    readings: list[Reading] = [sense(0.0)]
    begin = end = now()
    while end < begin + int(order.duration_s * loop.SECOND) or len(found) < order.minimum_samples:
        found.append(ask(2 + len(found)))
        end = now()
        readings.append(sense((end - begin) / loop.SECOND))
    return Run(
        load_ms=0.0,
        first_ms=round(first.first_ns / 1e6, 3),
        warmup=warmup,
        timed_s=round((end - begin) / loop.SECOND, 6),
        latencies_ns=tuple(array("q", [one.first_ns for one in found])),
        readings=tuple(sparse(readings)),
        start_rss_bytes=None,
        peak_rss_bytes=sensors.peak_resident_bytes(process=process),
        loop_overhead_ns=loop.overhead_ns(clock),
        answers=tuple(one.answer for one in found),
        energy=_energy(ask, 2 + len(found), order, clock, board()),
    )


def sparse(readings: list[Reading]) -> Iterator[Reading]:
    """The first reading, the last, and those a second apart."""
    last = readings[0].at_s
    yield readings[0]
    for reading in readings[1:-1]:
        if reading.at_s - last >= 1.0:
            last = reading.at_s
            yield reading
    yield from readings[1:][-1:]


def asking(
    session: TextSession, sizes: Sizes, never: Mapping[int, float], now: Callable[[], int] = time.perf_counter_ns
) -> Callable[[int], Timed]:
    """A function that asks for the answer of that number: to a prompt of its own, greedily, to the last token."""
    sampling = Sampling(max_tokens=sizes.answer, temperature=0.0, min_p=0.0, logit_bias=never)

    def ask(number: int) -> Timed:
        return timed(session, TextRequest(prompt=prompt_of(session, sizes.prompt, number), sampling=sampling), now)

    return ask


def timed(session: TextSession, request: TextRequest, now: Callable[[], int]) -> Timed:
    """One answer. Its two parts are as the engine times them, the first piece and the whole by this process's clock.

    Raises `DeviceError` when the engine says nothing, or less than can be timed.
    """
    first_ns, spent, began = 0, Timings(), now()
    for event in session.generate(request):
        if isinstance(event, Piece) and event.tokens and not first_ns:
            first_ns = now() - began
        if isinstance(event, Said):
            spent = event.timings
    total_ns = now() - began
    if not first_ns or spent.predicted_n < 2:
        raise DeviceError(f"{session.model.name!r} ended its answer before it could be timed", "a larger --answer-tokens")
    answer = Answer(
        prompt_tokens=spent.prompt_n,
        cached_tokens=spent.cache_n,
        prompt_ms=round(spent.prompt_ms, 6),
        tokens=spent.predicted_n - 1,
        generation_ms=round(spent.predicted_ms, 6),
        total_ms=round(total_ns / 1e6, 6),
    )
    return Timed(answer=answer, first_ns=first_ns)


def prompt_of(session: TextSession, tokens: int, number: int) -> str:
    """So many tokens of plain words in an order that only this number has: no engine knows how it begins."""
    words = Random(SEED + number).choices(WORDS, k=tokens)
    found = session.tokenize(f"{number} {' '.join(words)}", special=False)
    return session.detokenize(found[:tokens])


def biases(model: Path) -> dict[int, float]:
    """What keeps a model from ending an answer early: the tokens that its file names as ends can never come."""
    header = read_header(model)
    ends = (header.get(key) for key in ENDINGS)
    return {end: NEVER for end in ends if isinstance(end, int)}


def _energy(
    ask: Callable[[int], Timed], next_number: int, order: Order, clock: loop.Clock, meter: Meter | None
) -> Energy | None:
    """The same questions go on while the board's meter is read, where it has one; an inference is an answer."""
    if meter is None:
        return None
    numbers = iter(range(next_number, 1 << 62))
    pace = loop.Pace(clock=clock)
    return energy(lambda: ask(next(numbers)), pace, meter, clock, readings=readings_for(order.duration_s))


def _version(engine: str) -> str:
    """Of the installed package; its library is not loaded for that, which could end this process."""
    try:
        return version(PACKAGES.get(engine, engine))
    except PackageNotFoundError:
        return ""
