"""PocketSphinx, whose package brings a small model of American English: it hears plain words, and mishears many."""

from __future__ import annotations

from edgekit.core.optional import need
from edgekit.runtimes.speech.audio import RATE, Speech

PACKAGE = "pocketsphinx"


def hear(speech: Speech, model: str, language: str) -> str:
    """What was said, in small letters. `model` and `language` are its own."""
    decoder = need(PACKAGE).Decoder(samprate=RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(speech.samples, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return str(found.hypstr) if found is not None else ""
