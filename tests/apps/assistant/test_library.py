"""The folder of documents and the thread that reads it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from waiting import wait_until

from edgekit.apps.assistant.assistant import Answered, Assistant
from edgekit.apps.assistant.generation import Writer
from edgekit.apps.assistant.grounding.embedder import ModelEmbedder
from edgekit.apps.assistant.grounding.grams import GramEmbedder
from edgekit.apps.assistant.library import Library


def test_whatever_is_added_while_documents_are_read_is_read_as_well(tmp_path: Path) -> None:
    with closing(Library(tmp_path, tmp_path / "index.sqlite", GramEmbedder())) as library:
        for number in range(100):
            library.add(f"{number}.txt", f"Pump {number} moves water.".encode())
        assert library.wait(60)
        assert library.count() == 100


def test_a_defect_of_an_embedder_is_told_and_documents_are_read_when_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        if broken:
            raise RuntimeError("no such tensor")
        return np.ones((len(texts), 2), np.float32) / np.float32(2**0.5)

    with closing(Library(tmp_path, tmp_path / "index.sqlite", ModelEmbedder(name="a model", embed=embed))) as library:
        library.add("pump.txt", b"The pump moves water.")
        assert library.wait(60)
        assert (library.state.running, library.state.problem) == (False, "RuntimeError: no such tensor")
        broken = False
        library.update_soon()
        assert library.wait(60)
        assert (library.count(), library.state.problem) == (1, "")


def test_reading_runs_from_when_it_is_asked_for(tmp_path: Path) -> None:
    """Whoever adds a document and then waits until nothing runs finds it, and no problem of before."""

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 2), np.float32) / np.float32(2**0.5)

    with closing(Library(tmp_path, tmp_path / "index.sqlite", ModelEmbedder(name="a model", embed=embed))) as library:
        for number in range(20):
            library.add(f"{number}.txt", b"The pump moves water.")
            wait_until(lambda: not library.state.running, "the document is read")
            assert library.count() == number + 1


def test_an_answer_says_that_documents_are_still_being_read(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        begun.set()
        assert go_on.wait(60)
        return np.ones((len(texts), 2), np.float32) / np.float32(2**0.5)

    library = Library(tmp_path, tmp_path / "index.sqlite", ModelEmbedder(name="a model", embed=embed))
    with closing(Assistant(Writer(None), library)) as assistant:
        (tmp_path / "pump.txt").write_text("The pump moves water.")
        library.update_soon()
        assert begun.wait(60)
        notes = []
        for _ in range(2):
            *_, answer = assistant.ask("What does the pump move?")
            assert isinstance(answer, Answered)
            notes.append(answer.notes)
            go_on.set()
            assert library.wait(60)
        assert notes == [("documents are still being read: 0 of 1 so far",), ()]
