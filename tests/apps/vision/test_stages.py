"""Timers of the pipeline's stages: every millisecond is told once."""

from __future__ import annotations

import pytest

from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.watching.history import History


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


def test_what_ran_since_is_told_and_what_did_not_run_is_not() -> None:
    """A camera that stands still shows no time of its detector, however long the last look took."""
    stages = Stages()
    for took_ms in (4.0, 6.0):
        stages.add("detect", took_ms)
    first, runs = stages.since({})
    stages.add("motion", 1.0)
    second, runs = stages.since(runs)
    assert (first, second, stages.since(runs)[0]) == ({"detect": 5.0}, {"motion": 1.0}, {})


def test_notes_tell_rates_and_times_between_them_and_begin_anew_after_a_clock_that_went_back() -> None:
    stages = Stages()
    history = History(stages, kept=2)
    history.note(100.0, 0, 0)
    assert history.notes == (), "nothing to compare with"
    for at_s, captured, looks in ((102.0, 50, 10), (103.0, 50, 10), (104.0, 75, 15)):
        stages.add("detect", at_s)
        history.note(at_s, captured, looks)
    told = [(note.at_s, note.source_fps, note.looks_fps, note.stages_ms) for note in history.notes]
    assert told == [(103.0, 0.0, 0.0, {"detect": 103.0}), (104.0, 25.0, 5.0, {"detect": 104.0})]
    history.note(50.0, 80, 16)
    history.note(51.0, 90, 18)
    assert [(note.at_s, note.source_fps) for note in history.notes] == [(51.0, pytest.approx(10.0))]
