"""What a browser sends as a recording is hostile until it was read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from speech import wav

from edgekit.core.errors import InputError
from edgekit.runtimes.speech.audio import LARGEST_BYTES, RATE, read_wav

SECOND = bytes(2 * RATE)


def test_a_recording_has_its_samples_and_its_length() -> None:
    assert read_wav(wav(SECOND)).seconds == 1.0
    assert read_wav(wav(SECOND)).samples == SECOND


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no WAV file"),
        (b"<!doctype html><html>", "no WAV file"),
        (b"OggS" + bytes(400), "no WAV file"),
        (wav(SECOND)[:30], "no WAV file"),
        (wav(SECOND)[:-8000], "cut off"),
        (wav(SECOND, rate=44_100), "44100 samples a second"),
        (wav(SECOND, channels=2), "2 channels"),
        (wav(SECOND, width=1), "8 bits"),
        (wav(SECOND[:200]), "0.01 s"),
        (wav(b""), "0.00 s"),
        (wav(SECOND * 61), "are heard at most"),
        (bytes(LARGEST_BYTES + 1), "are heard at most"),
        (wav(SECOND).replace(b"data" + struct.pack("<I", 2 * RATE), b"data" + struct.pack("<I", 0xFFFFFFF0)), "cut off"),
    ],
)
def test_what_is_no_recording_of_ours_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_wav(data)


@given(st.integers(0, 60), st.binary(max_size=12), st.integers(0, 400))
def test_no_header_whatever_raises_anything_else(at: int, noise: bytes, cut: int) -> None:
    whole = bytearray(wav(bytes(8000)))
    whole[at : at + len(noise)] = noise
    try:
        assert read_wav(bytes(whole[: len(whole) - cut])).seconds <= 60
    except InputError as refused:
        assert refused.message
