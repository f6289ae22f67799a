"""The page of faults names tests: each is there under that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "assistant-faults.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="runs from a checkout")


def test_every_fault_has_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| (?!what |---)", line)]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    there = {name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}
    assert len(rows) > 30 and all(named)
    assert {name for row in named for name in row} - there == set()
