"""Whether a latency can be what it is said to be: asked of the data sheet, of this machine's calibration, and of its neighbours.

Published tables hold runs that no reader could have seen to be wrong: a phone-sized board faster than a data centre's card, a
model whose time does not depend on its size, a delegate that was never used. What a model does is read by the converters'
readers, which boards that only run artifacts need not have: they are imported where they are used, and nothing is said without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.benchmark.rendering.words import digits
from edgekit.benchmark.report import Environment, Flag, Method, Result
from edgekit.benchmark.statistics.summarise import median_ms
from edgekit.core.errors import EdgekitError, MissingDependency, NotFound, Unsupported
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact

if TYPE_CHECKING:
    from edgekit.prediction import LatencyProfile, Work

FACTOR = 3.0
"""Calibrations are off by a tenth or two; three times is another delegate, another clock, or another model."""
ALONE = frozenset({"single-stream", "periodic"})
"""Scenarios in which a latency is that of one inference that waits for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A result, and what its model does; `works` is empty where that is not known."""

    result: Result
    works: tuple[Work, ...]

    @property
    def ms(self) -> float:
        return median_ms(*self.result.runs)


def measured(artifact: Artifact, result: Result) -> Measured:
    """The result with the operators of its model file, where a reader for that format is here and the engine computes at all."""
    try:
        from edgekit.prediction.lookup import works_of

        unknown = result.engine.runtime == "dryrun" or artifact.manifest.language is not None
        works = () if unknown else works_of(artifact.file("model"))[0]
    except (MissingDependency, Unsupported):
        works = ()
    return Measured(result=result, works=works)


def doubts(one: Measured, others: Sequence[Measured], environment: Environment, method: Method) -> tuple[Flag, ...]:
    """Why the result is suspect; nothing for one that is not, or of which nothing is known."""
    if not one.works or method.scenario not in ALONE:
        return ()
    found = (*_impossible(one), *_unlike_its_calibration(one, environment), *_out_of_order(one, others))
    return tuple(Flag(code="implausible", severity="warning", text=text) for text in found)


def _impossible(one: Measured) -> Iterator[str]:
    """Faster than the board's own data sheet allows."""
    from edgekit.roofline import roof

    result = one.result
    if not result.on_target:
        return
    try:
        device = find(result.subject.device)
    except NotFound:
        return
    engine = next((each for each in device.engines if each.runtime == result.engine.runtime), None)
    limit = roof(device, engine, result.subject.precision) if engine else "no engine"
    if isinstance(limit, str):
        return
    least = 1e3 * sum(work.macs for work in one.works) / limit.macs_per_s
    if one.ms < least:
        yield f"{digits(one.ms)} ms is less than the {digits(least)} ms that {device.name} takes at its peak rate"


def _unlike_its_calibration(one: Measured, environment: Environment) -> Iterator[str]:
    """Far from what 'edgekit calibrate' found out about this engine on this processor."""
    from edgekit.prediction import predict

    for profile in _profiles():
        told = predict(one.works, profile) if _fits(profile, one.result, environment) else None
        if told is None or told.low_ms <= one.ms <= told.high_ms:
            continue
        factor = one.ms / told.value_ms
        if not 1 / FACTOR < factor < FACTOR:
            said = f"{digits(factor)} times the {digits(told.value_ms)} ms that this machine's calibration predicts"
            yield f"{digits(one.ms)} ms is {said}: did another delegate, power mode or load come in?"


def _profiles() -> tuple[LatencyProfile, ...]:
    """What the user calibrated; a damaged file is for 'edgekit inspect' to complain about, not for a benchmark to end with."""
    from edgekit.prediction import stored

    try:
        return stored()
    except EdgekitError:
        return ()


def _fits(profile: LatencyProfile, result: Result, environment: Environment) -> bool:
    """Whether the profile is of that engine, in that version, with those threads, on that processor."""
    engine = result.engine
    return (profile.runtime, profile.version, profile.threads) == (engine.runtime, engine.version, engine.threads) and (
        profile.cpu,
        profile.power_mode,
        profile.precision,
    ) == (environment.cpu, environment.power_mode, result.subject.precision)


def _out_of_order(one: Measured, others: Sequence[Measured]) -> Iterator[str]:
    """Slower than a model that does more of everything, in the same engine and precision."""
    from edgekit.prediction.fit import terms
    from edgekit.prediction.plausible import MARGIN, does_less

    mine = terms(one.works)
    for other in others:
        alike = other.works and _set_up(other.result) == _set_up(one.result)
        if alike and one.ms > MARGIN * other.ms and does_less(mine, terms(other.works)):
            yield (
                f"{digits(one.ms)} ms is more than the {digits(other.ms)} ms of {other.result.subject.folder}, "
                "which does no less of anything in the same engine"
            )


def _set_up(result: Result) -> tuple[object, ...]:
    return result.engine.runtime, result.engine.threads, result.subject.precision
