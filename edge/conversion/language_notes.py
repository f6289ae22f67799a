"""What a person wants to know of a language model's conversion, in sentences: memory, speed, bits, types, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

from edgekit.core.language_room import Room
from edgekit.core.schema import Language, Substituted

_LAYER = re.compile(r"\Ablk\.(\d+)\.(.+)\Z")


def notes_of(language: Language, room: Room) -> tuple[str, ...]:
    """Everything, what matters most first."""
    return (
        *fit(language.need_bytes, language.context, language.usable_bytes),
        *_speed(language, room),
        *_sizes(language),
        *_errors(language),
        *substituted(language.substituted),
    )


def fit(need_bytes: int, context: int, usable_bytes: int | None) -> Iterator[str]:
    """Whether the board has the memory, with both numbers; nothing where its memory is not known."""
    if usable_bytes is not None:
        word = "fits" if need_bytes <= usable_bytes else "DOES NOT FIT"
        needed = f"needs {need_bytes / 1e9:.2f} GB with {context} tokens, {usable_bytes / 1e9:.2f} GB can be used"
        yield f"{word} this board: {needed}"


def substituted(tensors: Sequence[Substituted]) -> Iterator[str]:
    """Every tensor that got another type than was asked for, those with the same reason together."""

    def reason(one: Substituted) -> tuple[str, str, str]:
        return one.given, one.wanted, one.why

    for (given, wanted, why), those in groupby(sorted(tensors, key=reason), reason):
        names = [one.tensor for one in those]
        yield f"{given} instead of {wanted}, since {why}: {', '.join(shortened(names))} ({len(names)})"


def shortened(names: Sequence[str]) -> list[str]:
    """Tensors' names, those that differ in their layer alone as one: `blk.0-4,7.ffn_down.weight`."""
    layers: dict[str, list[int]] = {}
    alone = []
    for name in names:
        if found := _LAYER.match(name):
            layers.setdefault(found[2], []).append(int(found[1]))
        else:
            alone.append(name)
    return [*alone, *(f"blk.{_ranges(sorted(numbers))}.{rest}" for rest, numbers in layers.items())]


def _ranges(numbers: Sequence[int]) -> str:
    """`0-4,7` for 0, 1, 2, 3, 4 and 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _speed(language: Language, room: Room) -> Iterator[str]:
    if language.tokens_per_s is not None:
        yield f"about {language.tokens_per_s:g} tokens/s by its memory, {room.known_from}; not measured here"


def _sizes(language: Language) -> Iterator[str]:
    conversation = language.kv_bytes_per_token * language.context
    yield (
        f"{language.bits_per_weight:.2f} bits per weight; a conversation takes {language.kv_bytes_per_token:,} bytes per token, "
        f"{conversation / 1e6:.2f} MB of {language.context} tokens"
    )


def _errors(language: Language) -> Iterator[str]:
    if errors := language.tensor_errors:
        worst = max(errors, key=lambda name: errors[name])
        yield (
            f"tensors differ from their source by {median(errors.values()):.2%} of their own root mean square in the middle, "
            f"by {errors[worst]:.2%} at most ({worst}); each is in the manifest"
        )
