"""From an address to an opened source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.apps.vision.privacy.masks import MaskedCapture
from edgekit.apps.vision.privacy.settings import Mask
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.base import Capture, PacketTap
from edgekit.apps.vision.sources.container import ContainerCapture
from edgekit.apps.vision.sources.csi import CsiCapture
from edgekit.apps.vision.sources.gstreamer import GStreamerCapture, csi_pipeline, rtsp_pipeline
from edgekit.apps.vision.sources.pictures import PicturesCapture
from edgekit.apps.vision.sources.synthetic import SyntheticCapture
from edgekit.apps.vision.stages import Stages

SMALL = (640, 360)
"""What cameras that can scale are asked for."""


def open_source(
    address: Address,
    *,
    tap: PacketTap | None = None,
    threads: int = 1,
    masks: Mapping[str, Mask] | None = None,
    stages: Stages | None = None,
) -> Capture:
    """The opened source; `tap` gets the encoded packets of those that have any. With masks nobody gets packets, since what is
    masked is in them, and frames come with the masks burned in. With `stages` the decoder is timed, where it is one of ours.

    Raises `SourceLost` for what may come later, and for good `InputError`, `DeviceError` or `MissingDependency`.
    """
    if masks:
        return MaskedCapture(open_source(address, threads=threads, stages=stages), masks)
    if address.kind == "pictures":
        return PicturesCapture(Path(address.target))
    if address.kind == "synthetic":
        width, _, height = (address.target or "640x360").partition("x")
        return SyntheticCapture(int(width), int(height))
    if address.kind == "csi":
        return CsiCapture(int(address.target or 0), SMALL)
    if address.kind == "argus":
        return GStreamerCapture(csi_pipeline(int(address.target or 0), *SMALL), SMALL)
    if address.kind == "nvdec":
        codec, _, url = address.target.partition(":")
        return GStreamerCapture(rtsp_pipeline(codec, *SMALL), SMALL, address=url)
    return ContainerCapture(address, tap=tap, threads=threads, stages=stages)
