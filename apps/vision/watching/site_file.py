"""A site's file while it is in use: read again when it changes, changed from the page, and what it last said when it is broken."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from threading import RLock

from edgekit.apps.vision.rules.read import parse_site, read_site, site_text
from edgekit.apps.vision.rules.rewrite import rewritten
from edgekit.apps.vision.rules.settings import Camera, Site
from edgekit.apps.vision.sources.address import Address
from edgekit.core.errors import EdgekitError, InputError, UsageError
from edgekit.core.files import write_atomically

log = logging.getLogger(__name__)
NAME, GOOD = "site.yaml", "site.good.yaml"
SECRET = 0o600
"""Addresses may hold passwords."""
Stamp = tuple[int, ...]


class SiteFile:
    """The file at `path`. What was last read without complaint is also kept at `good`.

    `source` stands for the source of the file's only camera; `begins` is the text to begin with where there is no file yet.
    """

    def __init__(self, path: Path, good: Path, *, source: Address | None = None, begins: str = "") -> None:
        self.path, self._good = path, good
        self._source, self._begins = source, begins
        self._lock = RLock()
        self._stamp: Stamp = ()
        self._good_text = ""

    def open(self, *, strict: bool = False) -> tuple[Site, EdgekitError | None]:
        """The site to start with. A broken file raises when `strict`, or when nothing good is known; else what it said when it
        was last whole is taken, and the complaint is handed out beside it."""
        try:
            return self.read(), None
        except InputError as exc:
            if strict or not self._good.is_file():
                raise
            log.warning("%s; going on with what the file said when it was last whole", exc.message)
            return with_source(read_site(self._good), self._source, self.path.name), exc

    def read(self) -> Site:
        """The site as the file says now. Raises `NotFound` and `InputError`."""
        with self._lock:
            self._stamp = self._stamped()
            text = self._text()
            site = with_source(parse_site(text, self.path.name), self._source, self.path.name)
            self._keep_good(text)
            return site

    def changed(self) -> bool:
        """Whether somebody wrote the file since it was last read."""
        with self._lock:
            return self._stamp != self._stamped()

    def write(self, camera: Camera) -> Site:
        """Write the camera's settings into the file; the site as it is now. Raises as `rewritten` does, and the file stays."""
        with self._lock:
            text = rewritten(self._text(), self.path.name, camera)
            write_atomically(self.path, text.encode(), mode=self._mode())
            return self.read()

    def _text(self) -> str:
        return self._begins if self._begins and not self.path.exists() else site_text(self.path)

    def _mode(self) -> int:
        return self.path.stat().st_mode & 0o777 if self.path.exists() else SECRET

    def _keep_good(self, text: str) -> None:
        if text != self._good_text:
            write_atomically(self._good, text.encode(), mode=SECRET)
            self._good_text = text

    def _stamped(self) -> Stamp:
        """What changes when the file does: editors write anew or in place."""
        try:
            stat = self.path.stat()
        except OSError:
            return ()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def with_source(site: Site, source: Address | None, name: str) -> Site:
    """The site with another source of its only camera. Raises `UsageError` when the file called `name` has several."""
    if source is None:
        return site
    if len(site.cameras) != 1:
        raise UsageError(f"--source stands for the source of one camera, {name!r} has {len(site.cameras)}", "leave it out")
    return replace(site, cameras=(replace(site.cameras[0], source=source),))
