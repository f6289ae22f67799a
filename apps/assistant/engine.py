"""The local language model: opened when the first question comes, and again after it could not be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from edgekit.core.errors import EdgekitError
from edgekit.runtimes.text import TextModel, TextOptions, TextSession

SPEAKS_FROM = 100_000_000
"""Parameters. Smaller models finish sentences, but do not read passages: with them documents are answered by quoting."""

Open = Callable[[str, TextOptions], TextSession]


class Engine:
    """A model that may be loaded. For any number of threads."""

    def __init__(self, model: Path | str, options: TextOptions, open_session: Open, *, name: str) -> None:
        self._model, self._options, self._open = str(model), options, open_session
        self._lock = threading.Lock()
        self._session: TextSession | None = None
        self.name = name

    @property
    def loaded(self) -> TextModel | None:
        """What is loaded; None before the first question."""
        return self._session.model if self._session is not None else None

    @property
    def opened(self) -> TextSession | None:
        """The session, if there is one yet."""
        return self._session

    def session(self) -> TextSession:
        """The session, opened now if it is not. Raises what opening raises, every time anew."""
        with self._lock:
            if self._session is None:
                self._session = self._open(self._model, self._options)
            return self._session

    def reads_passages(self) -> bool:
        """Whether the model is large enough to answer from passages, or says nothing of its size."""
        try:
            model = self.session().model
        except EdgekitError:
            return True  # whoever asks next is told why it does not load
        return not 0 < model.parameters < SPEAKS_FROM

    def close(self) -> None:
        """End it; closing again does nothing."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()
