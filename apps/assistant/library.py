"""The user's documents: a folder, its index, and the thread that keeps the two in step."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edgekit.apps.assistant.documents.limits import FILE_BYTES
from edgekit.apps.assistant.documents.read import READERS
from edgekit.apps.assistant.grounding.embedder import Embedder, ModelEmbedder
from edgekit.apps.assistant.grounding.index import Brought, bring_up_to_date, maker
from edgekit.apps.assistant.grounding.search import Hit, Search
from edgekit.apps.assistant.grounding.store import Indexed, Store
from edgekit.apps.assistant.grounding.support import Question
from edgekit.apps.assistant.grounding.vector_index import VectorIndex
from edgekit.apps.assistant.grounding.ways import VectorSearch
from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.core.files import write_atomically
from edgekit.core.progress import Event, Progress, silent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """How far the reading of documents is, from when it is asked for. `problem` says why the last one failed, as a whole."""

    running: bool = False
    done: int = 0
    total: int = 0
    problem: str = ""

    @property
    def so_far(self) -> str:
        """` 3 of 5`; nothing as long as nobody knows how many there are."""
        return f" {self.done} of {self.total}" if self.total else ""


class Library:
    """For any number of threads. `update` reads what is new now; `update_soon` does it in the background."""

    def __init__(self, folder: Path, index: Path, embedder: Embedder, vectors: VectorSearch = "auto") -> None:
        """`vectors`: how those of an embedding model are searched. Raises `MissingDependency` where that cannot be."""
        self.folder = folder
        self._store, self._embedder = Store(index), embedder
        self._store.prepare(maker(embedder))
        graph = None
        if isinstance(embedder, ModelEmbedder):
            graph = VectorIndex(index.with_suffix(".vectors"), self._store, embedder, maker(embedder), vectors)
        self._search, self._index_first = Search(self._store, embedder, graph), vectors == "approximate"
        self._one_at_a_time, self._stop = threading.Lock(), threading.Event()
        self._asking = threading.Lock()
        self._again = False
        self._thread: threading.Thread | None = None
        """The background, as long as it will look at `_again` once more; both are touched with `_asking` only."""
        self.last: Brought | None = None
        self._state = Indexing()

    @property
    def state(self) -> Indexing:
        """How far the reading is."""
        with self._asking:
            return replace(self._state, running=True) if self._again else self._state

    def update(self, progress: Progress = silent) -> Brought:
        """Bring the index up to date; that of the vectors, which may take minutes, only if it was asked for by name.

        Raises `NotFound` when the folder is gone.
        """
        with self._one_at_a_time:
            self.last = bring_up_to_date(
                self._store, self.folder, self._embedder, progress=_both(self._noted, progress), stop=self._stop
            )
            if self._index_first:
                self._search.settle(progress, self._stop)
            return self.last

    def update_soon(self) -> None:
        """Bring the index up to date in the background; asked again meanwhile, once more afterwards."""
        with self._asking:
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._updating, name="documents", daemon=True)
                self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the background; whether it is done."""
        with self._asking:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    @property
    def by_words(self) -> bool:
        """Whether passages are found by words alone: then one without the question's words is not about it."""
        return self._embedder.by_words

    def find(self, question: str, top: int) -> list[Hit]:
        """See `Search.find`."""
        return self._search.find(question, top)

    def asked(self, question: str) -> Question:
        """The question with its words weighed by how rare they are here."""
        return self._search.asked(question)

    def documents(self) -> tuple[Indexed, ...]:
        """What is in the index."""
        return self._store.documents()

    def count(self) -> int:
        """How many documents there are."""
        return self._store.document_count()

    def revision(self) -> int:
        """A number that changes with every document."""
        return self._store.revision()

    def refused(self) -> dict[str, str]:
        """Files that are not read, and why."""
        known = {path: reason for path, (_, _, reason) in self._store.refused().items()}
        return known | {one.path: one.reason for one in (self.last.refused if self.last else ())}

    def text_of(self, path: str) -> str:
        """A document's text, which the offsets of citations count in. Raises `NotFound`."""
        text = self._store.text_of(path)
        if text is None:
            raise NotFound(f"there is no document {path[:200]!r}")
        return text

    def add(self, name: str, data: bytes) -> str:
        """Put a file into the folder. Raises `InputError` for a name or a size that may not be. It is read soon."""
        path = self._place(name)
        if len(data) > FILE_BYTES:
            raise InputError(f"{name!r} has {len(data):,} bytes; {FILE_BYTES:,} are read at most")
        write_atomically(path, data)
        self.update_soon()
        return path.relative_to(self.folder.resolve()).as_posix()

    def remove(self, name: str) -> None:
        """Delete a file from the folder, and from the index. Raises `NotFound`."""
        path = self._place(name)
        try:
            path.unlink()
        except FileNotFoundError as exc:
            raise NotFound(f"there is no document {name[:200]!r}") from exc
        except OSError as exc:
            raise InputError(f"{name[:200]!r} cannot be deleted: {exc.strerror or exc}") from exc
        self._store.drop(name)
        self.update_soon()

    def close(self) -> None:
        """Stop reading after the document at hand; closing again does nothing."""
        self._stop.set()
        self.wait(30)
        self._store.close()

    def _place(self, name: str) -> Path:
        """Where a document of that name lies. Raises `InputError` for one outside the folder, hidden, or of another kind."""
        parts = PurePosixPath(name).parts
        root = self.folder.resolve()
        odd = not parts or any(part.startswith(".") or part == "/" or not part.isprintable() for part in parts)
        if odd or len(name) > 200 or "\\" in name or not (path := root.joinpath(*parts)).parent.resolve().is_relative_to(root):
            raise InputError(f"{name[:200]!r} is no name for a document in the folder")
        if path.suffix.lower() not in READERS:
            raise InputError(f"{name[:200]!r} is of a kind that is not read", f"these are: {' '.join(sorted(READERS))}")
        return path

    def _noted(self, event: Event) -> None:
        self._state = Indexing(running=event.done < event.total, done=event.done, total=event.total)

    def _updating(self) -> None:
        while self._is_asked():
            try:
                self.update()
                self._search.settle(silent, self._stop)
            except EdgekitError as exc:
                log.warning("documents: %s", exc.message)
                self._state = Indexing(problem=exc.message)
            except Exception as exc:  # a defect, of an embedder's as well: said, and documents are read again when asked
                log.exception("documents")
                self._state = Indexing(problem=f"{type(exc).__name__}: {exc}")

    def _is_asked(self) -> bool:
        """Whether to read once more; without it the background ends."""
        with self._asking:
            asked, self._again = self._again and not self._stop.is_set(), False
            if asked:
                self._state = Indexing(running=True)
            else:
                self._thread = None
            return asked


def _both(*listeners: Progress) -> Progress:
    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
