"""The training loop: on what the pruned graph makes differently from its source, in steps measured by each filter. No label is read.

All randomness of an epoch comes from (seed, epoch) and the learning rate from the step alone, so on a CPU a run that was stopped and
resumed gives the same bits as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.core.errors import ConversionError
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Value
from edgekit.distill.agreement import Agreement
from edgekit.distill.augment import changed
from edgekit.distill.device import Supply, chosen
from edgekit.distill.match import Match, Sight, Usual, loss, seen_in, sight, spread, usual
from edgekit.distill.pictures import Feed, Samples
from edgekit.distill.settings import Settings
from edgekit.distill.units import units
from edgekit.distill.untouched import untouched
from edgekit.gradients.interpreter import TorchGraph, torch_graph
from edgekit.train.filterwise import FilterwiseAdam

if TYPE_CHECKING:
    from torch import Tensor


ROUNDING, TINY = 1e-3, 1e-12
"""Mean squared differences that are none: as a share of the mean square, and at all."""


class Epoch(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What one pass gave: the mean loss while training, the averaged weights' on the pictures held out, and how far those agree there."""

    number: int
    learning_rate: float
    train_loss: float
    held_out_loss: float
    agreement: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How good some weights are on the pictures held out: agreement with the source where its answers can be read, then the loss."""

    loss: float
    agreement: float | None

    def better_than(self, other: HeldOut, floor: float | None) -> bool:
        """By the loss, which is the finer measure; never below an agreement of `floor`, since a loss may fall where no answer gains."""
        return self.loss < other.loss and (floor is None or self.agreement is None or self.agreement >= floor)


class Trainer:
    """A distillation in progress. `state()` is everything needed to go on later, `restore()` takes it back."""

    def __init__(
        self,
        source: Graph,
        pruned: Graph,
        found: Sequence[Match],
        samples: Samples,
        settings: Settings,
        agree: Callable[[Sequence[Feed]], Agreement | None] = lambda feeds: None,
    ) -> None:
        torch = need("torch")
        torch.set_num_threads(settings.threads)
        torch.backends.cudnn.benchmark = True
        self.settings, self.device, self.shared = settings, chosen(settings.device), untouched(source, pruned)
        self.matches = tuple(one for one in found if one.name not in self.shared.made)
        self.teacher = torch_graph(source, trained=False, device=self.device)
        self.student = torch_graph(pruned, trained=True, device=self.device, fixed=self.shared.constants)
        self.supply = Supply(samples, self.device)
        self.average = {name: value.detach().clone() for name, value in self.student.parameters.items()}
        self.held, self.rest = _split(samples.count, settings)
        self.batch = settings.batch if batches_fit((self.teacher, self.student), self.supply) else 1
        self.known, self.sight = self._usual()
        self.adam = FilterwiseAdam(self.student.parameters, units(self.student, self._first()), settings.learning_rate)
        self.history: tuple[Epoch, ...] = ()
        self.best = {name: value.clone() for name, value in self.average.items()}
        self._agreement = agree([samples.single(int(place)) for place in self.held])
        self.before = self.best_score = self.score()
        self.best_epoch = 0

    def state(self) -> dict[str, Any]:
        """The run as plain tensors, numbers and strings, fit for weights-only loading."""
        return {
            **self.adam.state(),
            "average": self.average,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_score.loss,
            "best_agreement": self.best_score.agreement,
        }

    def restore(self, state: Mapping[str, Any], history: tuple[Epoch, ...]) -> None:
        """Go back to where `state` was taken. Raises what PyTorch does for weights of other names or shapes."""
        self.adam.restore(state)
        for name, value in self.average.items():
            value.copy_(state["average"][name])
            self.best[name].copy_(state["best"][name])
        self.best_score = HeldOut(loss=float(state["best_loss"]), agreement=state["best_agreement"])
        self.best_epoch, self.history = int(state["best_epoch"]), history

    def epoch(self, progress: Progress = silent) -> Epoch:
        """One pass over the pictures, then the averaged weights on those held out; they are kept when none were better."""
        number, started = len(self.history) + 1, time.perf_counter()
        mean, rate = self._pass(number, progress)
        held = self.score()
        if not math.isfinite(mean):
            raise ConversionError(f"the loss became {mean} in epoch {number}", "try a smaller --learning-rate")
        done = Epoch(
            number=number,
            learning_rate=rate,
            train_loss=mean,
            held_out_loss=held.loss,
            agreement=held.agreement,
            seconds=round(time.perf_counter() - started, 2),
        )
        if held.better_than(self.best_score, self.before.agreement):
            self.best = {name: value.clone() for name, value in self.average.items()}
            self.best_epoch, self.best_score = number, held
        self.history = (*self.history, done)
        return done

    def kept(self) -> Graph:
        """The pruned graph with the best weights so far."""
        return self._with(self.best).exported()

    def score(self) -> HeldOut:
        """The averaged weights on the pictures held out."""
        student = self._with(self.average)
        agreement = None if self._agreement is None else self._agreement.of(student.exported(), self.settings.threads)
        return HeldOut(loss=self._held_out_loss(student), agreement=agreement)

    def _held_out_loss(self, student: TorchGraph) -> float:
        with need("torch").no_grad():
            parts = [self._loss(student, self.supply.batch(places)) * len(places) for places in _parts(self.held, self.batch)]
        return sum(map(float, parts)) / len(self.held)

    def _pass(self, number: int, progress: Progress) -> tuple[float, float]:
        random = np.random.RandomState(self.settings.seed * 100_003 + number)
        parts = _parts(random.permutation(self.rest), self.batch)
        losses, rate = [], 0.0
        for index, places in enumerate(parts):
            step = (number - 1) * len(parts) + index
            rate = schedule(step / (len(parts) * self.settings.epochs), self.settings.warm_up)
            feed = self.supply.batch(places)
            if self.settings.augment:
                feed = changed(feed, self.teacher.graph.inputs, random)
            losses.append(self._step(feed, rate, step) * len(places))
            progress(Event(stage=f"epoch {number} of {self.settings.epochs}", done=index + 1, total=len(parts)))
        return sum(map(float, losses)) / len(self.rest), rate * self.settings.learning_rate

    def _step(self, feed: Mapping[str, Tensor], rate: float, step: int) -> Tensor:
        found = self._loss(self._with(self.adam.weights()), feed)
        self.adam.step(found, rate)
        keep = min(self.settings.average, (1 + step) / (10 + step))
        with need("torch").no_grad():
            for name, value in self.adam.weights().items():
                self.average[name].lerp_(value, 1 - keep)
        return found.detach()

    def _with(self, weights: Mapping[str, Tensor]) -> TorchGraph:
        """The student with these weights."""
        return TorchGraph(graph=self.student.graph, parameters=weights, fixed=self.student.fixed)

    def _loss(self, student: TorchGraph, feed: Mapping[str, Tensor]) -> Tensor:
        torch = need("torch")
        names = [one.name for one in self.matches]
        with torch.no_grad():
            wanted = self.teacher.run(feed, {*names, *self.sight.ends, *self.shared.tensors})
            places = self.sight.weights(wanted)
        begun = {**feed, **{name: wanted[name] for name in self.shared.tensors}}
        return loss(self.matches, wanted, student.run(begun, names), self.known, self.settings.emphasis, places)

    def _usual(self) -> tuple[dict[str, Usual], Sight]:
        """How each compared channel is spread in the source, and what it sees where, over the first few batches."""
        seen: dict[str, list[Usual]] = {one.name: [] for one in self.matches}
        sure = []
        with need("torch").no_grad():
            for feed in self._first():
                values = self.teacher.run(feed, {*seen, *seen_in(self.teacher.graph)})
                sure.append({name: values[name] for name in seen_in(self.teacher.graph)})
                for one in self.matches:
                    seen[one.name].append(spread(one, values[one.name]))
        return {name: usual(batches) for name, batches in seen.items()}, sight(self.teacher.graph, sure)

    def _first(self) -> Iterator[dict[str, Tensor]]:
        """The first few batches: enough to know what is usual."""
        return (self.supply.batch(places) for places in _parts(self.rest[: max(4 * self.batch, 16)], self.batch))


def batches_fit(graphs: Sequence[TorchGraph], supply: Supply) -> bool:
    """Whether two samples at once give what they give one by one: some graphs have the batch of one built in."""
    torch, places = need("torch"), (0, supply.count - 1)
    pair, singles = supply.batch(np.array(places)), [supply.batch(np.array([place])) for place in places]
    for graph in graphs:
        with torch.no_grad():
            try:
                both = graph.run(pair)
            except RuntimeError:
                return False
            alone = [graph.run(single) for single in singles]
        if not all(alike(value, torch.cat([one[name] for one in alone])) for name, value in both.items()):
            return False
    return True


def alike(made: Tensor, right: Tensor) -> bool:
    """Whether two tensors differ by rounding alone. On a GPU that is 1e-2 of the values: it multiplies with ten bits."""
    if made.shape != right.shape:
        return False
    error = float((made.double() - right.double()).square().mean())
    return error <= ROUNDING * float(right.double().square().mean()) + TINY


def schedule(share: float, warm_up: float) -> float:
    """The learning rate at `share` (0..1) of the run, as a fraction of its peak: a straight line up, half a cosine down."""
    if share < warm_up:
        return (share + 0.01) / (warm_up + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def train(trainer: Trainer, each: Callable[[Epoch], None], progress: Progress = silent, minutes: float = math.inf) -> None:
    """Run the epochs that are left, calling `each` after every one; none is begun after so many minutes."""
    end = time.monotonic() + 60 * minutes
    while len(trainer.history) < trainer.settings.epochs and time.monotonic() < end:
        each(trainer.epoch(progress))


def _split(count: int, settings: Settings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(held out, the rest): drawn by the seed, at least one of each."""
    order = np.random.RandomState(settings.seed).permutation(count)
    held = min(max(1, round(settings.held_out * count)), count - 1, 1000)
    return order[:held], order[held:]


def _parts(order: NDArray[np.int64], batch: int) -> list[NDArray[np.int64]]:
    return [order[start : start + batch] for start in range(0, len(order), batch)]
