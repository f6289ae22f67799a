"""Measure in a fresh process on this machine. `edgekit.benchmark.process.remote` measures on a board."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgekit.benchmark.process.order import PATIENCE, Done, Order, decode_answer, encode
from edgekit.benchmark.process.peak import STEPS
from edgekit.core import errors
from edgekit.core.errors import DeviceError, EdgekitError
from edgekit.core.process import run

_LOAD_TIMEOUT_S = 600.0
_ANSWER_TIMEOUT_S = 600.0


def argv(python: str = sys.executable) -> list[str]:
    """The program that measures."""
    return [python, "-m", "edgekit.benchmark.process.worker"]


def timeout_s(order: Order) -> float:
    """How long a run may take before it is given up: loading, the first runs, and the patient loops; a language model's answers take minutes on a small board."""
    trials = STEPS if order.bound_ms is not None else 1
    answers = 2 + order.minimum_samples if order.answer_tokens else 0
    return _LOAD_TIMEOUT_S + answers * _ANSWER_TIMEOUT_S + order.warmup_limit_s + 2 * trials * PATIENCE * order.duration_s


def here(order: Order) -> Done:
    """Run the order in a child process.

    Raises the child's own `EdgekitError`, and `DeviceError` when it did not live to say one.
    """
    # Not from the current folder: `python -m` would import whatever modules lie there before the real ones.
    return answered(lambda: run(argv(), timeout_s=timeout_s(order), stdin=encode(order), cwd=Path(sys.prefix)).stdout, order)


def answered(ask: Callable[[], str], order: Order) -> Done:
    """What a worker measured. Raises the worker's own `EdgekitError`, and `DeviceError` when `ask` got no answer out of it."""
    try:
        answer = decode_answer(ask())
    except DeviceError:
        raise
    except EdgekitError as exc:
        raise DeviceError(f"the process that measured {order.artifact!r} failed: {exc.message}", "edgekit doctor") from exc
    except msgspec.DecodeError as exc:
        raise DeviceError(f"the process that measured {order.artifact!r} gave no answer: {exc}", "edgekit doctor") from exc
    if isinstance(answer, Done):
        return answer
    raise error_named(answer.error)(answer.message, answer.hint)


def error_named(name: str) -> type[EdgekitError]:
    """The class in `edgekit.core.errors` of that name, `EdgekitError` for any other."""
    found = getattr(errors, name, EdgekitError)
    return found if isinstance(found, type) and issubclass(found, EdgekitError) else EdgekitError
