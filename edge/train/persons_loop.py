"""Distillation of the person detector: on every scene the teacher says, cell by cell, how surely a person is there and in which box.

The student begins as its teacher. It is shown most scenes as a bad camera sees them, the teacher sees them as they are and drawn larger: the student's
answers are drawn to what the teacher says (`persons_targets`), and its features to the teacher's, which teaches more of the world than people alone.

Steps are measured by the filter that they move (`filterwise`): the first layer's are thousands of times smaller than others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from edgekit.core.optional import need
from edgekit.train.filterwise import FilterwiseAdam, unit
from edgekit.train.persons_augment import Limits, Pictures, scenes, seen_badly
from edgekit.train.persons_network import STRIDES, Answer, answer, detector
from edgekit.train.persons_targets import BELIEVED, FIRST_CLASS, OBJECTNESS, Targets, flat, targets
from edgekit.train.persons_teacher import CLASSES, for_persons

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides the result, beside pictures and teacher. Without `seconds` the run ends after `steps`."""

    steps: int = 300
    seconds: float = 0.0
    batch: int = 16
    height: int = 256
    width: int = 320
    sharpness: float = 1.5
    """How many times larger than the student the teacher sees a scene (up to the next multiple of the largest stride)."""
    learning_rate: float = 3e-4
    """Of a weight, as a share of its filter's root mean square."""
    warm_up: float = 0.1
    """Share of the run in which the learning rate grows."""
    averaging: float = 0.99
    likeness: float = 0.5
    """Weight of the features' likeness in the loss."""
    boxes: float = 2.0
    seed: int = 1
    limits: Limits = field(default_factory=Limits)

    def size(self) -> tuple[int, int]:
        """Of the student's picture: height and width."""
        return self.height, self.width

    def sharp_size(self) -> tuple[int, int]:
        """Of the larger picture that the teacher sees."""
        height, width = (math.ceil(side * self.sharpness / STRIDES[-1]) * STRIDES[-1] for side in self.size())
        return height, width

    def weighed(self, losses: Mapping[str, Any]) -> Any:
        """The one number that a run makes smaller, from the parts of its loss (numbers or tensors)."""
        return losses["scores"] + self.boxes * losses["boxes"] + self.likeness * losses["likeness"]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"limits": self.limits._asdict()}


class Scenes(NamedTuple):
    """The same scenes [N, 3, H, W] three times: large, at the student's size, and at that size as some camera, good or bad, sees them."""

    sharp: Tensor
    clean: Tensor
    seen: Tensor


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
    """A run in progress. `average` is the weights' running mean, which is kept."""

    def __init__(self, recipe: Recipe, teacher: dict[str, Tensor], device: str = "cpu") -> None:
        torch = need("torch")
        self.recipe, self.device, self.number, self.spent_s = recipe, torch.device(device), 0, 0.0
        self.teacher = {name: tensor.to(self.device) for name, tensor in teacher.items()}
        self.average = for_persons(self.teacher)
        units = {name: unit(tensor, 0 if tensor.dim() == 4 else None) for name, tensor in self.average.items()}
        self.adam = FilterwiseAdam(self.average, units, recipe.learning_rate)
        self.tables = detector(CLASSES), detector(1)
        self.chance: Generator = torch.Generator(device=self.device).manual_seed(recipe.seed)

    def state(self) -> dict[str, Any]:
        """The run as tensors and numbers, fit for weights-only loading."""
        return {
            **self.adam.state(),
            "average": self.average,
            "chance": self.chance.get_state(),
            "number": self.number,
            "spent_s": self.spent_s,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.adam.restore(state)
        self.average = dict(state["average"])
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
            losses = self.step(self._drawn(pictures, odds))
            self.spent_s += time.perf_counter() - begun
            each(Step(self.number, self.share(), losses))

    def _drawn(self, pictures: Pictures, odds: Tensor) -> Scenes:
        """A batch of scenes."""
        recipe = self.recipe
        rows = odds.multinomial(recipe.batch * 4, replacement=True, generator=self.chance).view(-1, 4)
        return shown(scenes(pictures, rows, recipe.sharp_size(), self.chance, recipe.limits), recipe, self.chance)

    def compared(self, batch: Scenes, weights: dict[str, Tensor]) -> Losses:
        """How far a student of these weights is from its teacher."""
        torch = need("torch")
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            with torch.no_grad():
                taught = answer(self.tables[0], self.teacher, batch.clean)
                sharp = answer(self.tables[0], self.teacher, batch.sharp)
            given = answer(self.tables[1], weights, batch.seen)
        return losses(given, taught, targets(taught.maps, sharp.maps))

    def step(self, batch: Scenes) -> dict[str, float]:
        """One update of the weights; the losses before it."""
        found = self.compared(batch, self.adam.weights())
        self.adam.step(self.recipe.weighed(found._asdict()), self._pace())
        self._average()
        return {name: float(value.detach()) for name, value in found._asdict().items()}

    def _pace(self) -> float:
        """The learning rate now, as a share of its peak: a straight line up, half a cosine down."""
        done, warm_up = self.share(), self.recipe.warm_up
        return max(done / warm_up if done < warm_up else (1 + math.cos(math.pi * done)) / 2, 0.01)

    def _average(self) -> None:
        """Move the mean a little towards the current weights, at first a lot."""
        torch = need("torch")
        self.number += 1
        keep = min(self.recipe.averaging, self.number / (10 + self.number))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.adam.weights().values()), 1 - keep)


