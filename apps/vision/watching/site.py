"""A site: its cameras, each watched in a thread of its own, the file they are written in, and what they leave behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from pathlib import Path
from threading import Event as Flag
from threading import Lock, RLock, Thread
from time import time

from edgekit.apps.vision.analysis.analyst import Finds
from edgekit.apps.vision.events import Event
from edgekit.apps.vision.poses.keypoints import PoseNetwork
from edgekit.apps.vision.recording.clock import SteadyClock
from edgekit.apps.vision.recording.ledger import Ledger
from edgekit.apps.vision.recording.retention import sweep
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.rules.settings import Camera, Site, models_named
from edgekit.apps.vision.showing.pictures import Veil, unveiled
from edgekit.apps.vision.watching.camera import CLIPS, SNAPSHOTS, CameraWatch, Kept, OneAtATime, PosesOneAtATime, Told
from edgekit.apps.vision.watching.site_file import SiteFile
from edgekit.apps.vision.watching.watchdog import Watchdog
from edgekit.core.errors import EdgekitError, NotFound

log = logging.getLogger(__name__)
LOOK_S, SWEEP_S, DAY_S = 1.0, 300.0, 86400.0
RUN_LIMIT_S = 60.0
"""A network that takes longer for one frame hangs."""


class SiteWatch:
    """All cameras of a site. `told` hears of every event, `veil` sees every picture before anybody does.

    `cameras` may be read from any thread; `heard` counts what happened, so that who shows it knows when to look again.
    """

    def __init__(
        self,
        site: Site,
        file: SiteFile,
        detector: Finds,
        pose: PoseNetwork | None,
        store: EventStore,
        folder: Path,
        *,
        told: Told = lambda event, media: None,
        kept: Kept = lambda path, camera, severity: None,
        veil: Callable[[Camera], Veil] = lambda camera: unveiled,
        problem: EdgekitError | None = None,
    ) -> None:
        lock = Lock()
        self.file, self.store, self.folder, self.problem = file, store, folder, problem
        self.ledger, self._clock = Ledger(store, self._sweep), SteadyClock()
        self._running = Watchdog("detector", RUN_LIMIT_S)
        self.detector = OneAtATime(detector, lock, self._running)
        self._pose = None if pose is None else PosesOneAtATime(pose, lock, self._running)
        self._told, self._kept, self._veil = told, kept, veil
        self._site, self.heard, self.begun_s, self._swept_s = site, 0, time(), 0.0
        self._changing, self._stopped = RLock(), Flag()
        self.cameras: Mapping[str, CameraWatch] = {camera.name: self._watch(camera) for camera in site.cameras}
        self._keeper = Thread(target=self._keep, name="site", daemon=True)

    @property
    def unused(self) -> frozenset[str]:
        """Stages that no camera here goes through."""
        idle = {
            "pose": self._pose is None,
            "presence": self.detector.presence is None,
            "encode clip": not any(watch.camera.encoded_here for watch in self.cameras.values()),
        }
        return frozenset(name for name, is_idle in idle.items() if is_idle)

    @property
    def done(self) -> bool:
        """Every camera was a recording, and has ended."""
        return all(watch.done for watch in self.cameras.values())

    def start(self) -> None:
        for watch in self.cameras.values():
            watch.start()
        self._keeper.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._keeper.is_alive():
            self._keeper.join(10.0)
        _stop(self.cameras.values())

    def camera(self, name: str) -> CameraWatch:
        """One camera. Raises `NotFound`."""
        if name not in self.cameras:
            raise NotFound(f"there is no camera {name!r}", f"one of {', '.join(self.cameras)}")
        return self.cameras[name]

    @property
    def watchdogs(self) -> tuple[Watchdog, ...]:
        """Those of the detector and the recorders: what hangs there can only be ended with the process."""
        return (self._running, *(watch.writing for watch in self.cameras.values()))

    def renew(self, name: str) -> None:
        """Start a camera anew; a thread of the old one that hangs is left behind. Raises `NotFound`."""
        with self._changing:
            before = self.camera(name)
            after = self._watch(before.camera)
            self.cameras = {**self.cameras, name: after}
            Thread(target=before.stop, name=f"end of {name}", daemon=True).start()
            after.start()

    def change(self, camera: Camera) -> None:
        """Write a camera's settings into the file and go on by them. Raises as `SiteFile.write` does; then nothing changes."""
        with self._changing:
            self._apply(self.file.write(camera))

    def delete(self, number: int) -> None:
        """Delete an event with its clip, unless another event shows it too, and its snapshot. Raises `NotFound`."""
        media = self.store.delete(number)
        for folder, name in ((CLIPS, media.clip), (SNAPSHOTS, media.snapshot)):
            if name:
                (self.folder / folder / Path(name).name).unlink(missing_ok=True)
        self.heard += 1

    def keep(self, number: int, kept: bool) -> None:
        """Say that an event and its files stay, or no longer."""
        self.store.keep(number, kept)
        self.heard += 1

    def reload(self) -> None:
        """Go by the file as it is now; when it is broken, by what it said before, and `problem` says why."""
        with self._changing:
            try:
                self._apply(self.file.read())
            except EdgekitError as exc:
                self.problem = exc
                log.warning("%s", exc.message)

    def _apply(self, site: Site) -> None:
        """Cameras that are new are started, those that are gone or have another source stopped, the others changed."""
        if models_named(site) != models_named(self._site):
            log.warning("another model in %s counts from the next start on", self.file.path.name)
        before, after = dict(self.cameras), dict[str, CameraWatch]()
        begun = []
        for camera in site.cameras:
            watch = before.pop(camera.name, None)
            if watch is not None and _same_source(watch.camera, camera):
                watch.change(camera)
            else:
                if watch is not None:
                    watch.stop()
                watch = self._watch(camera)
                begun.append(watch)
            after[camera.name] = watch
        if site.keep != self._site.keep:
            self._swept_s = 0.0
        self.cameras, self._site, self.problem = after, site, None
        for watch in begun:
            watch.start()
        _stop(before.values())

    def _watch(self, camera: Camera) -> CameraWatch:
        told, veil = self._hear, self._veil(camera)
        return CameraWatch(camera, self.detector, self._pose, self.ledger, self.folder, told, veil, self._kept)

    def _hear(self, event: Event, media: Media) -> None:
        self.heard += 1
        self._told(event, media)

    def _keep(self) -> None:
        """The thread: look at the file, note what the cameras did, and sweep what is too old."""
        while not self._stopped.wait(LOOK_S):
            if self.file.changed():
                self.reload()
            self.ledger.flush()
            self._note()
            if not 0 <= time() - self._swept_s < SWEEP_S:
                self._swept_s = time()
                self._sweep()

    def _note(self) -> None:
        at_s = time()
        for watch in self.cameras.values():
            watch.note(at_s)

    def _sweep(self) -> None:
        try:
            folders = [self.folder / name for name in (CLIPS, SNAPSHOTS) if (self.folder / name).is_dir()]
            limits = self._site.keep.limits
            limits = limits if self._clock.steady() else replace(limits, days=inf)
            gone = sweep(folders, limits, time(), spared=self.store.kept_files()) if folders else ()
            forgotten = self.store.forget(time() - limits.days * DAY_S)
        except Exception as exc:  # a full or failing disk; the next sweep tries again
            log.error("old recordings could not be deleted: %s", exc)
            return
        if gone or forgotten:
            log.info("%d old files and %d old events were deleted", len(gone), forgotten)


def _stop(watches: Collection[CameraWatch]) -> None:
    """All at once: one that hangs in a library must not hold up the others."""
    if watches:
        with ThreadPoolExecutor(len(watches)) as pool:
            list(pool.map(CameraWatch.stop, watches))


def _same_source(one: Camera, other: Camera) -> bool:
    return (one.source, one.starts, one.masks, one.faces) == (other.source, other.starts, other.masks, other.faces)
