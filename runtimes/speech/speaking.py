"""Text to speech by programs that are called, never linked: Piper with a voice, else espeak-ng. Both are under the GPL."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.core.process import run, which

LONGEST_TEXT = 5000
"""Characters that are spoken at once."""
LARGEST_BYTES = 64 << 20
PIPER, ESPEAK = "piper", "espeak-ng"
VOICES = "https://huggingface.co/rhasspy/piper-voices"
GET = f"sudo apt install espeak-ng; or pip install piper-tts, with a voice from {VOICES} and --piper-voice FILE.onnx"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """What speaks: a program, and its voice or language."""

    program: str
    voice: str

    def argv(self, goal: Path) -> list[str]:
        """How the program is called; the text is its standard input, so that no text is an option."""
        if Path(self.program).name == PIPER:
            return [self.program, "--model", self.voice, "--output_file", str(goal)]
        return [self.program, "-v", self.voice, "-w", str(goal), "--stdin"]

    def say(self, text: str, *, latest_s: float = 120.0) -> bytes:
        """A WAV file of the text. Raises `InputError` for an empty or too long one, `EdgekitError` when the program fails."""
        plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        if not plain or len(plain) > LONGEST_TEXT:
            raise InputError(f"a text of {len(plain)} characters is not spoken: 1 to {LONGEST_TEXT} are")
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            goal = Path(folder) / "speech.wav"
            run(self.argv(goal), stdin=plain, timeout_s=latest_s)
            if not goal.is_file() or not 44 < goal.stat().st_size <= LARGEST_BYTES:
                raise EdgekitError(f"{Path(self.program).name} wrote no speech", "run it by hand")
            return goal.read_bytes()


def speaker(voice: Path | None = None, language: str = "en") -> Speaker:
    """Piper with `voice`, else espeak-ng. Raises `MissingDependency` and `InputError`, which say what to fetch."""
    if not _LANGUAGE.fullmatch(language):
        raise InputError(f"{language!r} is no language", "--language en")
    if voice is not None:
        if not voice.is_file() or not voice.with_name(f"{voice.name}.json").is_file():
            raise InputError(f"{str(voice)!r} and its .json are no voice of Piper", f"both files of a voice from {VOICES}")
        return Speaker(program=_found(PIPER), voice=str(voice.absolute()))
    return Speaker(program=_found(ESPEAK), voice=language)


def _found(program: str) -> str:
    found = which(program)
    if found is None:
        raise MissingDependency(f"{program} is not installed, so nothing speaks", GET)
    return str(found)
