"""What a training run is asked to do: every number that decides its result, in one value."""

from __future__ import annotations

from edgekit.core.errors import UsageError
from edgekit.core.schema import Value


class Settings(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One training run of the digit network. The same settings, data and library versions give the same weights."""

    epochs: int = 60
    batch: int = 128
    seed: int = 1
    learning_rate: float = 0.1
    """Peak of the one-cycle schedule."""
    momentum: float = 0.9
    weight_decay: float = 2e-4
    label_smoothing: float = 0.05
    ema_decay: float = 0.999
    validation: int = 5000
    """Pictures set aside from the training set; the epoch that is kept is chosen on them."""
    augment: bool = True
    bfloat16: bool = False
    """Compute in bfloat16 (weights stay float32): twice as fast on CPUs that have it, very slow on others."""
    threads: int = 1


def checked(settings: Settings) -> Settings:
    """`settings` itself, or `UsageError` naming the value that makes no sense."""
    for name in ("epochs", "batch", "validation", "threads"):
        if getattr(settings, name) < 1:
            raise UsageError(f"{name} is {getattr(settings, name)}, it must be at least 1")
    if settings.seed < 0:
        raise UsageError(f"seed is {settings.seed}, it must not be negative")
    return settings
