"""A language model and a board: does it fit, how fast may it be, and which precision is the best of those that fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.converters.gguf.model import LanguageModel
from edgekit.converters.gguf.types import MIXTURES, Choice, choose, substitutions
from edgekit.core.errors import Unsupported
from edgekit.core.facts import number
from edgekit.core.language import Need, Shape, need_of
from edgekit.core.schema import Device

USABLE = 0.75
"""Of a board's memory; the rest is the operating system's and other programs'."""
PLAINER = {"q6_k": "q8_0", "q5_k_m": "q5_1", "q4_k_m": "q4_0", "q3_k_m": "q4_0", "q2_k": "q4_0"}
AUTO = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k")
"""What `auto` may choose, best first. fp16 is left out: it takes twice the time of q8_0 and says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a board has for a model: bytes (None: not known), and weights it reads in a second, with how that is known."""

    usable: int | None
    per_second: float | None
    known_from: str


def room_of(device: Device, memory_bytes: int = 0) -> Room:
    """`memory_bytes` is that of the very board, where it is sold in several sizes."""
    memory = memory_bytes or number(device, "memory_bytes")
    usable = None if memory is None else int(USABLE * memory)
    for fact, meaning in (
        ("language_bytes_per_s", "as measured with other models on this board"),
        ("memory_bandwidth_peak_bytes_per_s", "at the most: the peak of its memory, which no engine reaches"),
    ):
        found = number(device, fact)
        if found is not None:
            return Room(usable=usable, per_second=float(found), known_from=meaning)
    return Room(usable=usable, per_second=None, known_from="")


def speed(room: Room, read_bytes: int) -> float | None:
    """Tokens in a second that memory allows."""
    return None if room.per_second is None or not read_bytes else round(room.per_second / read_bytes, 1)


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
