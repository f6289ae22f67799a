"""What is asked of a measuring process, and what it answers. Both travel as JSON, so the process may be anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from edgekit.benchmark.report import Engine, Environment, Full, Run, Scenario


class Order(Full, frozen=True, kw_only=True):
    """One run: which artifact, through which engine, in which scenario, for how long."""

    artifact: str
    sha256: str
    """The artifact's hash: what is measured must be what the report is about."""
    runtime: str
    threads: int
    scenario: Scenario
    rate_hz: float | None
    duration_s: float
    warmup_limit_s: float
    query: int = 1
    bound_ms: float | None = None
    prompt_tokens: int = 0
    answer_tokens: int = 0
    """Of a language model; 0 for models with tensors."""
    minimum_samples: int
    """The timed region goes on past its duration, up to `PATIENCE` times it, until there are so many."""


class Done(Full, frozen=True, kw_only=True, tag="done"):
    """The run was measured."""

    run: Run
    engine: Engine
    environment: Environment | None = None
    """Where it was measured, before the model was loaded."""
    input: Literal["golden", "random"]


class Refused(Full, frozen=True, kw_only=True, tag="refused"):
    """The run could not be measured; `error` is the name of an error in `edgekit.core.errors`."""

    error: str
    message: str
    hint: str


Launch = Callable[[Order], Done]
PATIENCE = 4


def encode(value: Order | Done | Refused) -> str:
    """The value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def decode_order(text: str) -> Order:
    """An order as `encode` wrote it. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(text, type=Order)


def decode_answer(text: str) -> Done | Refused:
    """An answer as `encode` wrote it. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(text, type=Done | Refused)
