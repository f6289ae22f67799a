"""The person detector as a table of layers: PyTorch trains it and the ONNX writer writes it from the same table.

The layout is that of YOLOX-Nano (Ge et al., arXiv:2107.08430; Apache-2.0): a backbone of five stages, a pyramid of three levels, and on
each level a branch for the class and one for box and objectness. Two things differ: one strided convolution does what four slices
and a convolution did, and there is a single class. SiLU stays (a logistic and a product, which integer engines have), so that the
student can begin exactly as its teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Tensor

INPUT = "images"
STRIDES = (8, 16, 32)
STAGES = ((32, 1), (64, 3), (128, 3), (256, 1))
"""Channels of each stage behind the first convolution, and how many bottlenecks it has."""
HEAD = 64
POOL = 5


class Layer(NamedTuple):
    """One step. `inputs` are names of earlier steps; a convolution pads by half its kernel (the first one, 6x6, by two)."""

    name: str
    op: Literal["conv", "cat", "add", "pool", "up"]
    inputs: tuple[str, ...]
    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    active: bool = True
    """Whether SiLU follows (convolutions only)."""

    @property
    def pad(self) -> int:
        """Zeros on each side."""
        return (self.kernel - 1) // 2


class Detector(NamedTuple):
    """All layers in order; `pyramid` names the features, `maps` the outputs: for each stride (box 4, objectness 1, classes)."""

    layers: tuple[Layer, ...]
    pyramid: tuple[str, ...]
    maps: tuple[tuple[str, str, str], ...]

    def convolutions(self) -> tuple[Layer, ...]:
        """The layers that have weights."""
        return tuple(layer for layer in self.layers if layer.op == "conv")

    def inputs_of(self, layer: Layer) -> int:
        """Channels that go into a layer."""
        known = {INPUT: 3} | {earlier.name: earlier.channels for earlier in self.layers}
        return sum(known[name] for name in layer.inputs)


class _Table:
    """Grows by one layer a call; every call gives the name of the layer it added last."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name

    def channels(self, name: str) -> int:
        return next(layer.channels for layer in self.layers if layer.name == name)

    def conv(self, name: str, source: str, channels: int, *, active: bool = True) -> str:
        return self.add(Layer(name, "conv", (source,), channels, active=active))

    def separable(self, name: str, source: str, channels: int, stride: int = 1) -> str:
        """A 3x3 convolution of each channel for itself, then a 1x1 over all of them."""
        own = self.channels(source)
        spread = self.add(Layer(f"{name}_depthwise", "conv", (source,), own, kernel=3, stride=stride, groups=own))
        return self.conv(f"{name}_pointwise", spread, channels)

    def cat(self, name: str, *sources: str) -> str:
        return self.add(Layer(name, "cat", sources, sum(map(self.channels, sources))))

    def up(self, name: str, source: str) -> str:
        return self.add(Layer(name, "up", (source,), self.channels(source)))

    def stage(self, name: str, source: str, channels: int, bottlenecks: int = 1, *, shortcut: bool = False) -> str:
        """Half the channels go through bottlenecks, half go past them, and a 1x1 joins both."""
        half = channels // 2
        inner, past = self.conv(f"{name}_inner", source, half), self.conv(f"{name}_past", source, half)
        for number in range(bottlenecks):
            block = f"{name}_block{number}"
            out = self.separable(block, self.conv(f"{block}_reduce", inner, half), half)
            inner = self.add(Layer(f"{block}_add", "add", (out, inner), half)) if shortcut else out
        return self.conv(f"{name}_join", self.cat(f"{name}_both", inner, past), channels)

    def pools(self, name: str, source: str, channels: int) -> str:
        """The picture at four coarsenesses: pools of 5 after one another see 5, 9 and 13 cells."""
        seen = [self.conv(f"{name}_reduce", source, channels // 2)]
        for number in range(3):
            seen.append(self.add(Layer(f"{name}_pool{number}", "pool", (seen[-1],), channels // 2, kernel=POOL)))
        return self.conv(f"{name}_join", self.cat(f"{name}_all", *seen), channels)

    def head(self, name: str, source: str, classes: int) -> tuple[str, str, str]:
        """Names of box, objectness and class maps of one level."""
        stem = self.conv(f"{name}_stem", source, HEAD)
        branch = self.separable(f"{name}_class1", self.separable(f"{name}_class0", stem, HEAD), HEAD)
        kinds = self.conv(f"{name}_classes", branch, classes, active=False)
        branch = self.separable(f"{name}_box1", self.separable(f"{name}_box0", stem, HEAD), HEAD)
        box = self.conv(f"{name}_box", branch, 4, active=False)
        return box, self.conv(f"{name}_objectness", branch, 1, active=False), kinds


def detector(classes: int = 1) -> Detector:
    """The table of a detector of so many classes."""
    table = _Table()
    source = table.add(Layer("stem", "conv", (INPUT,), 16, kernel=6, stride=2))
    backbone = []
    for number, (channels, bottlenecks) in enumerate(STAGES):
        name, last = f"stage{number}", number == len(STAGES) - 1
        source = table.separable(f"{name}_down", source, channels, stride=2)
        source = table.pools(f"{name}_pools", source, channels) if last else source
        source = table.stage(name, source, channels, bottlenecks, shortcut=not last)
        backbone.append(source)
    pyramid = _pyramid(table, *backbone[1:])
    maps = tuple(table.head(f"head{stride}", level, classes) for stride, level in zip(STRIDES, pyramid, strict=True))
    return Detector(tuple(table.layers), (*backbone[1:], *pyramid), maps)


def _pyramid(table: _Table, fine: str, middle: str, coarse: str) -> tuple[str, str, str]:
    """From the coarse level up and down again, so that each level knows of the others."""
    lateral = table.conv("up16_reduce", coarse, table.channels(middle))
    joined = table.cat("up16_both", table.up("up16", lateral), middle)
    reduced = table.conv("up8_reduce", table.stage("up16_stage", joined, table.channels(middle)), table.channels(fine))
    joined = table.cat("up8_both", table.up("up8", reduced), fine)
    first = table.stage("level8", joined, table.channels(fine))
    joined = table.cat("down16_both", table.separable("down16", first, table.channels(fine), stride=2), reduced)
    second = table.stage("level16", joined, table.channels(middle))
    joined = table.cat("down32_both", table.separable("down32", second, table.channels(middle), stride=2), lateral)
    return first, second, table.stage("level32", joined, table.channels(coarse))


class Answer(NamedTuple):
    """What a detector gives: `maps` [N, 5 + classes, h, w] of each stride, as they come (logits), and the pyramid's features."""

    maps: tuple[Tensor, ...]
    features: tuple[Tensor, ...]


Weights = Mapping[str, "Tensor"]


def answer(table: Detector, weights: Weights, images: Tensor) -> Answer:
    """Run the table on pictures [N, 3, H, W] (blue, green, red, 0..255)."""
    torch = need("torch")
    known: dict[str, Tensor] = {INPUT: images}
    for layer in table.layers:
        known[layer.name] = _step(layer, [known[name] for name in layer.inputs], weights)
    maps = tuple(torch.cat([known[name] for name in level], 1) for level in table.maps)
    return Answer(maps, tuple(known[name] for name in table.pyramid))


def _step(layer: Layer, sources: Sequence[Tensor], weights: Weights) -> Tensor:
    torch = need("torch")
    functional = torch.nn.functional
    first = sources[0]
    if layer.op == "conv":
        kernel, bias = weights[f"{layer.name}.weight"], weights[f"{layer.name}.bias"]
        made = functional.conv2d(first, kernel, bias, layer.stride, layer.pad, 1, layer.groups)
        return functional.silu(made) if layer.active else made
    if layer.op == "pool":
        return functional.max_pool2d(first, layer.kernel, 1, layer.pad)
    if layer.op == "up":
        return functional.interpolate(first, scale_factor=2.0, mode="nearest")
    joined: Tensor = torch.cat(list(sources), 1) if layer.op == "cat" else first + sources[1]
    return joined
