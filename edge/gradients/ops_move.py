"""Operators that only move values, in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.core.optional import need
from edgekit.gradients.call import Call

if TYPE_CHECKING:
    from torch import Tensor


def reshape(call: Call) -> list[Tensor]:
    """To the static shape of the output, with as many samples as there are where the graph has one."""
    before, after = call.shape(call.node.inputs[0]), list(call.shape(call.node.output))
    if before and after and before[0] == 1 == after[0]:
        after[0] = call[0].shape[0]
    return [call[0].reshape(after)]


def expand(call: Call) -> list[Tensor]:
    """Axes of one repeated."""
    after = list(call.shape(call.node.output))
    if after and call[0].dim() == len(after) and after[0] == 1:
        after[0] = call[0].shape[0]
    return [call[0].expand(after)]


def transpose(call: Call) -> list[Tensor]:
    """Axes in another order."""
    return [call[0].permute(call.node.integers("perm", tuple(reversed(range(call[0].dim())))))]


def squeeze(call: Call) -> list[Tensor]:
    """Axes of one dropped."""
    axes = call.numbers(1)
    if axes is None:
        axes = [axis for axis, size in enumerate(call.shape(call.node.inputs[0])) if size == 1]
    return [call[0].squeeze(tuple(axes))]


def unsqueeze(call: Call) -> list[Tensor]:
    """Axes of one put in."""
    rank, x = len(call.shape(call.node.output)), call[0]
    for axis in sorted(axis % rank for axis in call.numbers(1) or ()):
        x = x.unsqueeze(axis)
    return [x]


def concat(call: Call) -> list[Tensor]:
    """Tensors one after the other."""
    return [need("torch").cat([x for x in call.inputs if x is not None], call.node.integer("axis", 0))]


def split(call: Call) -> list[Tensor]:
    """A tensor in parts."""
    axis = call.node.integer("axis", 0)
    return list(call[0].split([call.shape(name)[axis] for name in call.node.outputs], axis))


def slices(call: Call) -> list[Tensor]:
    """Parts of axes by constant bounds."""
    starts, ends = call.numbers(1), call.numbers(2)
    if starts is None or ends is None:
        raise call.unsupported("with computed bounds")
    axes, steps = call.numbers(3) or list(range(len(starts))), call.numbers(4) or [1] * len(starts)
    x = call[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        places = range(size)[slice(start, None if step < 0 and end < -size else end, step)]
        x = (
            x.index_select(axis, need("torch").tensor(places, dtype=need("torch").long, device=x.device))
            if step < 0
            else _ahead(x, axis, places)
        )
    return [x]


def _ahead(x: Tensor, axis: int, places: range) -> Tensor:
    index: list[Any] = [slice(None)] * x.dim()
    index[axis] = slice(places.start, max(places.stop, places.start), places.step)
    return x[tuple(index)]


def gather(call: Call) -> list[Tensor]:
    """Positions picked along an axis."""
    axis, index = call.node.integer("axis", 0), call[1].long()
    axis %= call[0].dim()
    flat = call[0].index_select(axis, need("torch").remainder(index.reshape(-1), call[0].shape[axis]))
    return [flat.reshape(*call[0].shape[:axis], *index.shape, *call[0].shape[axis + 1 :])]


def pad(call: Call) -> list[Tensor]:
    """Values around a tensor."""
    pads, mode = call.numbers(1), call.node.text("mode", "constant")
    if pads is None or call.numbers(3) is not None or min(pads) < 0 or mode not in ("constant", "reflect", "edge"):
        raise call.unsupported(f"with mode {mode} or computed or negative widths")
    rank = call[0].dim()
    around = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])]
    if mode != "constant":
        around = around[: 2 * (rank - 2)]
        return [need("torch").nn.functional.pad(call[0], around, mode={"edge": "replicate"}.get(mode, mode))]
    return [need("torch").nn.functional.pad(call[0], around, value=call.value(2, 0.0))]


def resize(call: Call) -> list[Tensor]:
    """The forms that PyTorch has: nearest by whole steps, and linear with half-pixel centres or aligned corners."""
    functional, node = need("torch").nn.functional, call.node
    mode, place = node.text("mode", "nearest"), node.text("coordinate_transformation_mode", "half_pixel")
    before, size = call.shape(node.inputs[0]), call.shape(node.output)
    whole = all(new % old == 0 for new, old in zip(size, before, strict=True))
    if mode == "nearest" and whole and place in ("asymmetric", "half_pixel", "pytorch_half_pixel"):
        return [functional.interpolate(call[0], size=size[2:], mode="nearest")]
    if mode == "linear" and len(size) == 4 and place in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return [functional.interpolate(call[0], size=size[2:], mode="bilinear", align_corners=place == "align_corners")]
    raise call.unsupported(f"with mode {mode} and {place}")


def depth_to_space(call: Call) -> list[Tensor]:
    """Channels to blocks of pixels."""
    x, block = call[0], call.node.integer("blocksize", 1)
    count, channels, height, width = x.shape
    if call.node.text("mode", "DCR") == "CRD":
        return [need("torch").nn.functional.pixel_shuffle(x, block)]
    parts = x.reshape(count, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return [parts.reshape(count, channels // block**2, height * block, width * block)]


def space_to_depth(call: Call) -> list[Tensor]:
    """Blocks of pixels to channels."""
    x, block = call[0], call.node.integer("blocksize", 1)
    count, channels, height, width = x.shape
    parts = x.reshape(count, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return [parts.reshape(count, channels * block**2, height // block, width // block)]
