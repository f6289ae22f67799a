"""What a microphone sends: a WAV file that is read only when it is exactly what recognisers take."""

from __future__ import annotations

import io
import sys
import wave
from array import array
from dataclasses import dataclass, field

from edgekit.core.errors import InputError

RATE, CHANNELS, WIDTH = 16_000, 1, 2
LONGEST_S = 60.0
SHORTEST_S = 0.2
SILENCE = 328
LARGEST_BYTES = int(LONGEST_S * RATE) * WIDTH + 4096
"""Of a whole file: the samples, and room for its header."""
_WANTED = "16-bit mono WAV at 16,000 samples a second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Samples as signed 16-bit numbers, little endian, one channel, `RATE` a second."""

    samples: bytes = field(repr=False)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / WIDTH / RATE

    @property
    def is_silent(self) -> bool:
        """Whether nothing in it is as loud as a hundredth of the loudest there can be: recognisers hear words in silence too."""
        whole = array("h", self.samples[: len(self.samples) // WIDTH * WIDTH])
        if sys.byteorder == "big":
            whole.byteswap()
        return max(map(abs, whole), default=0) < SILENCE


def read_wav(data: bytes) -> Speech:
    """The speech in a WAV file. Raises `InputError` for another form, and for what is too long, too short or cut off."""
    if len(data) > LARGEST_BYTES:
        raise InputError(f"the recording has {len(data):,} bytes; {LARGEST_BYTES:,} are heard at most", f"{LONGEST_S:.0f} s")
    try:
        with wave.open(io.BytesIO(data)) as file:
            found = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            promised, samples = file.getnframes(), file.readframes(int(LONGEST_S * RATE) + 1)
    except (wave.Error, EOFError, ValueError, RuntimeError) as exc:  # RuntimeError: chunks that leave their file
        raise InputError(f"the recording is no WAV file: {exc or 'it ends too early'}", _WANTED) from exc
    if found != (RATE, CHANNELS, WIDTH):
        rate, channels, width = found
        raise InputError(f"the recording has {rate} samples a second, {channels} channels of {8 * width} bits", _WANTED)
    return _of_fitting_length(Speech(samples=samples), promised)


def _of_fitting_length(speech: Speech, promised: int) -> Speech:
    if len(speech.samples) != WIDTH * min(promised, int(LONGEST_S * RATE) + 1):
        raise InputError("the recording is cut off: it has fewer samples than its header says", "record it again")
    if speech.seconds > LONGEST_S:
        raise InputError(f"the recording is longer than {LONGEST_S:.0f} s", "ask in shorter sentences")
    if speech.seconds < SHORTEST_S:
        raise InputError(f"the recording has {speech.seconds:.2f} s", "hold the button while you speak")
    return speech
