"""How reports write numbers: enough digits to compare, none that mean nothing."""

from __future__ import annotations

from edgekit.benchmark.report import Percentile, Rate, Result
from edgekit.core.schema import Accuracy, Parity

NONE = "–"
_PARITIES = {"sqnr_db": "{:.1f} dB", "kl_nats": "{:.2g} nats"}
_UNITS = (("s", 1e3), ("ms", 1.0), ("µs", 1e-3), ("ns", 1e-6))


def digits(value: float) -> str:
    """Four significant digits: 0.01234, 1.234, 123.4, 1234, 123456."""
    return f"{value:#.4g}".rstrip(".") if abs(value) < 1e4 else f"{value:.0f}"


def duration(ms: float) -> str:
    """A time with the unit that suits it: 12.34 ms, 987.6 µs."""
    unit, scale = next(((unit, scale) for unit, scale in _UNITS if ms >= scale), _UNITS[-1])
    return f"{digits(ms / scale)} {unit}"


def size(count: int | None) -> str:
    """Bytes as people read them: 1.2 MB (decimal)."""
    if count is None:
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"


def percentile_of(result: Result, level: float) -> Percentile | None:
    """That percentile of a result; None when there were too few samples for it."""
    return next((found for found in result.summary.percentiles if found.level == level), None)


def rate_words(rate: Rate) -> str:
    """Tokens per second, and the deviation under it."""
    return digits(rate.per_s) + ("" if rate.deviation is None else f"\n± {digits(rate.deviation)}")


def parity_words(parity: Parity | None) -> str:
    """How near the source model the artifact computes."""
    if parity is None:
        return "unknown"
    value = _PARITIES.get(parity.metric, "{:.1e} rel.").format(parity.value)
    return value if parity.ok else f"FAILED: {value}"


def accuracy_words(accuracy: Accuracy | None) -> str:
    """The artifact's accuracy, and under it what it lost against its source."""
    if accuracy is None:
        return f"{NONE}\nnot measured"
    change = accuracy.artifact - accuracy.source
    return f"{accuracy.artifact:.4f}\n{accuracy.metric}, {change:+.4f}"


def engine_words(result: Result) -> str:
    """What ran it: onnxruntime 1.20, 2 threads."""
    engine = result.engine
    threads = "1 thread" if engine.threads == 1 else f"{engine.threads} threads"
    return f"{engine.runtime} {engine.version}".strip() + f", {threads}"


def place_words(result: Result) -> str:
    """On what it was measured, loud when that is not what the artifact is for."""
    return "" if result.on_target else f"HOST RUN, not {result.subject.device}"
