"""What a channel is worth by what the last layers would feel of it: the gradient of their answers times its value.

First order, per channel, squared over samples (Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, arXiv
1906.10771). There are no labels, hence no loss: the answers, each in units of its spread, are weighed with random signs, so that on the
average every one of them counts alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from edgekit.converters.ends import end_tensors
from edgekit.converters.graph import Floats, Graph
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.distill.pictures import Feed
from edgekit.gradients.interpreter import TorchGraph, torch_graph
from edgekit.gradients.tensors import tensors

if TYPE_CHECKING:
    from torch import Tensor

LOOKED_AT = 32
"""Samples; gradients of more change the order of channels little."""


def taylor(
    graph: Graph, tensors_read: Mapping[str, int], samples: Iterable[Feed], *, device: str = "cpu", progress: Progress = silent
) -> Mapping[str, Floats]:
    """For each of the tensors (name -> channel axis) what each of its channels is worth, comparable between tensors.

    Raises `Unsupported` naming an operator that has no gradient here.
    """
    net, random = torch_graph(graph, trained=False, device=device), np.random.RandomState(0)
    total = {name: np.zeros(graph.shape(name)[axis]) for name, axis in tensors_read.items()}
    for count, sample in enumerate(islice(samples, LOOKED_AT)):
        for name, worth in _of_one(net, tensors_read, sample, device, random).items():
            total[name] += worth
        progress(Event(stage="follow gradients", done=count + 1))
    return total


def _of_one(
    net: TorchGraph, read: Mapping[str, int], sample: Feed, device: str, random: np.random.RandomState
) -> Mapping[str, Floats]:
    torch = need("torch")
    ends = end_tensors(net.graph)
    feed = {name: value.requires_grad_(value.is_floating_point()) for name, value in tensors(sample, device).items()}
    values = net.run(feed, (*read, *ends))
    followed = {name: values[name] for name in read if values[name].requires_grad}
    answer = torch.stack([_weighed(values[name], axis, random) for name, axis in ends.items()]).sum()
    slopes = torch.autograd.grad(answer, list(followed.values()), allow_unused=True)
    found = zip(followed.items(), slopes, strict=True)
    return {name: _felt(value, slope, read[name]) for (name, value), slope in found if slope is not None}


def _weighed(answers: Tensor, axis: int, random: np.random.RandomState) -> Tensor:
    """The sum of the answers in units of each channel's spread, with random signs."""
    torch = need("torch")
    rows = answers.movedim(axis, -1).flatten(0, -2)
    spread = (rows.detach() - rows.detach().mean(0)).square().mean(0).sqrt()
    signs = torch.from_numpy(random.choice([-1.0, 1.0], size=tuple(rows.shape)).astype(np.float32)).to(rows.device)
    return (rows * signs / spread.clamp_min(max(0.01 * float(spread.mean()), 1e-6))).sum() / rows.numel() ** 0.5


def _felt(value: Tensor, slope: Tensor, axis: int) -> Floats:
    """[channels]: the square of what taking each away would change, to first order."""
    change = (value * slope).movedim(axis, -1).flatten(0, -2).sum(0)
    return np.asarray(change.detach().double().square().cpu().numpy(), np.float64)
