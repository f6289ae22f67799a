"""What the demo found: the nouns of its JSON result and of its page."""

from __future__ import annotations

from edgekit.core.schema import Parity, Precision, Value
from edgekit.parity import EXACT_DB


class Timing(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Median latency of one inference on this host, with bounds that hold with 95 % or more, in milliseconds."""

    median_ms: float
    lower_ms: float
    upper_ms: float
    samples: int
    runtime: str
    on_target: bool
    """Whether this host and engine are what the artifact was made for."""


class Made(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One artifact: converted, read back, compared once more, timed."""

    target: str
    device: str
    path: str
    precision: Precision
    format: str
    runtime: str
    bytes: int
    sha256: str
    parity: Parity
    """Measured again, on the written artifact, with the samples it carries."""
    seconds: float
    timing: Timing | None = None


class Failure(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A step that did not work, in the words of its error."""

    step: str
    error: str
    hint: str


class Seen(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One digit found in the drawn picture; the box is [x1, y1, x2, y2] in its pixels."""

    digit: int
    score: float
    box: tuple[float, float, float, float]


class Picture(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The drawn picture, what it says, and what the artifact read in it."""

    drawn: str
    read: str
    target: str
    digits: tuple[Seen, ...]


class Demo(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that `edgekit demo` did."""

    page: str
    model: str
    model_bytes: int
    host: str
    artifacts: tuple[Made, ...]
    picture: Picture | None
    failed: tuple[Failure, ...]
    seconds: float


def agreement(parity: Parity) -> str:
    """A parity in a few words."""
    if parity.metric == "max_relative_error":
        return f"{parity.value:.1e} relative error"
    return "the same" if parity.value >= EXACT_DB else f"{parity.value:.1f} dB signal to error"
