"""The clip and the picture of an event on a page."""

from __future__ import annotations

from nicegui import ui

from edgekit.apps.vision.pages.media import PREFIX
from edgekit.apps.vision.pages.words import title
from edgekit.apps.vision.recording.store import Stored

BEFORE_S = 2.0
"""The clip is shown from so long before its event on."""


class Clip(ui.element, component="clip.js"):
    """What was kept of `stored`; with `still` the picture, even where there is a clip."""

    def __init__(self, stored: Stored, *, still: bool = False) -> None:
        super().__init__()
        media, at = stored.media, f"{PREFIX}/events/{stored.id}"
        self.props["clip"] = f"{at}/clip" if media.clip and not still else ""
        self.props["snapshot"] = f"{at}/snapshot" if media.snapshot else ""
        self.props["box"] = None if media.box is None else list(media.box)
        self.props["at"] = max(media.clip_at_s - BEFORE_S, 0.0)
        self.props["label"] = f"{title(stored.event)}, {stored.event.camera}"
