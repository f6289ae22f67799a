"""Distillation of the person detector: on every scene the teacher says, cell by cell, how surely a person is there and in which box.

The student begins as its teacher. It is shown each scene as a bad camera sees it, and the teacher as it is: its answers are drawn to the
teacher's scores and boxes, and its features to the teacher's, which teaches more of the world than people alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edgekit.core.optional import need
from edgekit.train.persons_augment import Limits, Pictures, scenes, seen_badly
from edgekit.train.persons_network import STRIDES, Answer, answer, detector
from edgekit.train.persons_teacher import CLASSES, PERSON, for_persons

if TYPE_CHECKING:
    from torch import Generator, Tensor

OBJECTNESS, FIRST_CLASS = 4, 5
BELIEVED = 0.1
"""Score of the teacher from which its box is taught."""
STEEPEST = 5.0
"""Length to which a gradient is cut; a step whose gradient is not finite is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the result, beside pictures and teacher. Without `seconds` the run ends after `steps`."""

    steps: int = 300
    seconds: float = 0.0
    batch: int = 16
    height: int = 256
    width: int = 320
    learning_rate: float = 1e-5
    """Small: 8 steps at ten times as much took the student farther from its teacher than it began."""
    warm_up: float = 0.05
    """Share of the run in which the learning rate grows."""
    weight_decay: float = 1e-4
    averaging: float = 0.99
    likeness: float = 1.0
    """Weight of the features' likeness in the loss."""
    boxes: float = 2.0
    seed: int = 1
    limits: Limits = field(default_factory=Limits)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"limits": self.limits._asdict()}


class Losses(NamedTuple):
    """The parts of a step's loss."""

    scores: Tensor
    boxes: Tensor
    likeness: Tensor


class Step(NamedTuple):
    """How far the run is: the number of steps, the share of the whole run, and the losses of the last step."""

    number: int
    share: float
    losses: dict[str, float]


