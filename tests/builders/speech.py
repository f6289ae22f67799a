"""Speech for tests, made by espeak-ng, as a microphone would bring it."""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

RATE = 16_000


def spoken(text: str, folder: Path) -> bytes:
    """The text as 16-bit mono WAV at 16,000 samples a second; the test is skipped where there is no espeak-ng."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("no espeak-ng here")
    made = folder / "made.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "130", "-w", str(made), text], check=True)
    with wave.open(str(made)) as file:
        samples, rate = np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()
    at = np.arange(int(len(samples) * RATE / rate)) * rate / RATE
    return wav(np.interp(at, np.arange(len(samples)), samples).astype("<i2").tobytes())


def wav(samples: bytes, *, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    """A WAV file of those samples."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(samples)
    return data.getvalue()
