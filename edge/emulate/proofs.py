"""How an app shows that it works: asked over HTTP, on the emulated board and on this machine, it must say the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import DeviceError, UsageError
from edgekit.emulate.served import ANSWER_S, Served

TOKENS = 16
"""Of a completion: enough to differ where an engine does, few enough for an emulated core."""
PROMPT = "The pump is switched off by"
_STEP_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`ask` asks a served app, with a token, and tells what it said in words that can be compared; `about` is what it is asked.

    `arguments` is how the app is started for it, beside where it listens, and `extras` what its packages need to hold.
    """

    about: str
    ask: Callable[[Served, str], str]
    extras: tuple[str, ...]
    arguments: tuple[str, ...] = ()


def proof_of(app: str, picture: Path | None = None) -> Proof:
    """What `app` is asked; of those that read pictures, about this one. Raises `UsageError` for an app that has no proof."""
    if app not in PROOFS:
        raise UsageError(f"nobody has written down what {app or 'no app'} is asked on a board", f"--app {', '.join(PROOFS)}")
    return PROOFS[app](picture)


def _digits(picture: Path | None) -> Proof:
    if picture is None:
        raise UsageError("the app on the card is asked about a picture, and none was given", "--image FILE")
    data = picture.read_bytes()

    def number(served: Served, token: str) -> str:
        return str(served.asked("/api/digits/read", data, token).get("number"))

    return Proof(about=f"the number in {picture.name}", ask=number, extras=("litert", "web"))


def _camera(picture: Path | None) -> Proof:
    """The drawn camera, which is the same everywhere."""
    return Proof(
        about="a drawn camera",
        ask=_watched,
        extras=("litert", "vision", "web"),
        arguments=("--source", "synthetic:320x180"),
    )


def _watched(served: Served, token: str) -> str:
    """Waits for the first picture that the detector was asked about."""
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        (camera,) = served.asked("/api/surveillance/cameras", token=token)
        if camera["failed"]:
            return f"stopped: {camera['failed']}"
        if camera["frames"] and 'stage="detect"' in served.text("/metrics", token=token):
            return "frames came, and the detector looked at them"
        time.sleep(_STEP_S)
    raise DeviceError(f"{served.url}: in {ANSWER_S:g} s the detector looked at no frame")


def _assistant(picture: Path | None) -> Proof:
    return Proof(about=f"what follows {PROMPT!r}", ask=_completed, extras=("assistant", "llm"))


def _completed(served: Served, token: str) -> str:
    """The likeliest words, one after the other: nothing is drawn."""
    asked = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}
    said = served.asked("/v1/completions", json.dumps(asked).encode(), token, "application/json")
    return str(said["choices"][0]["text"])


PROOFS: Mapping[str, Callable[[Path | None], Proof]] = {
    "digits": _digits,
    "camera": _camera,
    "surveillance": _camera,
    "assistant": _assistant,
}
