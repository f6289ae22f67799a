"""The clips that `pipeline.py` goes through: as they are, shortened, or enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter

import av
from common import SHARED
from pipeline_site import camera_of

from edgekit.apps.vision.sources.open import open_source

CLIPS, SIZES = ("one-by-one-person-detection.mp4", "vtest_480x360.mp4"), ((1280, 720), (1920, 1080))


def recordings(named: Sequence[Path], frames: int, folder: Path) -> list[Path]:
    """The clips that are gone through, each no longer than `frames`."""
    if named:
        return [shortened(clip, frames, folder) for clip in named]
    here = [shortened(SHARED / "videos" / name, frames, folder) for name in CLIPS]
    return [*here, *(enlarged(here[0], *size, folder) for size in SIZES)]


def shortened(clip: Path, frames: int, folder: Path) -> Path:
    """A copy of the clip's first packets, nothing encoded anew; the clip itself where all of it is wanted."""
    if not frames:
        return clip
    short = folder / clip.name
    with av.open(str(clip)) as whole, av.open(str(short), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in islice(whole.demux(whole.streams.video[0]), frames):
            if packet.dts is not None:
                packet.stream = stream
                part.mux(packet)
    return short


def enlarged(clip: Path, width: int, height: int, folder: Path) -> Path:
    """The clip at another size."""
    large = folder / f"{clip.stem}-{height}p.mp4"
    with av.open(str(clip)) as before, av.open(str(large), "w") as after:
        rate = before.streams.video[0].average_rate
        stream = after.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in before.decode(video=0):
            after.mux(stream.encode(frame.reformat(width, height, "yuv420p", interpolation="BICUBIC")))
        after.mux(stream.encode())
    return large


def decode_ms(clip: Path) -> float:
    """Milliseconds of one core for a frame of the clip, the better of two times through."""
    return min(_decoded_ms(clip) for _ in range(2))


def _decoded_ms(clip: Path) -> float:
    begun, count = perf_counter(), 0
    capture = open_source(camera_of(clip, 60, False).source)
    while capture.read() is not None:
        count += 1
    capture.close()
    return 1000 * (perf_counter() - begun) / count
