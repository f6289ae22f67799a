"""The process around a recogniser: it hears one recording, says what it heard, and ends.

Standard input is a line of JSON and then the samples; standard output is a line of JSON. All else goes to standard error.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

from edgekit.core.errors import EdgekitError
from edgekit.runtimes.machine import hold_to, usable_memory
from edgekit.runtimes.speech import sphinx, whisper_cpp
from edgekit.runtimes.speech.audio import Speech

ENGINES = {"whisper.cpp": whisper_cpp.hear, "pocketsphinx": sphinx.hear}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with the samples that follow."""

    engine: str
    model: str = ""
    language: str = "en"


class Heard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was heard, or why nothing could be."""

    text: str = ""
    error: str = ""
    hint: str = ""


def main() -> None:
    """Hear what standard input holds."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    call = msgspec.json.decode(sys.stdin.buffer.readline(), type=Call)
    answers.write(msgspec.json.encode(_heard(call, Speech(samples=sys.stdin.buffer.read()))))


def _heard(call: Call, speech: Speech) -> Heard:
    if free := usable_memory():
        hold_to(free)  # too much is then an error here, not a killed board
    hear: Any = ENGINES[call.engine]
    try:
        return Heard(text=hear(speech, call.model, call.language))
    except EdgekitError as exc:
        return Heard(error=exc.message, hint=exc.hint)
    except Exception as exc:  # the other side of a process border: whatever went wrong is told there
        return Heard(error=f"{call.engine}: {type(exc).__name__}: {exc}")
