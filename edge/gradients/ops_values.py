"""Operators on values, one by one or along axes, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgekit.core.optional import need
from edgekit.gradients.call import Call

if TYPE_CHECKING:
    from torch import Tensor


def over_picture(reduce: str) -> Callable[[Call], list[Tensor]]:
    """A reduction over all positions of a picture, by its name in torch."""
    return lambda call: [getattr(call[0], reduce)(dim=tuple(range(2, call[0].dim())), keepdim=True)]


def reduce(name: str) -> Callable[[Call], list[Tensor]]:
    """A reduction over axes, by its name in torch."""

    def run(call: Call) -> list[Tensor]:
        given = call.numbers(1)
        axes = given or list(call.node.integers("axes")) or list(range(call[0].dim()))
        if given is None and call.node.integer("noop_with_empty_axes", 0) and "axes" not in call.node.attributes:
            return [call[0]]
        return [getattr(call[0], name)(dim=tuple(axes), keepdim=bool(call.node.integer("keepdims", 1)))]

    return run


def clip(call: Call) -> list[Tensor]:
    """Values held between two bounds."""
    return [call[0].clamp(call.at(1), call.at(2))] if call.at(1) is not None or call.at(2) is not None else [call[0]]


def fold(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Call], list[Tensor]]:
    """An operation on two tensors, applied to any number of them."""

    def run(call: Call) -> list[Tensor]:
        made = call[0]
        for index in range(1, len(call.inputs)):
            made = operation(made, call[index])
        return [made]

    return run


def one(name: str) -> Callable[[Call], list[Tensor]]:
    """A function of one tensor, by its name in torch."""
    return lambda call: [getattr(need("torch"), name)(call[0])]


def functional(name: str, **attributes: tuple[str, float]) -> Callable[[Call], list[Tensor]]:
    """A function of torch.nn.functional; its keywords come from the node's attributes, with ONNX's defaults."""

    def run(call: Call) -> list[Tensor]:
        given = {key: call.node.number(attribute, default) for key, (attribute, default) in attributes.items()}
        return [getattr(need("torch").nn.functional, name)(call[0], **given)]

    return run


def softmax(name: str) -> Callable[[Call], list[Tensor]]:
    """Softmax or its logarithm."""
    return lambda call: [getattr(need("torch"), name)(call[0], call.node.integer("axis", -1))]


def hard_sigmoid(call: Call) -> list[Tensor]:
    """A straight line between 0 and 1."""
    return [(call[0] * call.node.number("alpha", 0.2) + call.node.number("beta", 0.5)).clamp(0, 1)]


def gelu(call: Call) -> list[Tensor]:
    """x times the normal distribution function of x."""
    return [need("torch").nn.functional.gelu(call[0], approximate=call.node.text("approximate", "none"))]


def prelu(call: Call) -> list[Tensor]:
    """A slope of its own below zero for each channel."""
    return [need("torch").where(call[0] < 0, call[0] * call[1], call[0])]


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Division; of integers towards zero, as ONNX has it."""
    return a / b if a.is_floating_point() else need("torch").div(a, b, rounding_mode="trunc")


def cast(call: Call) -> list[Tensor]:
    """Another type of number."""
    torch, made = need("torch"), call.graph.specs[call.node.output].dtype
    kinds = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "int32": torch.int32, "bool": torch.bool}
    if made not in kinds:
        raise call.unsupported(f"to {made}")
    return [call[0].to(kinds[made])]


def mean(call: Call) -> list[Tensor]:
    """The mean of several tensors."""
    total = fold(lambda a, b: a + b)(call)[0]
    return [total / len(call.inputs)]
