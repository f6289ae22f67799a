"""What is asked of a language model in a benchmark, and the rates that come of it: reading a prompt and writing an answer, apart.

The convention is llama-bench's: `pp512` is the rate at which a prompt of 512 tokens is read, `tg128` that at which 128 tokens are
written, each as mean and standard deviation over several tries. What differs is said in the report's method.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from edgekit.benchmark.report import Answer, Rate, Run, Tokens
from edgekit.core.errors import UsageError
from edgekit.core.schema import Artifact

PROMPT_TOKENS = 512
ANSWER_TOKENS = 128
SLACK_TOKENS = 8
"""Of the context, for what an engine puts before a prompt."""
LEAST_ANSWERS = 5
"""Of all restarts together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Tokens of a prompt and of an answer; both 0 where models with tensors are measured."""

    prompt: int = 0
    answer: int = 0


def sizes_for(artifacts: Sequence[Artifact], prompt: int | None, answer: int | None) -> Sizes:
    """What is asked of every artifact alike: what was wished for, else llama-bench's, less where a context is too short.

    Raises `UsageError` for sizes that belong to no language model or fit into no context, and for a mixture of both kinds.
    """
    spoken = [artifact for artifact in artifacts if artifact.manifest.language is not None]
    if not spoken:
        if prompt is not None or answer is not None:
            raise UsageError("tokens of a prompt and of an answer belong to language models", "leave them out")
        return Sizes()
    if len(spoken) < len(artifacts):
        other = next(artifact for artifact in artifacts if artifact.manifest.language is None)
        raise UsageError(
            f"{spoken[0].path.name!r} is a language model and {other.path.name!r} is not: they have no measure in common",
            "a report for each kind",
        )
    return _fitting(min(spoken, key=_context), prompt, answer)


def _context(artifact: Artifact) -> int:
    language = artifact.manifest.language
    return language.trained_context if language is not None else 0


def _fitting(narrowest: Artifact, prompt: int | None, answer: int | None) -> Sizes:
    """The sizes, held against the shortest context; what was not wished for gives way."""
    room = _context(narrowest) - SLACK_TOKENS
    written = min(ANSWER_TOKENS, room // 4) if answer is None else answer
    read = min(PROMPT_TOKENS, room - written) if prompt is None else prompt
    if min(read, written) < 2:
        raise UsageError(f"a prompt and an answer need at least 2 tokens each, got {read} and {written}")
    if read + written > room:
        raise UsageError(
            f"a prompt of {read} tokens and an answer of {written} do not fit into the {_context(narrowest)} tokens of {narrowest.path.name!r}",
            f"--prompt-tokens {max(2, room - written)}",
        )
    return Sizes(prompt=read, answer=written)


def least_answers(restarts: int) -> int:
    """How many each process gives."""
    return math.ceil(LEAST_ANSWERS / restarts)


def tokens_of(runs: Sequence[Run]) -> Tokens | None:
    """The rates of all runs together; None for models with tensors."""
    answers = [answer for run in runs for answer in run.answers]
    if not answers:
        return None
    return Tokens(
        answers=len(answers),
        prompt_tokens=round(median(answer.prompt_tokens for answer in answers)),
        cached_tokens=max(answer.cached_tokens for answer in answers),
        answer_tokens=round(median(answer.tokens for answer in answers)),
        prompt=rate(per_second(answer.prompt_tokens, answer.prompt_ms) for answer in answers),
        generation=rate(per_second(answer.tokens, answer.generation_ms) for answer in answers),
    )


def per_second(count: int, ms: float) -> float:
    """Tokens per second; what took no time that a clock could see is counted as a nanosecond."""
    return 1e3 * count / max(ms, 1e-6)


def rate(values: Iterable[float]) -> Rate:
    """Mean and standard deviation."""
    found = tuple(values)
    return Rate(per_s=round(fmean(found), 4), deviation=round(stdev(found), 4) if len(found) > 1 else None)


def per_token_ns(answers: Iterable[Answer]) -> dict[str, tuple[int, ...]]:
    """What one token took in every answer, reading and writing apart, as samples that can be compared."""
    held = tuple(answers)
    return {
        "prompt, per token": tuple(round(1e6 * answer.prompt_ms / max(answer.prompt_tokens, 1)) for answer in held),
        "generation, per token": tuple(round(1e6 * answer.generation_ms / max(answer.tokens, 1)) for answer in held),
    }
