"""What the student is taught of a scene: what its teacher says of it, corrected by what the same teacher says of the same scene drawn larger.

A person who is small in the student's picture is plainer in a larger one. Where a cell's own box lies on such a person, the cell's score grows
(or falls) in the proportion in which the larger picture made the person surer, and its box becomes the one found there.
A cell that lies on nobody is taught that it sees nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgekit.core.optional import need
from edgekit.train.persons_network import STRIDES
from edgekit.train.persons_teacher import PERSON

if TYPE_CHECKING:
    from torch import Tensor

OBJECTNESS, FIRST_CLASS = 4, 5
BELIEVED = 0.1
"""Score from which the larger picture shows a person, and from which a box is taught."""
SAME = 0.5
"""Overlap from which two boxes are of one person."""
MOST = 300
"""Of so many boxes of a picture, the surest, people are looked for."""


class Targets(NamedTuple):
    """For every cell, level by level: the score it should give [N, cells], and the box [N, cells, 4] as the network codes it."""

    scores: Tensor
    boxes: Tensor


def flat(maps: Sequence[Tensor]) -> Tensor:
    """The maps of all levels as rows of cells: [N, cells, channels]."""
    joined: Tensor = need("torch").cat([level.float().flatten(2) for level in maps], 2)
    return joined.transpose(1, 2)


def grid(maps: Sequence[Tensor]) -> Tensor:
    """Column, row and stride of every cell: [cells, 3]."""
    torch = need("torch")
    parts = []
    for level, stride in zip(maps, STRIDES, strict=True):
        height, width = level.shape[2:]
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        parts.append(torch.stack([column, row, torch.full_like(row, stride)], 2).view(-1, 3))
    joined: Tensor = torch.cat(parts).to(maps[0].device, torch.float32)
    return joined


def decoded(coded: Tensor, cells: Tensor) -> Tensor:
    """Boxes (centre x, y, width, height) in pixels from what the network says."""
    sizes = coded[..., 2:4].clamp(max=8).exp()
    found: Tensor = need("torch").cat([coded[..., :2] + cells[:, :2], sizes], -1) * cells[:, 2:]
    return found


def coded(boxes: Tensor, cells: Tensor) -> Tensor:
    """What the network should say for these boxes: the inverse of `decoded`."""
    shares = boxes / cells[:, 2:]
    found: Tensor = need("torch").cat([shares[..., :2] - cells[:, :2], shares[..., 2:].clamp(min=1e-6).log()], -1)
    return found


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each of `first` [A, 4] with each of `second` [B, 4]."""
    torch = need("torch")
    one, two = first[:, None], second[None]
    lows = torch.maximum(one[..., :2] - one[..., 2:] / 2, two[..., :2] - two[..., 2:] / 2)
    highs = torch.minimum(one[..., :2] + one[..., 2:] / 2, two[..., :2] + two[..., 2:] / 2)
    shared = (highs - lows).clamp(min=0).prod(2)
    found: Tensor = shared / (one[..., 2:].prod(2) + two[..., 2:].prod(2) - shared).clamp(min=1e-6)
    return found


def person_scores(rows: Tensor) -> Tensor:
    """How surely each cell sees a person."""
    return rows[..., OBJECTNESS].sigmoid() * rows[..., FIRST_CLASS + PERSON].sigmoid()


def people(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes and scores of the people in one picture: of the boxes that overlap, the surest."""
    torch = need("torch")
    order = scores.argsort(descending=True)[:MOST]
    order = order[scores[order] >= BELIEVED]
    same = overlaps(boxes[order], boxes[order]) >= SAME
    kept = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    for place in range(len(order)):
        if kept[place]:
            kept[place + 1 :] &= ~same[place, place + 1 :]
    return boxes[order[kept]], scores[order[kept]]


def targets(own: Sequence[Tensor], sharp: Sequence[Tensor]) -> Targets:
    """From the teacher's maps of a scene at the student's size, and those of the same scene drawn larger."""
    torch = need("torch")
    cells, larger = grid(own), grid(sharp)
    rows, sharp_rows = flat(own), flat(sharp)
    ratio = torch.tensor([own[0].shape[3] / sharp[0].shape[3], own[0].shape[2] / sharp[0].shape[2]] * 2, device=rows.device)
    boxes, scores = decoded(rows, cells), person_scores(rows)
    sharp_boxes, sharp_scores = decoded(sharp_rows, larger) * ratio, person_scores(sharp_rows)
    taught = [_of_one(boxes[n], scores[n], *people(sharp_boxes[n], sharp_scores[n])) for n in range(len(boxes))]
    return Targets(torch.stack([part[0] for part in taught]), coded(torch.stack([part[1] for part in taught]), cells))


def _of_one(boxes: Tensor, scores: Tensor, found: Tensor, sure: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and boxes for the cells of one picture, whose own are `boxes` and `scores`, when these people are `found` in it."""
    torch = need("torch")
    if len(found) == 0:
        return scores.clamp(max=BELIEVED), boxes
    overlap, nearest = overlaps(boxes, found).max(1)
    on = overlap >= SAME
    mine = torch.where(on, scores, torch.zeros_like(scores))
    best = torch.zeros_like(sure).scatter_reduce(0, nearest, mine, "amax")
    raised = (scores * (sure / best.clamp(min=1e-6))[nearest]).clamp(max=1)
    return torch.where(on, raised, scores.clamp(max=BELIEVED)), torch.where(on[:, None], found[nearest], boxes)