def shown(sharp: Tensor, recipe: Recipe, chance: Generator) -> Scenes:
    """Large scenes as the student's teacher and the student see them."""
    torch = need("torch")
    clean = torch.nn.functional.interpolate(sharp, recipe.size(), mode="bilinear", antialias=True)
    parts = sharp, clean, seen_badly(clean, chance, recipe.limits)
    return Scenes(*(part.contiguous(memory_format=torch.channels_last) for part in parts))


def losses(given: Answer, taught: Answer, wanted: Targets) -> Losses:
    """How far the student's answers are from what it is taught, and its features from the teacher's."""
    mine = flat(given.maps)
    believed = wanted.scores * (wanted.scores >= BELIEVED)
    people = believed.sum().clamp(min=1.0)
    boxes = (_box_loss(mine[..., :4], wanted.boxes) * believed).sum()
    alike = [_unlikeness(mine, theirs) for mine, theirs in zip(given.features, taught.features, strict=True)]
    return Losses(_score_loss(mine, wanted.scores) / people, boxes / people, sum(alike) / len(alike))


def _score_loss(mine: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of each cell, weighted by how far off it is (Li et al., "Generalized Focal Loss", arXiv:2006.04388)."""
    torch = need("torch")
    log = torch.nn.functional.logsigmoid(mine[..., OBJECTNESS]) + torch.nn.functional.logsigmoid(mine[..., FIRST_CLASS])
    score = log.exp().clamp(max=1 - 1e-5)
    entropy = -(wanted * log.clamp(min=-20) + (1 - wanted) * torch.log1p(-score))
    found: Tensor = ((score.detach() - wanted).abs() ** 1.5 * entropy).sum()
    return found


def _box_loss(mine: Tensor, theirs: Tensor) -> Tensor:
    """[N, cells]: one minus the overlap of both boxes of a cell, and a share of how far apart their four numbers are."""
    torch = need("torch")
    apart = (mine - theirs).abs().mean(2)
    lows, highs, areas = [], [], []
    for box in (mine, theirs):
        half = box[..., 2:].clamp(max=8).exp() / 2
        lows.append(box[..., :2] - half)
        highs.append(box[..., :2] + half)
        areas.append((2 * half).prod(2))
    shared = (torch.minimum(*highs) - torch.maximum(*lows)).clamp(min=0).prod(2)
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
    """The losses of the averaged weights on pictures that nothing was learnt from, seen by cameras good and bad."""
    torch = need("torch")
    still = Limits(smallest=1.0, largest=1.0 + 1e-6, stretch=0.0, turn_degrees=0.0, mosaic_share=0.0)
    chance = torch.Generator(device=run.device).manual_seed(run.recipe.seed)
    sums: dict[str, float] = {}
    for part in rows.split(run.recipe.batch):
        chosen = Pictures(pictures.canvases[part].to(run.device), pictures.sizes[part].to(run.device))
        order = torch.arange(len(part), device=run.device)[:, None].expand(-1, 4)
        batch = shown(scenes(chosen, order, run.recipe.sharp_size(), chance, still), run.recipe, chance)
        with torch.no_grad():
            found = run.compared(batch, run.average)
        for name, value in found._asdict().items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(rows)
    return sums
