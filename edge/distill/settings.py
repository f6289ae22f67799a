"""What a distillation is asked to do: every number that decides its result, in one value."""

from __future__ import annotations

from typing import Literal

from edgekit.core.errors import UsageError
from edgekit.core.schema import Value

DEVICES = ("auto", "cpu", "cuda")


class Settings(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One distillation. On a CPU the same settings, graphs, pictures and library versions give the same weights."""

    importance: Literal["weights", "activations", "taylor"] = "activations"
    """What pruning judges channels by: their weights, what is seen of them, or the gradients of the last layers' answers."""
    multiple: int = 8
    """Channels are kept in multiples of this; 16 or 32 suit tensor cores in int8."""
    epochs: int = 20
    batch: int = 32
    seed: int = 1
    learning_rate: float = 1e-2
    """Of a weight, as a share of its filter's root mean square, at the peak of the cosine schedule of Adam."""
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    features: float = 0.2
    """Weight of the layers inside against the last layers."""
    average: float = 0.99
    """Of the weights so far in the running average that is kept."""
    held_out: float = 0.1
    """Share of the pictures that the kept epoch is chosen on."""
    augment: bool = False
    """Show pictures mirrored, moved, scaled, recoloured and in fours as well; the source answers for each."""
    emphasis: float = 0.0
    """How much more the source's unusual answers count, per squared standard deviation."""
    threads: int = 1
    device: str = "auto"
    """auto, cpu or cuda. On a GPU two runs differ in the last bits, and so in their weights."""


def checked(settings: Settings) -> Settings:
    """`settings` itself, or `UsageError` naming the value that makes no sense."""
    for name in ("epochs", "batch", "threads", "multiple"):
        if getattr(settings, name) < 1:
            raise UsageError(f"{name} is {getattr(settings, name)}, it must be at least 1")
    if settings.device not in DEVICES:
        raise UsageError(f"there is no device {settings.device!r}", " | ".join(DEVICES))
    if not 0 <= settings.emphasis <= 100:
        raise UsageError(f"the emphasis is {settings.emphasis:g}, it must lie between 0 and 100", "1 is much")
    if settings.seed < 0:
        raise UsageError(f"seed is {settings.seed}, it must not be negative")
    if not 0 < settings.learning_rate < 1:
        raise UsageError(f"the learning rate is {settings.learning_rate:g}, it must lie between 0 and 1", "1e-2 is usual")
    return settings
