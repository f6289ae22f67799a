"""Text to speech by programs, which are never part of this one."""

from __future__ import annotations

import io
import shutil
import wave
from pathlib import Path

import pytest

from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.runtimes.speech.speaking import Speaker, speaker


def test_an_answer_is_spoken_by_espeak() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng here")
    with wave.open(io.BytesIO(speaker().say("The pump moves forty litres of water."))) as file:
        assert 1 < file.getnframes() / file.getframerate() < 10


def test_no_text_is_an_option_of_the_program(tmp_path: Path) -> None:
    argv = Speaker(program="/usr/bin/espeak-ng", voice="en").argv(tmp_path / "a.wav")
    assert argv == ["/usr/bin/espeak-ng", "-v", "en", "-w", str(tmp_path / "a.wav"), "--stdin"]
    piper = Speaker(program="/usr/bin/piper", voice="/v.onnx").argv(tmp_path / "a.wav")
    assert piper == ["/usr/bin/piper", "--model", "/v.onnx", "--output_file", str(tmp_path / "a.wav")]


@pytest.mark.parametrize("text", ["", " \n\t", "x" * 5001])
def test_nothing_and_too_much_are_not_spoken(text: str) -> None:
    with pytest.raises(InputError, match="1 to 5000"):
        Speaker(program="/bin/true", voice="en").say(text)


def test_a_program_that_fails_or_writes_nothing_is_told_of() -> None:
    with pytest.raises(EdgekitError, match="false"):
        Speaker(program="/bin/false", voice="en").say("hello")
    with pytest.raises(EdgekitError, match="true wrote no speech"):
        Speaker(program="/bin/true", voice="en").say("hello")


def test_without_a_program_it_says_what_to_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency) as refused:
        speaker()
    assert "apt install espeak-ng" in refused.value.hint and "rhasspy/piper-voices" in refused.value.hint


def test_a_voice_without_its_description_and_a_language_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="no voice of Piper"):
        speaker(tmp_path / "v.onnx")
    with pytest.raises(InputError, match="no language"):
        speaker(language="--help")


def test_piper_is_called_as_a_program_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in Piper's place, which writes what it was called with: no voice of Piper is to be had here."""
    (tmp_path / "v.onnx").write_bytes(b"x")
    (tmp_path / "v.onnx.json").write_text("{}")
    program = tmp_path / "piper"
    program.write_text('#!/bin/sh\n{ printf "%s " "$@"; cat; printf "%60s" x; } > "$4"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    said = speaker(tmp_path / "v.onnx").say("two\nlines; $(id)").decode()
    assert said.startswith(f"--model {tmp_path / 'v.onnx'} --output_file ") and "two lines; $(id)" in said
