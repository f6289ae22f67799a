"""A language engine through edgekit beside the same engine driven bare, in turns. Writes results/assistant_engine_ENGINE.json.

    python benchmarks/assistant_engine.py [MODEL.gguf ...] [--engine xllamacpp|llama_cpp] [--rounds N]

What is compared: tokens per second of an answer, and the time to the first token of a second turn that begins like the first; the time
from nothing to the first token is `assistant_cold.py`'s. What edgekit adds to a token and to a turn does not grow with the model, so two sizes
are measured where no model is named: the one in the box, and one of 116 million random weights, made here for the occasion.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import ROOT, conditions, write

from edgekit.converters.gguf import gguf_source
from edgekit.converters.gguf.convert import convert
from edgekit.converters.gguf.model import WeightTensor, count, in_memory
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import Done, Sampling, TextOptions, TextRequest

BOXED = ROOT / "edge" / "models" / "tinylm" / "tinylm.gguf"
PROMPT = "The king came in and said to all of them that the night was long and that the road was longer. "
MORE = "Then the queen answered him: "
TOKENS = 64
CONTEXT = 256
Ask = Callable[[str, int], "Said"]
"""A prompt and the most tokens to say: what came of it."""
REST_S = 1.0
"""Before each turn: an engine's idle threads go on spinning for a while, and would take a core from the other."""
WIDTH, KEYS, FEED, LAYERS = 768, 256, 2048, 18
"""Of the random model: heads of 64, of which 4 share keys, as SmolLM2's and Llama 3.2's are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How many tokens, and when the first was there, as `time.perf_counter` has it."""

    tokens: int
    first_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One round: tokens per second of the first answer, milliseconds to the first token of the second."""

    per_second: float
    second_turn_ms: float


def main() -> int:
    """Both in turns, so that what else the machine does falls on them alike."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--engine", choices=("xllamacpp", "llama_cpp"), default="xllamacpp")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = args.models or [BOXED, random_model(Path(folder) / "random-116m-q8_0.gguf")]
        found = {model.stem: _measured(model, args) for model in models}
    packages = conditions("edgekit", args.engine.replace("llama_cpp", "llama-cpp-python"))
    write(
        f"assistant_engine_{args.engine}",
        {"conditions": packages, "engine": args.engine, "rounds": args.rounds, "models": found},
    )
    return 0


def random_model(path: Path) -> Path:
    """A llama of a realistic size in Q8_0 with the boxed model's words, written as any model is converted."""
    boxed = gguf_source.load(BOXED)
    sizes = {
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": FEED,
        "attention.head_count": WIDTH // 64,
        "attention.head_count_kv": KEYS // 64,
        "rope.dimension_count": 64,
    }
    values = {**boxed.values, **{f"llama.{key}": count(size) for key, size in sizes.items()}}
    convert(replace(boxed, values=values, tensors=tuple(_random_tensors(boxed.number("vocab_size")))), path, "q8_0")
    return path


def _random_tensors(vocabulary: int) -> Iterator[WeightTensor]:
    random = np.random.default_rng(0)
    layer = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (KEYS, WIDTH),
        "attn_v": (KEYS, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FEED, WIDTH),
        "ffn_up": (FEED, WIDTH),
        "ffn_down": (WIDTH, FEED),
    }
    shapes = {"token_embd": (vocabulary, WIDTH), "output": (vocabulary, WIDTH)}
    shapes |= {f"blk.{number}.{name}": shape for number in range(LAYERS) for name, shape in layer.items()}
    for name, shape in shapes.items():
        yield in_memory(
            f"{name}.weight", (random.standard_normal(shape, np.float32) * 0.5 / shape[1] ** 0.5).astype(np.float16)
        )
    for name in ("output_norm", *(f"blk.{number}.{norm}" for number in range(LAYERS) for norm in ("attn_norm", "ffn_norm"))):
        yield in_memory(f"{name}.weight", np.ones(WIDTH, np.float32))


def _measured(model: Path, args: argparse.Namespace) -> dict[str, Any]:
    session = SupervisedSession(args.engine, model, TextOptions(context=CONTEXT, threads=args.threads))
    bare = {"xllamacpp": _bare_xllamacpp, "llama_cpp": _bare_llama_cpp}[args.engine](model, session.model.threads)
    taken: dict[str, list[Taken]] = {"edgekit": [], "bare": []}
    for number in range(args.rounds + 1):
        for name, ask in (("edgekit", _through(session)), ("bare", bare)):
            time.sleep(REST_S)
            found = _round(ask, f"Round {number}. ")
            if number:  # the first warms up
                taken[name].append(found)
    session.close()
    return {"bytes": model.stat().st_size, "threads": session.model.threads, **_result(taken)}


def _round(ask: Ask, beginning: str) -> Taken:
    """A first answer, then a second turn that begins with the first's prompt."""
    started = time.perf_counter()
    said = ask(beginning + PROMPT, TOKENS)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    second = ask(beginning + PROMPT + MORE, 1)
    return Taken(per_second=said.tokens / seconds, second_turn_ms=1000 * (second.first_at - started))


def _through(session: SupervisedSession) -> Ask:
    def ask(prompt: str, tokens: int) -> Said:
        request = TextRequest(prompt=prompt, sampling=Sampling(max_tokens=tokens, temperature=0.0, min_p=0.0))
        events, first_at = _with_first(session.generate(request))
        return Said(tokens=sum(event.timings.predicted_n for event in events if isinstance(event, Done)), first_at=first_at)

    return ask


def _bare_xllamacpp(model: Path, threads: int) -> Ask:
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(model)
    settings.n_ctx, settings.n_parallel = CONTEXT, 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.warmup = False
    server = xllamacpp.Server(settings)

    def ask(prompt: str, tokens: int) -> Said:
        chunks: list[tuple[float, Any]] = []
        asked = {"prompt": prompt, "max_tokens": tokens, "temperature": 0.0, "stream": True}
        asked["stream_options"] = {"include_usage": True}
        server.handle_completions(asked, lambda chunk: chunks.append((time.perf_counter(), chunk)))
        return Said(tokens=int(chunks[-1][1]["usage"]["completion_tokens"]), first_at=chunks[0][0])

    return ask


def _bare_llama_cpp(model: Path, threads: int) -> Ask:
    import llama_cpp

    llama = llama_cpp.Llama(str(model), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False)

    def ask(prompt: str, tokens: int) -> Said:
        stream = llama.create_completion(prompt, max_tokens=tokens, temperature=0.0, stream=True)
        chunks, first_at = _with_first(stream)
        return Said(tokens=sum(bool(chunk["choices"][0]["text"]) for chunk in chunks), first_at=first_at)

    return ask


def _with_first(stream: Iterable[Any]) -> tuple[list[Any], float]:
    """All that comes, and when the first was there."""
    coming = iter(stream)
    first = next(coming)
    at = time.perf_counter()
    return [first, *coming], at


def _result(taken: dict[str, list[Taken]]) -> dict[str, Any]:
    rates = {name: median(one.per_second for one in found) for name, found in taken.items()}
    turns = {name: median(one.second_turn_ms for one in found) for name, found in taken.items()}
    return {
        "tokens_per_s": {name: round(rate, 1) for name, rate in rates.items()},
        "generation_share_of_bare": round(rates["edgekit"] / rates["bare"], 3),
        "second_turn_first_token_ms": {name: round(value, 2) for name, value in turns.items()},
        "second_turn_over_bare": round(turns["edgekit"] / turns["bare"], 3),
    }


if __name__ == "__main__":
    raise SystemExit(main())
