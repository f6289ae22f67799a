"""The digit network: five 3x3 or 5x5 convolutions, two poolings, a mean and one dense layer.

Only what every int8 engine runs at full speed: convolutions with channels in multiples of eight, ReLU, max pooling, a
global mean, a dense layer and a softmax. No residuals, no depthwise layers: at this size they save nothing on an Edge TPU.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import nn

CLASSES = 10
SIDE = 28


class Conv(NamedTuple):
    """A convolution with batch norm and ReLU; `pad` pixels of zeros on each side, then max pooling by `pool`."""

    name: str
    channels: int
    kernel: int
    pad: int
    pool: int = 1


LAYERS = (
    Conv("stem", 16, 5, 2, pool=2),
    Conv("stroke1", 32, 3, 1),
    Conv("stroke2", 32, 3, 1, pool=2),
    Conv("shape1", 64, 3, 1),
    Conv("shape2", 64, 3, 0),
)


def build() -> nn.Sequential:
    """The network for training: float32 [N, 1, 28, 28] with values in 0..1 (white ink) to logits [N, 10]."""
    layers = need("torch").nn
    modules: list[tuple[str, nn.Module]] = []
    channels = 1
    for layer in LAYERS:
        modules += _conv_block(layer, channels)
        channels = layer.channels
    modules += [
        ("mean", layers.AdaptiveAvgPool2d(1)),
        ("flatten", layers.Flatten()),
        ("classify", layers.Linear(channels, CLASSES)),
    ]
    network: nn.Sequential = layers.Sequential(OrderedDict(modules))
    return network


def _conv_block(layer: Conv, channels: int) -> list[tuple[str, nn.Module]]:
    """Convolution, batch norm, ReLU, and pooling where the layer pools."""
    layers = need("torch").nn
    block = [
        (f"{layer.name}", layers.Conv2d(channels, layer.channels, layer.kernel, padding=layer.pad, bias=False)),
        (f"{layer.name}_norm", layers.BatchNorm2d(layer.channels)),
        (f"{layer.name}_relu", layers.ReLU()),
    ]
    return [*block, (f"{layer.name}_pool", layers.MaxPool2d(layer.pool))] if layer.pool > 1 else block
