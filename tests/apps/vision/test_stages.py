"""Timers of the pipeline's stages: every millisecond is told once."""

from __future__ import annotations

from edgekit.apps.vision.stages import Stages


def test_what_is_timed_within_a_stage_is_not_told_of_the_stage_around_it_too() -> None:
    """The pose model is asked while the tracker is at work."""
    ticks = iter([0.0, 0.010, 0.050, 0.055, 0.085, 0.100, 0.200, 0.203])
    stages = Stages(clock=lambda: next(ticks))
    with stages.timed("track"):
        for _ in range(2):
            with stages.timed("pose"):
                pass
    with stages.timed("rules"):
        pass
    told = stages.summary()
    assert {name: (figures["count"], figures["mean"]) for name, figures in told.items()} == {
        "pose": (2, 35.0), "track": (1, 30.0), "rules": (1, 3.0),
    }  # fmt: skip
