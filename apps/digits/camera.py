"""Digits before a camera: the newest picture is read again and again, and shown to whoever watches with what was read in it."""

from __future__ import annotations

from threading import Event as Flag
from threading import Thread
from time import monotonic

from edgekit.apps.digits.annotate import annotated
from edgekit.apps.digits.desk import Desk, Sheet
from edgekit.apps.vision.frames import Frame
from edgekit.apps.vision.showing.overlay import Picture, jpeg
from edgekit.apps.vision.sources.address import Address
from edgekit.apps.vision.sources.feed import Feed, FeedStatus
from edgekit.apps.web.live import Broadcast

WIDTH, READS_A_SECOND = 960, 5.0
"""Pictures are read at most so wide and so often: a hand holds a sheet still for seconds, not for frames."""
LOOK_S = 0.25


class DigitsCamera:
    """Reads `address` with the networks of `desk` from `start` to `stop`. `sheet` is what the newest picture held; `pictures` shows
    it, drawn and encoded only while somebody watches."""

    def __init__(self, address: Address, desk: Desk) -> None:
        self.address, self.feed, self.pictures = address, Feed(address), Broadcast()
        self.sheet: Sheet | None = None
        self._desk, self._stopped = desk, Flag()
        self._picture: Picture | None = None
        self._shown: Sheet | None = None
        self._thread = Thread(target=self._read_on, name=f"digits {address.shown}", daemon=True)

    def start(self) -> None:
        self.feed.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self.feed.stop()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def status(self) -> FeedStatus:
        """How the source is doing."""
        return self.feed.look()

    def _read_on(self) -> None:
        due_s = 0.0
        while not self._stopped.is_set():
            frame = self.feed.frames.take(LOOK_S)
            if frame is not None:
                self._stopped.wait(max(due_s - monotonic(), 0.0))
                due_s = monotonic() + 1 / READS_A_SECOND
                self._read(frame)
            self._show()
            if self.feed.frames.closed:
                self._stopped.wait(LOOK_S)

    def _read(self, frame: Frame) -> None:
        width = min(WIDTH, frame.width)
        self._picture = frame.rgb(width, max(round(frame.height * width / frame.width), 1))
        self.sheet = self._desk.read(self._picture)

    def _show(self) -> None:
        """The newest picture for those who wait for one, and do not have it yet."""
        if self.sheet is None or self._picture is None or self.sheet is self._shown or not self.pictures.is_watched:
            return
        looks = self.sheet.looks
        unsure = {look.digit for look in looks if look.is_unsure}
        self.pictures.show(jpeg(annotated(self._picture, [look.digit for look in looks], unsure=unsure)))
        self._shown = self.sheet
