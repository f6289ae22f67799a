"""Layers with weights, windows and norms, in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgekit.core.optional import need
from edgekit.gradients.call import Call

if TYPE_CHECKING:
    from torch import Tensor


def conv(call: Call) -> list[Tensor]:
    """Convolution over one to three axes, padded as the node says."""
    functional, node = need("torch").nn.functional, call.node
    rank = call[0].dim() - 2
    strides, steps = node.integers("strides", (1,) * rank), node.integers("dilations", (1,) * rank)
    x, pads = _padded(call, call[1].shape[2:], strides, steps, 0.0)
    run = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    return [run(x, call[1], call.at(2), strides, pads, steps, node.integer("group", 1))]


def _padded(
    call: Call, kernel: Sequence[int], strides: Sequence[int], steps: Sequence[int], value: float
) -> tuple[Tensor, list[int]]:
    """The input and the symmetric padding that is left to do; uneven padding is done here."""
    rank, node, x = call[0].dim() - 2, call.node, call[0]
    rule = node.text("auto_pad", "NOTSET") or "NOTSET"
    before, after = [0] * rank, [0] * rank
    if rule.startswith("SAME"):
        made = call.shape(node.output)[2:]
        sizes = zip(made, strides, kernel, steps, x.shape[2:], strict=True)
        total = [max((m - 1) * s + (k - 1) * d + 1 - n, 0) for m, s, k, d, n in sizes]
        before = [t // 2 if rule == "SAME_UPPER" else (t + 1) // 2 for t in total]
        after = [t - b for t, b in zip(total, before, strict=True)]
    elif rule == "NOTSET":
        pads = node.integers("pads", (0,) * 2 * rank)
        before, after = list(pads[:rank]), list(pads[rank:])
    if before == after and value == 0.0:
        return x, before
    around = [side for pair in zip(reversed(before), reversed(after), strict=True) for side in pair]
    return need("torch").nn.functional.pad(x, around, value=value), [0] * rank


def conv_transpose(call: Call) -> list[Tensor]:
    """Transposed convolution with even padding."""
    functional, node = need("torch").nn.functional, call.node
    rank = call[0].dim() - 2
    pads = node.integers("pads", (0,) * 2 * rank)
    if pads[:rank] != pads[rank:] or node.text("auto_pad", "NOTSET") not in ("NOTSET", "") or "output_shape" in node.attributes:
        raise call.unsupported("with uneven or automatic padding")
    run = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[rank - 1]
    more = node.integers("output_padding", (0,) * rank)
    strides, steps = node.integers("strides", (1,) * rank), node.integers("dilations", (1,) * rank)
    return [run(call[0], call[1], call.at(2), strides, pads[:rank], more, node.integer("group", 1), steps)]


def gemm(call: Call) -> list[Tensor]:
    """alpha A B + beta C."""
    node = call.node
    a = call[0].T if node.integer("transA", 0) else call[0]
    b = call[1].T if node.integer("transB", 0) else call[1]
    made = node.number("alpha", 1.0) * (a @ b)
    bias = call.at(2)
    return [made if bias is None else made + node.number("beta", 1.0) * bias]


def max_pool(call: Call) -> list[Tensor]:
    """The largest of each window of a picture."""
    functional, node = need("torch").nn.functional, call.node
    kernel = node.integers("kernel_shape")
    if len(kernel) != 2 or len(node.outputs) > 1:
        raise call.unsupported("over other than pictures, or with indices,")
    strides, steps = node.integers("strides", (1, 1)), node.integers("dilations", (1, 1))
    x, _ = _padded(call, kernel, strides, steps, -math.inf)
    ceil = bool(node.integer("ceil_mode", 0))
    for window, stride, step in _turns(kernel, strides, steps):
        x = functional.max_pool2d(x, window, stride, 0, step, ceil)
    return [x]


def _turns(kernel: Sequence[int], strides: Sequence[int], steps: Sequence[int]) -> list[tuple[Sequence[int], ...]]:
    """A large window's columns first and then its rows: the largest of the largest is the same, for 13 + 13 values instead of 169."""
    (height, width), (down, across), (far, wide) = kernel, strides, steps
    if height * width <= 2 * (height + width):
        return [(kernel, strides, steps)]
    return [((height, 1), (down, 1), (far, 1)), ((1, width), (1, across), (1, wide))]


def average_pool(call: Call) -> list[Tensor]:
    """The mean of each window of a picture."""
    functional, node = need("torch").nn.functional, call.node
    kernel, rule = node.integers("kernel_shape"), node.text("auto_pad", "NOTSET")
    pads, counted = node.integers("pads", (0, 0, 0, 0)), bool(node.integer("count_include_pad", 0))
    if (
        len(kernel) != 2
        or pads[:2] != pads[2:]
        or rule not in ("NOTSET", "VALID", "")
        or node.integers("dilations", (1, 1)) != (1, 1)
    ):
        raise call.unsupported("with uneven padding or over other than pictures")
    strides = node.integers("strides", (1, 1))
    return [functional.avg_pool2d(call[0], kernel, strides, pads[:2], bool(node.integer("ceil_mode", 0)), counted)]


def layer_norm(call: Call) -> list[Tensor]:
    """Layer normalization from an axis on."""
    axis = call.node.integer("axis", -1) % call[0].dim()
    shape = call[0].shape[axis:]
    return [need("torch").nn.functional.layer_norm(call[0], shape, call[1], call.at(2), call.node.number("epsilon", 1e-5))]


def batch_norm(call: Call) -> list[Tensor]:
    """Batch normalization with the statistics of the file."""
    run, epsilon = need("torch").nn.functional.batch_norm, call.node.number("epsilon", 1e-5)
    return [run(call[0], call[3], call[4], call[1], call[2], False, 0.0, epsilon)]


def instance_norm(call: Call) -> list[Tensor]:
    """Instance normalization."""
    run = need("torch").nn.functional.instance_norm
    return [run(call[0], weight=call[1], bias=call[2], eps=call.node.number("epsilon", 1e-5))]
