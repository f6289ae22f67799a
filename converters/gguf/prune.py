"""Depth pruning: whole layers out, those behind them moved up."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from edgekit.converters.gguf.model import LanguageModel, WeightTensor
from edgekit.core.errors import UsageError
from edgekit.core.gguf_file import ARRAY, Typed

LEAST_LAYERS = 1
_LAYER = re.compile(r"blk\.(\d+)\.(.*)")


def pruned(model: LanguageModel, share: float, influence: Sequence[float]) -> LanguageModel:
    """The model without that share of its layers, those of least influence. Raises `UsageError` when none would be left."""
    layers = int(model.number("block_count"))
    count = round(share * layers)
    if count == 0:
        raise UsageError(f"--prune {share:.0%} of {layers} layers is less than one layer", f"--prune {1 / layers:.0%} is one")
    return without_layers(model, sorted(range(layers), key=lambda layer: influence[layer])[:count])


def without_layers(model: LanguageModel, removed: Collection[int]) -> LanguageModel:
    """The model without those layers. Raises `UsageError` for a layer it does not have, and when none would be left."""
    layers = int(model.number("block_count"))
    strange = sorted(layer for layer in removed if not 0 <= layer < layers)
    if strange:
        raise UsageError(f"there is no layer {strange[0]}: the model has {layers}, numbered from 0")
    kept = [layer for layer in range(layers) if layer not in removed]
    if len(kept) < LEAST_LAYERS:
        raise UsageError(f"pruning {layers} of {layers} layers would leave no model", "keep some: --prune 25%")
    moved = {layer: index for index, layer in enumerate(kept)}
    gone = ", ".join(map(str, sorted(removed)))
    return replace(
        model,
        values={key: _value(model, key, value, kept) for key, value in model.values.items()},
        tensors=tuple(each for tensor in model.tensors if (each := _tensor(tensor, moved)) is not None),
        notes=(*model.notes, f"pruned without training: layers {gone} of {layers} were removed"),
    )


def _tensor(tensor: WeightTensor, moved: dict[int, int]) -> WeightTensor | None:
    found = _LAYER.fullmatch(tensor.name)
    if found is None:
        return tensor
    layer = int(found[1])
    return replace(tensor, name=f"blk.{moved[layer]}.{found[2]}") if layer in moved else None


def _value(model: LanguageModel, key: str, value: Typed, kept: Sequence[int]) -> Typed:
    """The count of layers, and lists with a figure for each layer."""
    if key == f"{model.architecture}.block_count":
        return replace(value, value=len(kept))
    layers = int(model.number("block_count"))
    if value.type == ARRAY and key.startswith(f"{model.architecture}.") and len(value.value) == layers:
        return replace(value, value=tuple(value.value[layer] for layer in kept))
    return value
