"""Speech to text: real recognisers, in real processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from speech import spoken

from edgekit.core.errors import InputError, MissingDependency
from edgekit.runtimes.speech import hearing
from edgekit.runtimes.speech.audio import Speech, read_wav
from edgekit.runtimes.speech.hearing import Recogniser, recogniser
from edgekit.runtimes.text import EngineLost, EngineRefused

NOISE = Speech(samples=bytes(range(256)) * 125)
NUMBERS = "one two three four five"


def test_plain_words_are_heard_with_no_model_fetched(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    assert recogniser().hear(read_wav(spoken(NUMBERS, tmp_path))) == NUMBERS


def test_silence_is_no_text() -> None:
    assert Recogniser(engine="not even asked").hear(Speech(samples=bytes(32_000))) == ""


def test_without_a_recogniser_it_says_what_to_fetch_and_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as refused:
        recogniser()
    assert "edgekit[voice]" in refused.value.hint
    assert "https://huggingface.co/ggerganov/whisper.cpp" in refused.value.hint
    with pytest.raises(MissingDependency, match=r"whisper.cpp is not installed"):
        recogniser(Path("ggml-base.en.bin"))


def test_another_language_needs_a_model() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(InputError, match="only English") as refused:
        recogniser(language="de")
    assert "ggml-base.bin" in refused.value.hint


@pytest.mark.parametrize("data", [b"", b"<!doctype html>" + bytes(200_000), b"version https://git-lfs", b"lmgg" + bytes(50)])
def test_a_page_or_a_half_file_in_place_of_a_model_is_refused_before_it_is_loaded(data: bytes, tmp_path: Path) -> None:
    pytest.importorskip("pywhispercpp")
    (tmp_path / "ggml.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"no model of whisper.cpp"):
        recogniser(tmp_path / "ggml.bin")


def test_a_damaged_model_is_refused_by_whisper_itself_and_nothing_else_ends(tmp_path: Path) -> None:
    pytest.importorskip("pywhispercpp")
    (tmp_path / "ggml.bin").write_bytes(b"lmgg" + os.urandom(200_000))
    with pytest.raises((EngineLost, EngineRefused), match=r"whisper.cpp"):
        recogniser(tmp_path / "ggml.bin").hear(NOISE)


def test_an_engine_that_is_not_installed_is_told_by_its_process() -> None:
    with pytest.raises(EngineLost, match="ended with status 1"):
        Recogniser(engine="no such engine").hear(NOISE)


def test_a_recogniser_that_takes_too_long_is_ended() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(EngineLost, match=r"within 0.01 s"):
        recogniser().hear(NOISE, latest_s=0.01)


def test_a_recogniser_that_is_killed_is_told_of(processes: Callable[[], list[int]]) -> None:
    pytest.importorskip("pocketsphinx")
    told: list[Exception] = []

    def hear() -> None:
        try:
            recogniser().hear(Speech(samples=os.urandom(1_900_000)))
        except EngineLost as lost:
            told.append(lost)

    hearing_thread = threading.Thread(target=hear)
    hearing_thread.start()
    while not (found := processes()):
        hearing_thread.join(0.02)
    os.kill(found[0], signal.SIGKILL)
    hearing_thread.join(60)
    assert "killed by SIGKILL" in str(told[0])