class Distillation:
    """A run in progress. `weights` are those being trained, `average` their running mean, which is what is kept."""

    def __init__(self, recipe: Recipe, teacher: dict[str, Tensor], device: str = "cpu") -> None:
        torch = need("torch")
        self.recipe, self.device, self.number, self.spent_s = recipe, torch.device(device), 0, 0.0
        self.teacher = {name: tensor.to(self.device) for name, tensor in teacher.items()}
        self.weights = {name: tensor.requires_grad_() for name, tensor in for_persons(self.teacher).items()}
        self.average = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        kernels = [tensor for tensor in self.weights.values() if tensor.dim() == 4]
        biases = [tensor for tensor in self.weights.values() if tensor.dim() == 1]
        groups = [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": biases, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
        self.tables = detector(CLASSES), detector(1)
        self.chance: Generator = torch.Generator(device=self.device).manual_seed(recipe.seed)

    def state(self) -> dict[str, Any]:
        """The run as tensors and numbers, fit for weights-only loading."""
        return {
            "weights": {name: tensor.detach() for name, tensor in self.weights.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "chance": self.chance.get_state(),
            "number": self.number,
            "spent_s": self.spent_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        need("torch")._foreach_copy_([tensor.data for tensor in self.weights.values()], list(state["weights"].values()))
        self.average = dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.chance.set_state(state["chance"])
        self.number, self.spent_s = state["number"], state["spent_s"]

    def share(self) -> float:
        """Of the run that is done, by the clock or by the count."""
        recipe = self.recipe
        if recipe.seconds:
            return min(self.spent_s / recipe.seconds, 1.0)
        return min(self.number / recipe.steps, 1.0) if recipe.steps else 1.0

    def train(self, pictures: Pictures, odds: Tensor, each: Callable[[Step], None]) -> None:
        """Take steps until the run is over; `odds` [N] are how often each picture is drawn. `each` is called after every step."""
        pictures = Pictures(pictures.canvases.to(self.device), pictures.sizes.to(self.device))
        odds = odds.to(self.device)
        while self.share() < 1:
            begun = time.perf_counter()
            losses = self.step(*self._drawn(pictures, odds))
            self.spent_s += time.perf_counter() - begun
            each(Step(self.number, self.share(), losses))

    def _drawn(self, pictures: Pictures, odds: Tensor) -> tuple[Tensor, Tensor]:
        """A batch of scenes as they are, and as bad cameras see them."""
        recipe = self.recipe
        rows = odds.multinomial(recipe.batch * 4, replacement=True, generator=self.chance).view(-1, 4)
        clean = scenes(pictures, rows, (recipe.height, recipe.width), self.chance, recipe.limits)
        form = need("torch").channels_last
        seen = seen_badly(clean, self.chance, recipe.limits)
        return clean.contiguous(memory_format=form), seen.contiguous(memory_format=form)

    def step(self, clean: Tensor, seen: Tensor) -> dict[str, float]:
        """One update of the weights; the losses before it."""
        torch = need("torch")
        self._pace()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            with torch.no_grad():
                taught = answer(self.tables[0], self.teacher, clean)
            given = answer(self.tables[1], self.weights, seen)
        found = losses(given, taught)
        total = found.scores + self.recipe.boxes * found.boxes + self.recipe.likeness * found.likeness
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        length = torch.nn.utils.clip_grad_norm_(list(self.weights.values()), STEEPEST)
        if bool(torch.isfinite(length)):
            self.optimizer.step()
        self._average()
        return {name: float(value.detach()) for name, value in found._asdict().items()}

    def _pace(self) -> None:
        done, recipe = self.share(), self.recipe
        rate = done / recipe.warm_up if done < recipe.warm_up else (1 + math.cos(math.pi * done)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * max(rate, 0.01)

    def _average(self) -> None:
        """Move the mean a little towards the current weights, at first a lot."""
        torch = need("torch")
        self.number += 1
        keep = min(self.recipe.averaging, self.number / (10 + self.number))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - keep)


def losses(given: Answer, taught: Answer) -> Losses:
    """How far the student's answers and features are from the teacher's."""
    scores, boxes, weight = [], [], []
    for mine, theirs, stride in zip(given.maps, taught.maps, STRIDES, strict=True):
        mine, theirs = mine.float(), theirs.float()
        wanted = theirs[:, OBJECTNESS].sigmoid() * theirs[:, FIRST_CLASS + PERSON].sigmoid()
        scores.append(_score_loss(mine, wanted))
        believed = wanted * (wanted >= BELIEVED)
        boxes.append((_box_loss(mine[:, :4], theirs[:, :4], stride) * believed).sum())
        weight.append(believed.sum())
    people = sum(weight).clamp(min=1.0)
    alike = [_unlikeness(mine, theirs) for mine, theirs in zip(given.features, taught.features, strict=True)]
    return Losses(sum(scores) / people, sum(boxes) / people, sum(alike) / len(alike))


def _score_loss(mine: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of each cell, weighted by how far off it is (Li et al., "Generalized Focal Loss", arXiv:2006.04388)."""
    torch = need("torch")
    log = torch.nn.functional.logsigmoid(mine[:, OBJECTNESS]) + torch.nn.functional.logsigmoid(mine[:, FIRST_CLASS])
    score = log.exp().clamp(max=1 - 1e-5)
    entropy = -(wanted * log.clamp(min=-20) + (1 - wanted) * torch.log1p(-score))
    found: Tensor = ((score.detach() - wanted).abs() ** 1.5 * entropy).sum()
    return found


def _box_loss(mine: Tensor, theirs: Tensor, stride: int) -> Tensor:
    """[N, h, w]: one minus the overlap of both boxes of a cell, and a share of how far apart their four numbers are."""
    torch = need("torch")
    apart = (mine - theirs).abs().mean(1)
    lows, highs, areas = [], [], []
    for box in (mine, theirs):
        half = box[:, 2:].clamp(max=8).exp() / 2
        lows.append(box[:, :2] - half)
        highs.append(box[:, :2] + half)
        areas.append((2 * half).prod(1))
    shared = (torch.minimum(*highs) - torch.maximum(*lows)).clamp(min=0).prod(1)
    overlap = shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)
    found: Tensor = 1 - overlap + 0.5 * apart
    return found


def _unlikeness(mine: Tensor, theirs: Tensor) -> Tensor:
    """Mean squared difference, as a share of the teacher's variance in each channel (of quiet channels, of all channels too)."""
    mine, theirs = mine.float(), theirs.float()
    spread = theirs.var((0, 2, 3), keepdim=True)
    spread = spread + 0.1 * spread.mean() + 1e-6
    found: Tensor = ((mine - theirs) ** 2 / spread).mean()
    return found


def held_back(run: Distillation, pictures: Pictures, rows: Tensor) -> dict[str, float]:
    """The losses of the averaged weights on pictures that nothing was learnt from, seen by bad cameras."""
    torch = need("torch")
    still = Limits(smallest=1.0, largest=1.0 + 1e-6, stretch=0.0, turn_degrees=0.0, mosaic_share=0.0)
    chance = torch.Generator(device=run.device).manual_seed(run.recipe.seed)
    sums: dict[str, float] = {}
    for part in rows.split(run.recipe.batch):
        chosen = Pictures(pictures.canvases[part].to(run.device), pictures.sizes[part].to(run.device))
        order = torch.arange(len(part), device=run.device)[:, None].expand(-1, 4)
        clean = scenes(chosen, order, (run.recipe.height, run.recipe.width), chance, still)
        seen = seen_badly(clean, chance, run.recipe.limits)
        with torch.no_grad():
            taught = answer(run.tables[0], run.teacher, clean)
            given = answer(run.tables[1], run.average, seen)
        for name, value in losses(given, taught)._asdict().items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(rows)
    return sums
