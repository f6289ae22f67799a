"""The training loop of the tiny language model: by steps, or for so many seconds, on any device of PyTorch's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.train.tinylm_network import Sizes, build

if TYPE_CHECKING:
    from torch import Tensor, nn

BLOCK, HELD_EVERY = 4096, 20
"""Tokens: of every 20 blocks of so many, one is held back to measure on."""
WINDOWS = 64
"""How many stretches of the held text are measured at most."""
LOOKS = 20
"""How often a run by steps looks at the held text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TinySettings:
    """Everything that decides the result, beside the text. With `seconds`, the clock ends the run and two are not quite alike."""

    steps: int = 600
    seconds: float = 0.0
    batch: int = 8
    learning_rate: float = 3e-3
    warm_up: float = 0.05
    """Share of the run in which the learning rate rises."""
    weight_decay: float = 0.1
    dropout: float = 0.0
    seed: int = 1
    threads: int = 2
    device: str = "cpu"
    bfloat16: bool = False
    precision: str = "q8_0"
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The weights that did best on held text, after how many steps and seconds; losses in nats a piece."""

    weights: Mapping[str, Tensor]
    train: float
    validation: float
    kept_at_step: int
    steps: int
    seconds: float

    @property
    def losses(self) -> dict[str, float]:
        """As the report has them."""
        return {"train": round(self.train, 4), "validation": round(self.validation, 4)}


def parted(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """What is learnt from, and what is measured on: blocks from all over the text."""
    torch = need("torch")
    size = min(BLOCK, max(1, len(tokens) // HELD_EVERY))
    blocks = tokens.split(size)
    held = [block for at, block in enumerate(blocks) if at % HELD_EVERY == HELD_EVERY - 1] or [blocks[-1]]
    learnt = [block for at, block in enumerate(blocks) if at % HELD_EVERY != HELD_EVERY - 1]
    return torch.cat(learnt), torch.cat(held)


def trained(
    tokens: Tensor,
    held: Tensor,
    settings: TinySettings,
    *,
    progress: Progress = silent,
    every_s: float = 25.0,
    looked: Callable[[Kept], None] = lambda kept: None,
) -> Kept:
    """Train a fresh network. `looked` is told the best so far, every `every_s` seconds of a run by the clock and at the end."""
    torch = need("torch")
    network = build(settings.sizes, settings.seed, settings.dropout).to(settings.device)
    tokens, held = tokens.to(settings.device), held.to(settings.device)
    chance = torch.Generator().manual_seed(settings.seed)
    optimiser = _optimiser(network, settings)
    started = looked_at = time.monotonic()
    kept, mean, step, share = None, math.log(settings.sizes.vocabulary), 0, 0.0
    while share < 1:
        loss = _step(network, optimiser, _rows(tokens, settings, chance), settings, share)
        step += 1
        now = time.monotonic()
        share = (now - started) / settings.seconds if settings.seconds else step / settings.steps
        progress(Event(stage="train", done=min(1000, int(1000 * share)), total=1000))
        if share >= 1 or _is_time(settings, step, now - looked_at, every_s):
            mean, looked_at = float(loss), now
            kept = _better(kept, network, mean, measured(network, held, settings.sizes.context), step, now - started)
            looked(kept)
    assert kept is not None  # the last step looked
    return kept


def measured(network: nn.Module, held: Tensor, context: int) -> float:
    """Mean loss of a token of a text that was not learnt from."""
    torch = need("torch")
    context = min(context, len(held) - 1)
    windows = max(1, min(WINDOWS, (len(held) - 1) // context))
    rows = [held[n * context : n * context + context + 1] for n in range(windows)]
    network.eval()
    with torch.no_grad():
        found = sum(float(_cross_entropy(network, row[None])) for row in rows) / windows
    network.train()
    return found


def learning_share(share: float, warm_up: float) -> float:
    """Of the learning rate after that share of the run: up in a line, down in half a cosine to a fiftieth."""
    if share < warm_up:
        return max(share, 0.01 * warm_up) / warm_up
    done = min(1.0, (share - warm_up) / (1 - warm_up))
    return 0.02 + 0.49 * (1 + math.cos(math.pi * done))


def _optimiser(network: nn.Module, settings: TinySettings) -> Any:
    tables = [weight for weight in network.parameters() if weight.dim() == 2]
    scales = [weight for weight in network.parameters() if weight.dim() != 2]
    groups = [{"params": tables, "weight_decay": settings.weight_decay}, {"params": scales, "weight_decay": 0.0}]
    return need("torch").optim.AdamW(groups, settings.learning_rate, (0.9, 0.95))


def _rows(tokens: Tensor, settings: TinySettings, chance: Any) -> Tensor:
    """A step's text, drawn by chance: always the same chance."""
    torch = need("torch")
    length = settings.sizes.context + 1
    starts = torch.randint(len(tokens) - length, (settings.batch, 1), generator=chance).to(tokens.device)
    found: Tensor = tokens[starts + torch.arange(length, device=tokens.device)]
    return found


def _step(network: nn.Module, optimiser: Any, rows: Tensor, settings: TinySettings, share: float) -> Tensor:
    torch = need("torch")
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * learning_share(share, settings.warm_up)
    with torch.autocast(settings.device, torch.bfloat16, enabled=settings.bfloat16):
        loss = _cross_entropy(network, rows)
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return loss.detach()


def _cross_entropy(network: nn.Module, rows: Tensor) -> Tensor:
    logits = network(rows[:, :-1]).flatten(0, 1).float()
    found: Tensor = need("torch").nn.functional.cross_entropy(logits, rows[:, 1:].flatten())
    return found


def _is_time(settings: TinySettings, step: int, since_s: float, every_s: float) -> bool:
    return since_s >= every_s if settings.seconds else step % max(1, settings.steps // LOOKS) == 0


def _better(before: Kept | None, network: nn.Module, train: float, validation: float, step: int, seconds: float) -> Kept:
    if before is not None and before.validation <= validation:
        weights, train, validation, at = before.weights, before.train, before.validation, before.kept_at_step
    else:
        weights = {name: weight.detach().cpu().clone() for name, weight in network.state_dict().items()}
        at = step
    return Kept(weights=weights, train=train, validation=validation, kept_at_step=at, steps=step, seconds=seconds)
