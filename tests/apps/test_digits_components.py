"""Connected components by runs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgekit.apps.digits.components import components

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def flooded(mask: NDArray[np.bool_]) -> list[frozenset[tuple[int, int]]]:
    """The components by the slow and obvious way."""
    left, found = {(int(y), int(x)) for y, x in np.argwhere(mask)}, []
    while left:
        todo, group = [left.pop()], set()
        while todo:
            y, x = todo.pop()
            group.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo += near
        found.append(frozenset(group))
    return found


@given(masks)
def test_components_are_those_a_flood_fill_finds(mask: NDArray[np.bool_]) -> None:
    found = components(mask)
    ours = [frozenset((int(y), int(x)) for y, x in np.argwhere(found.labels == i + 1)) for i in range(len(found.areas))]
    assert sorted(map(sorted, ours)) == sorted(map(sorted, flooded(mask)))
    assert (found.labels > 0).tolist() == mask.tolist()


@given(masks)
def test_every_box_and_area_is_that_of_its_label(mask: NDArray[np.bool_]) -> None:
    found = components(mask)
    for index, (box, area) in enumerate(zip(found.boxes, found.areas, strict=True)):
        rows, columns = np.nonzero(found.labels == index + 1)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert area == len(rows)


def test_an_empty_mask_has_no_components() -> None:
    assert components(np.zeros((5, 7), bool)).areas.size == 0


def test_a_spiral_is_one_thing() -> None:
    mask = np.ones((9, 9), bool)
    mask[1, :8] = mask[1:8, 7] = mask[7, 1:8] = mask[3:8, 1] = mask[3, 1:6] = False
    assert len(components(mask).areas) == len(flooded(mask))
