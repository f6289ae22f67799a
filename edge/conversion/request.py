"""What is asked of a conversion, whatever the model and the target: no network's package is needed to say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.conversion.language import LanguageRequest
from edgekit.core.errors import UsageError
from edgekit.core.facts import number
from edgekit.core.schema import Device, Recipe

if TYPE_CHECKING:
    from edgekit.converters.prune.rounds import Importance

TRAINING = "edgekit distill MODEL --prune N% --data PICTURES -o OUT.onnx"
USUAL = 8
"""Numbers of channels are multiples of this where a board wants no other."""
IN_EIGHT_BITS = frozenset({"auto", "int8", "mixed"})


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """The share of the multiply-accumulates to take out, how channels are judged, and what their numbers may be multiples of.

    The first of `multiples` by which the share can be reached is taken.
    """

    share: float
    importance: Importance = "activations"
    multiples: tuple[int, ...] = (USUAL,)


def multiples_for(boards: Iterable[Device], recipe: Recipe) -> tuple[int, ...]:
    """What suits all these boards at the recipe's precision, then half of it, and so on down to the usual."""
    wanted = (number(board, "int8_channel_multiple") for board in boards if recipe.precision in IN_EIGHT_BITS)
    largest = max((int(value) for value in wanted if value is not None), default=USUAL)
    found = [largest]
    while found[-1] > USUAL:
        found.append(max(found[-1] // 2, USUAL))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked of one model, whatever the target. Raises `UsageError` for a budget that nothing would measure."""

    recipe: Recipe = field(default_factory=Recipe)
    calibration: Any = None
    evaluate: Path | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    output: Path = Path()
    force: bool = False
    licence: str = ""
    prune: float | None = None
    """Share of the multiply-accumulates to remove first; of a language model, of its layers."""
    importance: Importance = "activations"
    """What pruning judges channels by."""
    multiple: int = 0
    """Numbers of channels are made multiples of this; 0: of what suits the boards."""
    context: int = 0
    """Of a language model: tokens of conversation its memory is reckoned with; 0 leaves it to edgekit."""
    imatrix: Path | None = None
    """Of a language model: text that says which columns of its weights matter."""
    memory_bytes: int = 0
    """Of the very board, where it is sold in several sizes."""

    def pruning(self, boards: Sequence[Device]) -> Pruning | None:
        """What is to be taken out of a model for these boards."""
        if self.prune is None:
            return None
        multiples = (self.multiple,) if self.multiple else multiples_for(boards, self.recipe)
        return Pruning(share=self.prune, importance=self.importance, multiples=multiples)

    def of_language(self) -> LanguageRequest:
        """What of it is meant for a language model."""
        return LanguageRequest(
            precision=self.recipe.precision,
            output=self.output,
            force=self.force,
            licence=self.licence,
            prune=self.prune,
            context=self.context,
            imatrix=self.imatrix,
            memory_bytes=self.memory_bytes,
        )

    def __post_init__(self) -> None:
        budget = self.recipe.max_drop
        if budget is not None and self.evaluate is None:
            raise UsageError("a largest drop was given, but no data to measure it on", "add --evaluate DATA")
        if self.importance == "taylor":
            raise UsageError("judging channels by gradients needs PyTorch", f"{TRAINING} --importance taylor")
        if budget is not None and not 0 <= budget < 1:
            raise UsageError(f"the largest drop is {budget:g}", "give a share between 0 and 1: 0.01 is one point")
