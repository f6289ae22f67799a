"""A source model measures what its targets share once."""

from __future__ import annotations

from pathlib import Path

from edgekit.conversion.source import open_source


def test_channels_are_equalised_once_for_all_targets(model: Path, samples: list) -> None:
    source = open_source(model, input_shapes={}, preprocess={}, calibration=samples, limit=32)
    assert source.equalised() is source.equalised()
