"""Keeping the index in step with a folder: what is new is read, what changed is read again, what is gone is dropped."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from edgekit.apps.assistant.documents.confined import Reader, reading
from edgekit.apps.assistant.documents.folder import Found, Refused, look
from edgekit.apps.assistant.documents.read import read
from edgekit.apps.assistant.grounding.chunks import VERSION, chunks
from edgekit.apps.assistant.grounding.embedder import Embedder
from edgekit.apps.assistant.grounding.store import Indexed, Store
from edgekit.core.errors import InputError, NotFound
from edgekit.core.files import sha256_file
from edgekit.core.progress import Event, Progress, silent

BATCH = 32
"""Chunks that are embedded at once."""
MANY = 16
"""Documents that were read, after which the index is brought into one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What bringing the index up to date did. `unchanged` documents were not read; `refused` ones could not be."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0
    refused: tuple[Refused, ...] = ()
    stopped: bool = False


def bring_up_to_date(
    store: Store, folder: Path, embedder: Embedder, *, progress: Progress = silent, stop: threading.Event | None = None
) -> Brought:
    """Make the index what the folder is. Each document is one transaction: who is killed in between goes on where it was.

    Raises `NotFound` when there is no such folder, and what the embedder raises; never because of a document.
    """
    store.prepare(maker(embedder))
    found, refused = look(folder)
    known = {document.path: document for document in store.documents()}
    failed = store.refused()
    for path in sorted((known.keys() | failed.keys()) - {one.path for one in found}):
        store.drop(path)
    done: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": [], "refused": []}
    with reading() as reader:
        step = _Step(store, folder.resolve(), embedder, reader, known, failed)
        for number, one in enumerate(found):
            if stop is not None and stop.is_set():
                break
            progress(Event(stage="reading documents", done=number, total=len(found)))
            done[step.take(one)].append(one.path)
    progress(Event(stage="reading documents", done=len(found), total=len(found)))
    if len(done["added"]) + len(done["changed"]) >= MANY:
        store.optimise()
    reasons = tuple(Refused(path=path, reason=reason) for path, (_, _, reason) in store.refused().items())
    return Brought(
        added=tuple(done["added"]),
        changed=tuple(done["changed"]),
        removed=tuple(sorted(known.keys() - {one.path for one in found})),
        unchanged=len(done["unchanged"]),
        refused=tuple(sorted((*refused, *reasons), key=lambda one: one.path)),
        stopped=stop is not None and stop.is_set(),
    )


def maker(embedder: Embedder) -> str:
    """What an index depends on beside its documents: with another one they are read again."""
    return f"{embedder.name}, cut {VERSION}"


class _Step:
    """Takes one document after the other."""

    def __init__(
        self,
        store: Store,
        root: Path,
        embedder: Embedder,
        reader: Reader,
        known: dict[str, Indexed],
        failed: dict[str, tuple[Found, str, str]],
    ) -> None:
        self._store, self._root, self._embedder, self._reader = store, root, embedder, reader
        self._known, self._failed = known, failed

    def take(self, found: Found) -> str:
        """added, changed, unchanged or refused."""
        before = self._known.get(found.path)
        if before and (before.bytes, before.modified_ns) == (found.bytes, found.modified_ns):
            return "unchanged"
        if found.path in self._failed and self._failed[found.path][0] == found:
            return "refused"
        path = self._root / found.path
        try:
            sha256 = sha256_file(path)
        except OSError as exc:
            self._store.refuse(found, "", f"it cannot be read: {exc.strerror or exc}")
            return "refused"
        if before and before.sha256 == sha256:
            self._store.touch(found)
            return "unchanged"
        return self._read(found, path, sha256, "changed" if before else "added")

    def _read(self, found: Found, path: Path, sha256: str, outcome: str) -> str:
        try:
            document = read(path, self._reader)
        except (InputError, NotFound) as exc:
            self._store.refuse(found, sha256, exc.message)
            return "refused"
        cut = list(chunks(document))
        texts = ["\n".join((*chunk.headings[-1:], document.text[chunk.start : chunk.end])) for chunk in cut]
        batches = (texts[at : at + BATCH] for at in range(0, len(texts), BATCH))
        vectors = [vector for batch in batches for vector in self._embedder.encode(batch)]
        self._store.put(found, sha256, document, cut, vectors)
        return outcome
