"""A language model and a board: does it fit, how fast may it be, and which precision is the best of those that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.converters.gguf.model import LanguageModel
from edgekit.converters.gguf.types import MIXTURES, Choice, choose, substitutions
from edgekit.core.errors import Unsupported
from edgekit.core.language import Need, Shape, need_of
from edgekit.core.language_room import Room

PLAINER = {"q6_k": "q8_0", "q5_k_m": "q5_1", "q4_k_m": "q4_0", "q3_k_m": "q4_0", "q2_k": "q4_0"}
AUTO = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k")
"""What `auto` may choose, best first. fp16 is left out: it takes twice the time of q8_0 and says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A precision, and why those before it were not taken."""

    precision: str
    passed_over: tuple[str, ...] = ()


def best_that_fits(model: LanguageModel, shape: Shape, room: Room, context: int, *, libllama: bool) -> Chosen:
    """The best precision that fits the board. Raises `Unsupported` with the numbers when none does."""
    passed_over: list[str] = []
    smallest: Need | None = None
    for precision in AUTO:
        choices = choose(model, precision, libllama=True)
        why = _why_not(precision, choices, libllama=libllama)
        if why:
            passed_over.append(f"{precision}: {why}")
            continue
        needed = need_of(shape, sum(choice.bytes for choice in choices), context)
        smallest = needed if smallest is None or needed.total < smallest.total else smallest
        if room.usable is None or needed.total <= room.usable:
            return Chosen(precision=precision, passed_over=tuple(passed_over))
        passed_over.append(f"{precision}: needs {needed.total / 1e9:.2f} GB")
    assert smallest is not None and room.usable is not None  # q8_0 is never passed over for its types
    raise Unsupported(
        f"no precision of it fits: the smallest needs {smallest.sentence()}, the board can give {room.usable / 1e9:.2f} GB",
        "--context 512, a smaller model, or --memory 8GB when the board has more",
    )


def _why_not(precision: str, choices: Sequence[Choice], *, libllama: bool) -> str:
    """Why a precision is no choice for this model; empty when it is."""
    if MIXTURES[precision].kind.endswith("_K") and not libllama:
        return "libllama writes it, and is not here"
    changed = sum(choice.bytes for choice in substitutions(choices))
    if precision in PLAINER and 2 * changed > sum(choice.bytes for choice in choices):
        return f"most of its tensors would become another type ({substitutions(choices)[0].why})"
    return ""
