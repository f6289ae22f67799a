"""The voice of the assistant: what hears a question, what reads an answer aloud, and why either cannot."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from edgekit.apps.assistant.options import VoiceOptions
from edgekit.core.errors import EdgekitError
from edgekit.runtimes.speech.audio import LONGEST_S, SHORTEST_S, read_wav
from edgekit.runtimes.speech.hearing import Recogniser, recogniser
from edgekit.runtimes.speech.speaking import LONGEST_TEXT, Speaker, speaker

T = TypeVar("T")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKS = re.compile(r" ?\[\d{1,3}\]|[*`#_|>]+")


class Voice:
    """Hears one recording at a time, and speaks. What is missing is looked for again every time: it may have been installed."""

    def __init__(self, options: VoiceOptions) -> None:
        self._options = options
        self._one_at_a_time = threading.Lock()

    def described(self) -> dict[str, Any]:
        """What hears and what speaks; where nothing does, the reason and what to fetch."""
        return {
            "hears": _told(self._recogniser, lambda found: {"engine": found.engine, "note": found.note}),
            "speaks": _told(self._speaker, lambda found: {"engine": Path(found.program).name}),
            "longest_s": LONGEST_S,
            "shortest_s": SHORTEST_S,
        }

    def hear(self, wav: bytes) -> dict[str, Any]:
        """The text of a recording and its length. Raises `InputError` for audio that is not heard, and what recognisers raise."""
        speech, found = read_wav(wav), self._recogniser()
        with self._one_at_a_time:
            return {"text": found.hear(speech), "seconds": round(speech.seconds, 2)}

    def say(self, text: str) -> bytes:
        """A WAV file of an answer. Raises what speakers raise."""
        found = self._speaker()
        with self._one_at_a_time:
            return found.say(spoken(text))

    def _recogniser(self) -> Recogniser:
        return recogniser(self._options.speech_model, self._options.language)

    def _speaker(self) -> Speaker:
        return speaker(self._options.piper_voice, self._options.language)


def spoken(text: str) -> str:
    """An answer as it is read aloud: without its code, the numbers of its sources and its marks, and no longer than is spoken at once."""
    whole = " ".join(_MARKS.sub("", " ".join(_CODE.sub(" ", text).split())).split())
    if len(whole) <= LONGEST_TEXT:
        return whole
    return whole[: whole.rfind(" ", 0, LONGEST_TEXT) + 1 or LONGEST_TEXT].strip()


def _told(find: Callable[[], T], described: Callable[[T], dict[str, str]]) -> dict[str, Any]:
    try:
        return {"ok": True} | described(find())
    except EdgekitError as exc:
        return {"ok": False, "reason": exc.message, "hint": exc.hint}
