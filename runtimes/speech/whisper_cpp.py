"""whisper.cpp through the package pywhispercpp: any of its model files, in about a hundred languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.runtimes.machine import compute_threads
from edgekit.runtimes.speech.audio import Speech

PACKAGE = "pywhispercpp"
MAGIC = b"lmgg"
"""What every model file of whisper.cpp begins with."""
SMALLEST_BYTES = 100_000


def ensure_model(path: Path) -> None:
    """Raise `InputError` for what is no model file: whisper.cpp would end the process over some of it."""
    try:
        with path.open("rb") as file:
            begins, size = file.read(len(MAGIC)), path.stat().st_size
    except OSError as exc:
        raise InputError(
            f"the speech model {str(path)!r} cannot be read: {exc.strerror or exc}", "--speech-model FILE"
        ) from exc
    if begins != MAGIC or size < SMALLEST_BYTES:
        raise InputError(f"{path.name!r} is no model of whisper.cpp: {size:,} bytes that begin with {begins!r}", "ggml-*.bin")


def hear(speech: Speech, model: str, language: str) -> str:
    """What was said. Raises `InputError` for a file that is no model."""
    ensure_model(Path(model))
    package = need(f"{PACKAGE}.model")
    samples = np.frombuffer(speech.samples, "<i2").astype(np.float32) / 32768
    loaded = package.Model(model, n_threads=compute_threads(), print_progress=False, print_realtime=False)
    return " ".join(part.text.strip() for part in loaded.transcribe(samples, language=language))
