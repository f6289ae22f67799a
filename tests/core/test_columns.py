"""Columns stand under each other."""

from __future__ import annotations

import pytest

from edgekit.core.columns import aligned


def test_every_column_is_as_wide_as_its_widest_cell_and_lines_end_with_text() -> None:
    assert aligned([("a", "long cell", "x"), ("longer", "b", "")]) == ["a       long cell  x", "longer  b"]


def test_no_rows_are_no_lines() -> None:
    assert aligned([]) == []


def test_rows_of_different_lengths_are_a_bug() -> None:
    with pytest.raises(ValueError, match="argument"):
        aligned([("a", "b"), ("c",)])
