"""The ways to search an embedding model's vectors, by the names that users type."""

from __future__ import annotations

from typing import Literal, get_args

VectorSearch = Literal["auto", "exact", "approximate"]
"""Compared one by one, or through an index; auto: the index where it is installed and pays."""
WAYS: tuple[VectorSearch, ...] = get_args(VectorSearch)
