"""Where everything lies on the board: blobs by hash, releases made of them, and one link that says which runs."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgekit.core.errors import DeviceError, InputError
from edgekit.core.files import sha256_bytes, sha256_file, write_atomically
from edgekit.core.locks import held
from edgekit.deploy.nouns import Part, Release, State

ROOT = Path("/opt/edgekit")
INSTALLED = ".installed"
"""Of a card's first boot: everything that came with it is in place."""
KEPT = 3
"""Releases that stay beside the one that runs, so that going back needs no network."""
ABANDONED_S = 86400.0
"""An upload that broke off so long ago is given up with the next release that works."""
_PARTIAL = ".partial"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The board's folder. Methods that change something are atomic: after a power cut the old state stands, or the new one."""

    root: Path = ROOT

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def current(self) -> Path:
        return self.root / "current"

    @property
    def trusted(self) -> Path:
        """Public keys; when there is one, nothing runs that none of them signed."""
        return self.root / "trusted"

    def trusts_keys(self) -> bool:
        """Whether there is a key at all: without one, signatures are not asked for."""
        return self.trusted.is_dir() and any(self.trusted.glob("*.pub"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One operator at a time; a second one waits."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.releases.mkdir(exist_ok=True)
        with held(self.root, wait=True):
            yield

    def running(self) -> str:
        """The name of the release that `current` points to, or nothing."""
        try:
            return self.current.readlink().name
        except OSError:
            return ""

    def known(self) -> tuple[str, ...]:
        """Names of the releases that are whole, newest first."""
        if not self.releases.is_dir():
            return ()
        entries = (entry for entry in self.releases.iterdir() if not entry.name.startswith("."))  # half-made ones do
        found = [entry for entry in entries if (entry / "release.json").is_file()]
        return tuple(entry.name for entry in sorted(found, key=lambda entry: entry.stat().st_mtime, reverse=True))

    def release(self, name: str) -> Release:
        """A release by its name. Raises `InputError`."""
        try:
            return msgspec.json.decode((self.releases / name / "release.json").read_bytes(), type=Release)
        except (OSError, msgspec.DecodeError) as exc:
            raise InputError(f"there is no release {name!r} here, or it is damaged: {exc}", "edgekit status") from exc

    def state(self) -> State:
        """What was written down. A file that does not parse is no reason to stop: the link says what runs."""
        try:
            return msgspec.json.decode((self.root / "state.json").read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State()

    def save(self, state: State) -> None:
        """Write the state down, through a power cut."""
        write_atomically(self.root / "state.json", msgspec.json.encode(state))
        _sync(self.root)

    def blob(self, sha256: str) -> Path:
        """Where the file of that hash lies. Raises `InputError` for what is no hash."""
        if not _HASH.fullmatch(sha256):
            raise InputError(f"{sha256[:70]!r} is no sha256")
        return self.blobs / sha256

    def have(self, part: Part) -> int:
        """How many bytes of a file are here: all of them, or what an earlier upload has left."""
        for path in (self.blob(part.sha256), self.partial(part.sha256)):
            if path.is_file():
                return min(path.stat().st_size, part.bytes)
        return 0

    def partial(self, sha256: str) -> Path:
        """Where the file of that hash grows while it is uploaded."""
        return self.blob(sha256).with_suffix(_PARTIAL)

    def complete(self, sha256: str) -> None:
        """A file that was uploaded becomes a blob. Raises `DeviceError` when it does not have its hash; it is gone then."""
        partial = self.partial(sha256)
        if sha256_file(partial) != sha256:
            partial.unlink()
            raise DeviceError(f"what arrived is not the file {sha256[:12]}…: it was dropped", "deploy again")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.blob(sha256))

    def assemble(self, release: Release, parts: tuple[Part, ...]) -> str:
        """The release's folder, made of blobs; its name. What is there already is left alone. Raises `InputError`."""
        data, name = encoded(release), name_of(release)
        folder = self.releases / name
        if (folder / "release.json").is_file():
            self._mend(folder / "artifact", parts)
            self._date(name)
            return name
        made = self.releases / f".{name}.partial"
        shutil.rmtree(made, ignore_errors=True)
        (made / "artifact").mkdir(parents=True)
        for part in parts:
            os.link(self.blob(part.sha256), made / "artifact" / _safe(part.name))
        (made / "release.json").write_bytes(data)
        with (made / "release.json").open("rb") as file:
            os.fsync(file.fileno())
        for each in (made / "artifact", made):
            _sync(each)
        shutil.rmtree(folder, ignore_errors=True)  # a folder without release.json is half of one
        made.rename(folder)
        self._date(name)
        _sync(self.releases)
        return name

    def _date(self, name: str) -> None:
        """The release becomes the newest one here, whatever the clock says: boards begin in 1970, and some never learn better."""
        others = [(self.releases / other).stat().st_mtime for other in self.known() if other != name]
        stamp = max(time.time(), max(others, default=0.0) + 1)
        os.utime(self.releases / name, (stamp, stamp))

    def _mend(self, artifact: Path, parts: tuple[Part, ...]) -> None:
        """Files of a release that stands already are those of the blobs again, one whole file at a time."""
        for part in parts:
            file, blob = artifact / _safe(part.name), self.blob(part.sha256)
            if not file.exists() or not file.samefile(blob):
                link = artifact.parent / f".{part.name}.new"
                link.unlink(missing_ok=True)
                os.link(blob, link)
                link.replace(file)

    def drop_if_damaged(self, part: Part) -> bool:
        """Whether the blob no longer has its hash; it is gone then, though a release may still hold the damaged file."""
        blob = self.blob(part.sha256)
        if blob.is_file() and sha256_file(blob) != part.sha256:
            blob.unlink()
            return True
        return False

    def point_to(self, name: str) -> None:
        """Switch `current` in one step; an empty name takes it away."""
        if not name:
            self.current.unlink(missing_ok=True)
        else:
            link = self.root / ".current.new"
            link.unlink(missing_ok=True)
            link.symlink_to(self.releases / name)
            link.replace(self.current)
        _sync(self.root)

    def tidy(self, keep: tuple[str, ...]) -> None:
        """Remove old releases beyond `KEPT`, never those in `keep`, blobs that no release holds, and uploads that nobody went on with."""
        for name in self._spare(keep)[KEPT:]:
            shutil.rmtree(self.releases / name, ignore_errors=True)
        for blob in self.blobs.iterdir():
            about = blob.stat()
            if abs(time.time() - about.st_mtime) > ABANDONED_S if blob.suffix == _PARTIAL else about.st_nlink == 1:
                blob.unlink()

    def make_room(self, bytes_free: int, wanted: Container[str]) -> int:
        """Give up, until so much is free, what the board needs least; the bytes that are free then.

        Uploads that broke off go first, then releases that it could go back to, oldest first: the one that runs and the one before stay,
        and so does every file whose hash is `wanted`.
        """
        state = self.state()
        keep = (self.running(), state.previous, state.pending, state.earlier)
        halves = [path for path in sorted(self.blobs.glob(f"*{_PARTIAL}")) if path.stem not in wanted]
        for path in (*halves, *(self.releases / name for name in reversed(self._spare(keep)))):
            if self.free_bytes() >= bytes_free:
                break
            self._give_up(path, wanted)
        return self.free_bytes()

    def free_bytes(self) -> int:
        """How much room the board's disk has."""
        return shutil.disk_usage(self.root if self.root.exists() else "/").free

    def _spare(self, keep: tuple[str, ...]) -> list[str]:
        return [name for name in self.known() if name not in keep]

    def _give_up(self, path: Path, wanted: Container[str]) -> None:
        """Half an upload, or a release with the files that no other one holds."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            held = (blob for blob in self.blobs.iterdir() if blob.suffix != _PARTIAL and blob.name not in wanted)
            for blob in [blob for blob in held if blob.stat().st_nlink == 1]:
                blob.unlink()
        else:
            path.unlink()


def _safe(name: str) -> str:
    """`name` itself. Raises `InputError` for what would lie elsewhere than in the artifact's folder."""
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:90]!r} is no name for a file of an artifact")
    return name


def encoded(release: Release) -> bytes:
    """What stands in `release.json`: equal releases give the same bytes, and so the same name, be a time `20` or `20.0`."""
    read_back = msgspec.convert(msgspec.to_builtins(release), Release)
    return msgspec.json.encode(read_back, order="deterministic")


def name_of(release: Release) -> str:
    """A release's name: the start of the hash of all that it is."""
    return sha256_bytes(encoded(release))[:16]


def _sync(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
