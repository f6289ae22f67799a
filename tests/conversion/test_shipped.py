"""The artifacts that come with the package are the shipped network's, and still hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.models import digits
from edgekit.verify import verify


def test_there_is_one_for_each_runtime_that_runs_anywhere() -> None:
    assert {path.name for path in digits.artifacts()} == {"digits.host.fp32", "digits.rpi5.int8"}


@pytest.mark.parametrize("path", digits.artifacts(), ids=lambda path: path.name)
def test_a_shipped_artifact_holds_against_the_shipped_network(path: Path) -> None:
    verdict = verify(path, against=digits.model_path())
    assert verdict.ok
    assert not any("differs" in note for note in verdict.notes)
