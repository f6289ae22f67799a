"""A language engine through edgekit beside the same engine driven bare, in turns. Writes results/assistant_engine.json.

    python benchmarks/assistant_engine.py [MODEL.gguf] [--engine xllamacpp|llama_cpp] [--rounds N]

What is compared: tokens per second of an answer, time to the first token of a second turn that begins like the first, and the time
from nothing to the first token in a new process. Without a model, the one in the box.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from common import ROOT, conditions, run, write

from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import Piece, Sampling, TextOptions, TextRequest

BOXED = ROOT / "edge" / "models" / "tinylm" / "tinylm.gguf"
PROMPT = "The king came in and said to all of them that the night was long and that the road was longer. "
MORE = "Then the queen answered him: "
TOKENS = 64
CONTEXT = 256
Ask = Callable[[str, int], Iterator[str]]
COLD = (
    "import sys; from edgekit.runtimes.language.opening import open_text; from edgekit.runtimes.text import *; "
    "s = open_text(sys.argv[1], engine=sys.argv[2], options=TextOptions(context=256)); "
    "next(s.generate(TextRequest(prompt='The king', sampling=Sampling(max_tokens=4, temperature=0.0)))); s.close()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One round: tokens per second of the first answer, milliseconds to the first token of the second."""

    per_second: float
    second_turn_ms: float


def main() -> int:
    """Both in turns, so that what else the machine does falls on them alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=BOXED)
    parser.add_argument("--engine", choices=("xllamacpp", "llama_cpp"), default="xllamacpp")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    session = SupervisedSession(args.engine, args.model, TextOptions(context=CONTEXT, threads=args.threads))
    bare = {"xllamacpp": _bare_xllamacpp, "llama_cpp": _bare_llama_cpp}[args.engine](args.model, session.model.threads)
    taken: dict[str, list[Taken]] = {"edgekit": [], "bare": []}
    for number in range(args.rounds + 1):
        for name, ask in (("edgekit", _through(session)), ("bare", bare)):
            found = _round(ask, f"Round {number}. ")
            if number:  # the first warms up
                taken[name].append(found)
    session.close()
    cold = [run([sys.executable, "-c", COLD, str(args.model), args.engine]).seconds for _ in range(3)]
    write("assistant_engine", _result(args, taken, cold))
    return 0


def _round(ask: Ask, beginning: str) -> Taken:
    """A first answer, then a second turn that begins with the first's prompt."""
    started = time.perf_counter()
    count = sum(1 for _ in ask(beginning + PROMPT, TOKENS))
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    next(ask(beginning + PROMPT + MORE, 1))
    return Taken(per_second=count / seconds, second_turn_ms=1000 * (time.perf_counter() - started))


def _through(session: SupervisedSession) -> Ask:
    def ask(prompt: str, tokens: int) -> Iterator[str]:
        request = TextRequest(prompt=prompt, sampling=Sampling(max_tokens=tokens, temperature=0.0, min_p=0.0))
        return iter([event.text for event in session.generate(request) if isinstance(event, Piece)])

    return ask


def _bare_xllamacpp(model: Path, threads: int) -> Ask:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx, settings.n_parallel = CONTEXT, 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.warmup = False
    server = xllamacpp.Server(settings)

    def ask(prompt: str, tokens: int) -> Iterator[str]:
        found: list[str] = []

        def keep(chunk: Any) -> None:
            found.extend(choice["text"] for choice in chunk.get("choices", []) if choice.get("text"))

        server.handle_completions({"prompt": prompt, "max_tokens": tokens, "temperature": 0.0, "stream": True}, keep)
        return iter(found)

    return ask


def _bare_llama_cpp(model: Path, threads: int) -> Ask:
    import llama_cpp

    llama = llama_cpp.Llama(str(model), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False)

    def ask(prompt: str, tokens: int) -> Iterator[str]:
        chunks = llama.create_completion(prompt, max_tokens=tokens, temperature=0.0, stream=True)
        return iter([chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"][0]["text"]])

    return ask


def _result(args: argparse.Namespace, taken: dict[str, list[Taken]], cold: list[float]) -> dict[str, Any]:
    rates = {name: median(one.per_second for one in found) for name, found in taken.items()}
    turns = {name: median(one.second_turn_ms for one in found) for name, found in taken.items()}
    return {
        "conditions": conditions("edgekit", args.engine.replace("llama_cpp", "llama-cpp-python")),
        "model": args.model.name,
        "engine": args.engine,
        "rounds": args.rounds,
        "tokens_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "generation_share_of_bare": round(rates["edgekit"] / rates["bare"], 3),
        "second_turn_first_token_ms": {name: round(value, 2) for name, value in turns.items()},
        "second_turn_over_bare": round(turns["edgekit"] / turns["bare"], 3),
        "cold_first_token_s": round(median(cold), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
