"""Whether anybody is there at all: a small classifier in front of the detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cameras import FigureFinder

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.frames import Frame, from_rgb
from edgekit.apps.vision.networks.artifacts import opened
from edgekit.apps.vision.networks.presence import Presence, person_class
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.sources.open import open_source
from edgekit.cli import main
from edgekit.core.errors import Unsupported

SITE = """\
cameras:
  yard:
    source: synthetic:320x180
    detect: {fps: 10, motion_gate: false}
    rules: [{name: somebody, dwell_s: 1}]
"""


class Gated(FigureFinder):
    """Finds the figure, and is told that nobody is there but at times in between."""

    def __init__(self, begins_s: float, ends_s: float) -> None:
        super().__init__()
        self._begins_s, self._ends_s = begins_s, ends_s

    def presence(self, frame: Frame) -> bool:
        return self._begins_s <= frame.time_s < self._ends_s


def looked(finder: Gated, seconds: float) -> list[float]:
    """The times of the frames that the detector was asked about."""
    camera = parse_site(SITE, "site.yaml").cameras[0]
    analyst, capture, times = Analyst(camera, finder), open_source(camera.source), []
    while (frame := capture.read()) is not None and frame.time_s < seconds:
        before = finder.asked
        analyst.look(frame)
        times += [frame.time_s] * (finder.asked - before)
    capture.close()
    return times


def test_the_detector_is_not_asked_while_nobody_may_be_there() -> None:
    assert looked(Gated(99.0, 99.0), 5.0) == []


def test_who_is_followed_is_looked_for_whatever_the_classifier_says() -> None:
    times = looked(Gated(2.0, 2.5), 6.0)
    assert times[0] == pytest.approx(2.0, abs=0.11)
    assert times[-1] > 4.0


@pytest.mark.parametrize(("labels", "index"), [(("person", "cat"), 0), (("class 0", "class 1"), 1)])
def test_the_class_of_people_is_the_one_called_so_or_the_second_of_two(labels: tuple[str, ...], index: int) -> None:
    assert person_class(labels, "model") == index


def test_a_model_that_tells_no_people_is_refused() -> None:
    with pytest.raises(Unsupported, match="none of the 3 classes of 'birds'"):
        person_class(("crow", "jay", "owl"), "birds")


def test_a_detector_is_no_presence_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    from edgekit.models.persons import artifacts

    argv = ["run", "camera", "--source", "synthetic:320x180", "--no-serve", "--presence", str(artifacts()[0])]
    assert main(argv) == 1
    assert "does detection, not classification" in capsys.readouterr().err


def test_the_visual_wake_words_network_tells_pictures_with_people(shared_data: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    told = np.load(shared_data / "vww_eval" / "vww01_ccby.npz")
    with opened(shared_data / "models_mlperf_tiny" / "vww_96_int8.tflite", threads=1) as session:
        presence = Presence(session)
        frames = [from_rgb(picture, number=0, time_s=0.0) for picture in told["x"]]
        there = np.array([presence(frame) for frame in frames])
    people = told["y"] == 1
    assert there[people].mean() >= 0.9
    assert there[~people].mean() <= 0.4
