"""Speech to text: which recogniser there is here, and asking it, in a process that ends with the recording."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from edgekit.core.errors import InputError, MissingDependency
from edgekit.core.process import ending
from edgekit.runtimes._children import kill, started
from edgekit.runtimes.speech import sphinx, whisper_cpp
from edgekit.runtimes.speech._child import Call, Heard
from edgekit.runtimes.speech.audio import Speech
from edgekit.runtimes.text import EngineLost, EngineRefused

CHILD = "edgekit.runtimes.speech._child"
LATEST_S = 120.0
"""A recording that is not understood within this is given up."""
LONGEST_TEXT = 4000
MODELS = "https://huggingface.co/ggerganov/whisper.cpp"
GET = 'pip install "edgekit[voice]"'
BETTER = f"--speech-model FILE hears better: ggml-base.en.bin (about 142 MiB; ggml-base.bin for other languages) from {MODELS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recogniser:
    """What hears. `note` says what a user should know of it."""

    engine: str
    model: str = ""
    language: str = "en"
    note: str = ""

    def hear(self, speech: Speech, *, latest_s: float = LATEST_S) -> str:
        """What was said; empty for nothing. Raises `EngineRefused`, `EngineLost` when its process ends or is too late."""
        if speech.is_silent:
            return ""
        call = msgspec.json.encode(Call(engine=self.engine, model=self.model, language=self.language))
        with tempfile.TemporaryFile() as said:
            process = started(CHILD, said)
            try:
                answer, _ = process.communicate(call + b"\n" + speech.samples, timeout=latest_s)
            except subprocess.TimeoutExpired as exc:
                raise EngineLost(
                    f"{self.engine} did not understand {speech.seconds:.1f} s within {latest_s:g} s", BETTER
                ) from exc
            finally:
                kill(process)
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        stream.close()
        if process.returncode or not answer:
            raise EngineLost(f"{self.engine}: its process {ending(process.returncode)}", "edgekit doctor")
        heard = msgspec.json.decode(answer, type=Heard)
        if heard.error:
            raise EngineRefused(heard.error, heard.hint)
        return " ".join(heard.text.split())[:LONGEST_TEXT]


def recogniser(model: Path | None = None, language: str = "en") -> Recogniser:
    """whisper.cpp with `model`, else PocketSphinx with its own. Raises `MissingDependency` and `InputError`, which say what to fetch."""
    if model is not None:
        if find_spec(whisper_cpp.PACKAGE) is None:
            raise MissingDependency("whisper.cpp is not installed, so nothing hears what you say", GET)
        whisper_cpp.ensure_model(model)
        return Recogniser(engine="whisper.cpp", model=str(model.absolute()), language=language, note=model.name)
    if find_spec(sphinx.PACKAGE) is None:
        raise MissingDependency("nothing is installed that hears what you say", f"{GET}, then {BETTER}")
    if language != "en":
        raise InputError(f"without a model only English is heard, not {language!r}", BETTER)
    return Recogniser(engine="pocketsphinx", note=f"a small English model that mishears many words; {BETTER}")
