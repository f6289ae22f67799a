"""A detector that needs no network, for what stands around detectors: it finds the synthetic source's figure by its colour."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from detectors import IMAGE_SPEC, ROWS_SPEC, artifact_of, constant_detector

from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.sources.synthetic import FIGURE, RATE, SyntheticCapture
from edgekit.apps.vision.stages import Stages
from edgekit.apps.vision.tracking.tracks import Boxes, no_boxes
from edgekit.tasks.decoding.recognise import recognise


def standing_artifact(path: Path) -> Path:
    """A real artifact of a YOLOX head of two classes that sees one person, always at the same place, whatever it is shown."""
    rows = np.zeros(ROWS_SPEC.shape, np.float32)
    rows[0, 17] = [48 / 8 - 5, 32 / 8 - 1, np.log(2), np.log(3), 0.9, 0.9, 0.1]
    known = recognise((IMAGE_SPEC,), (ROWS_SPEC,))
    assert known is not None
    named = msgspec.structs.replace(known[1], labels=("person", "thing"))
    return artifact_of(path, constant_detector(rows), IMAGE_SPEC, ROWS_SPEC, postprocess=named)


class FigureFinder:
    """Real boxes of real pictures; `asked` counts how often it was used."""

    labels = ("person",)

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, frame: Frame, stages: Stages | None = None) -> Boxes:
        self.asked += 1
        with (stages or Stages()).timed("detect"):
            return self._found(frame)

    def _found(self, frame: Frame) -> Boxes:
        image = frame.rgb().astype(int)
        rows, columns = np.nonzero(np.abs(image - FIGURE).sum(axis=2) < 40)
        if not len(rows):
            return no_boxes()
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
        return Boxes(boxes=box, scores=np.array([0.9]), class_ids=np.array([0]))


SITE_APP = """
import sys
from contextlib import closing
from pathlib import Path
from cameras import FigureFinder
from edgekit.apps.vision.watching.camera import DATABASE
from edgekit.apps.vision.pages.shell import shell
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.vision.watching.site_file import SiteFile
from edgekit.apps.web.options import Serving
from edgekit.apps.web.serve import serve

folder = Path("recordings")
file = SiteFile(Path("site.yaml"), folder / "site.good.yaml")
site, problem = file.open()
with closing(EventStore(folder / DATABASE)) as store:
    watch = SiteWatch(site, file, FigureFinder(), None, store, folder, problem=problem)
    serve(shell("surveillance", watch), Serving(state=Path("state"), port=0))
"""
"""The pages of a site whose detector needs no network; started in a folder with a `site.yaml`."""


def walk(path: Path, seconds: float, *, codec: str = "libx264", size: tuple[int, int] = (640, 360)) -> Path:
    """A recording of the synthetic source's figure."""
    av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
    capture = SyntheticCapture(*size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=int(RATE))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = 10
        for _ in range(int(seconds * RATE)):
            frame = capture.read()
            assert frame is not None
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.rgb(), "rgb24")))
        container.mux(stream.encode())
    return path
