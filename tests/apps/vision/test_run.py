"""A recording from end to end, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import current_thread

import numpy as np
import pytest
from cameras import FigureFinder

from edgekit.apps.vision.analysis.analyst import Analyst
from edgekit.apps.vision.analysis.recorded import go_through
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.rules.engine import RuleEngine
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.sources.address import parse_address
from edgekit.apps.vision.sources.open import open_source
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes
from edgekit.cli import main

SITE = """\
cameras:
  yard:
    source: synthetic:320x180
    detect: {fps: 10}
    lines:
      middle: {start: [0.5, 0.0], end: [0.5, 1.0]}
    rules:
      - {name: crossing, line: middle}
      - {name: somebody, dwell_s: 2}
"""


def test_a_recording_becomes_tracks_and_events() -> None:
    camera, finder = parse_site(SITE, "site.yaml").cameras[0], FigureFinder()
    found = go_through(open_source(camera.source), Analyst(camera, finder), finder.labels)
    assert (found.frames, found.looks, len(found.tracks)) == (300, 300, 1)
    kinds = [event.rule for event in found.events]
    assert kinds.count("crossing") == 3
    assert kinds.count("somebody") == 1
    assert all(event.end_s is not None for event in found.events)


class SteppedFinder(FigureFinder):
    """The same in three steps on three lanes; which threads took them is remembered."""

    lanes = 3

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[str, set[str]] = {"ask": set(), "answer": set(), "boxes": set()}

    def _taken(self, step: str) -> None:
        self.threads[step].add(current_thread().name.partition("_")[0])

    def ask(self, frame: Frame, stages: Stages, /) -> Frame:
        self._taken("ask")
        return frame

    def answer(self, question: Frame, stages: Stages, /) -> Boxes:
        self._taken("answer")
        return self(question, stages)

    def boxes(self, question: Frame, answer: Boxes, stages: Stages, /) -> Boxes:
        self._taken("boxes")
        return answer


def test_the_networks_threads_do_nothing_else_and_the_looks_are_the_same() -> None:
    camera, plain, stepped = parse_site(SITE, "site.yaml").cameras[0], FigureFinder(), SteppedFinder()
    found = [go_through(open_source(camera.source), Analyst(camera, each), each.labels) for each in (plain, stepped)]
    assert found[0].events == found[1].events and found[0].tracks == found[1].tracks
    assert stepped.threads["answer"] == {"detector"}
    assert "detector" not in stepped.threads["ask"] | stepped.threads["boxes"]


@pytest.mark.parametrize(("rule", "asked"), [("dwell_s: 2", False), ("activity: running", True)])
def test_activities_are_looked_for_only_where_a_rule_asks(rule: str, asked: bool) -> None:
    camera = parse_site(SITE.replace("dwell_s: 2", rule), "site.yaml").cameras[0]
    assert RuleEngine(camera, camera.rules, ("person",)).asks_for_activities == asked


def test_nothing_is_looked_for_while_nothing_moves(tmp_path: Path, make_clip: Callable[[Path, list[np.ndarray]], Path]) -> None:
    still = np.random.default_rng(0).integers(90, 110, (96, 128, 3)).astype(np.uint8)
    clip = make_clip(tmp_path / "still.mp4", [still] * 50)
    site = parse_site(SITE.replace("synthetic:320x180", str(clip)), "site.yaml")
    finder = FigureFinder()
    found = go_through(open_source(site.cameras[0].source), Analyst(site.cameras[0], finder), finder.labels)
    assert found.frames == 50
    assert finder.asked <= 12  # one second of motion at the beginning, no more


def test_fewer_looks_than_frames_when_so_asked() -> None:
    camera = parse_site(SITE.replace("fps: 10", "fps: 2"), "site.yaml").cameras[0]
    finder = FigureFinder()
    found = go_through(open_source(camera.source), Analyst(camera, finder), finder.labels)
    assert (found.frames, found.looks) == (300, 60)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["run", "camera", "--no-serve"], 2, "--source"),
        (["run", "camera", "--source", "exec:reboot", "--no-serve"], 1, "exec:"),
        (["run", "surveillance", "--source", "rtsp://user:hunter2@127.0.0.1:9/x", "--no-serve"], 2, "never ends"),
        (["run", "surveillance", "--config", "/nonexistent.yaml", "--no-serve"], 1, "nonexistent"),
    ],
)
def test_what_cannot_run_says_why(arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    err = capsys.readouterr().err
    assert said in err and "hunter2" not in err


def test_without_a_detector_named_the_one_in_the_box_looks(
    tmp_path: Path, make_clip: Callable[[Path, list[np.ndarray]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    clip = make_clip(tmp_path / "short.mp4", [np.full((90, 160, 3), 90, np.uint8)] * 5)
    assert main(["run", "camera", "--source", str(clip), "--no-serve", "--threads", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5


def test_the_command_prints_the_contract(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    model = shared_data / "models_detection" / "yolox_nano_float16_quantize.tflite"
    clip = shared_data / "fall_videos" / "S1_ADL_16.mp4"
    status = main(["run", "camera", "--source", str(clip), "--artifact", str(model), "--no-serve", "--threads", "1", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {"events", "tracks", "frames", "fps", "stages_ms"} <= result.keys()
    assert result["frames"] == 106
    assert any(event["type"] == "presence" for event in result["events"])
    assert {"type", "camera", "start_s", "end_s", "score", "track", "evidence"} <= result["events"][0].keys()
    assert parse_address(str(clip)).kind == "recording"
