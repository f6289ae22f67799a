"""Compare reports: what changed, by how much, how surely, and whether the two may be compared at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from edgekit.benchmark.process.language import per_token_ns
from edgekit.benchmark.rendering.words import digits
from edgekit.benchmark.report import Full, Report, Result, Run
from edgekit.benchmark.statistics.ratio import Ratio, ratio
from edgekit.benchmark.statistics.summarise import median_ms
from edgekit.core.errors import InputError

LATENCY = "latency"
FIRST_PIECE = "first piece"


class Pair(Full, frozen=True, kw_only=True):
    """One artifact's measurement against another's. `ratio` is latency over the base's: above 1 is slower."""

    base: str
    other: str
    measure: str = LATENCY
    """What the milliseconds are: latency, or of a language model the first piece, and each token of a prompt and of an answer."""
    same_artifact: bool
    base_ms: float
    other_ms: float
    ratio: float
    low: float
    high: float
    confidence: float
    verdict: str
    over_limit: bool


class Comparison(Full, frozen=True, kw_only=True):
    """A report against the base report."""

    differences: tuple[str, ...]
    """Conditions that differ so that the ratio is not one of the artifacts alone."""
    remarks: tuple[str, ...]
    """Conditions that differ and may explain a difference."""
    pairs: tuple[Pair, ...]
    unmatched: tuple[str, ...]
    limit: float | None

    @property
    def ok(self) -> bool:
        """Whether no pair is over the limit."""
        return not any(pair.over_limit for pair in self.pairs)


def compare(base: Report, other: Report, *, limit: float | None = None, anyway: bool = False) -> Comparison:
    """Pair the results by folder name (or the only one with the only one) and compare their medians.

    `limit` 0.05 marks a pair that is more than 5 % slower, when the interval leaves no doubt that it is slower at all.
    Raises `InputError` when nothing pairs, or when the conditions differ and `anyway` is not given.
    """
    matched, unmatched = _matched(base.results, other.results)
    if not matched:
        raise InputError(
            "the reports have no artifact in common", "compare reports of the same artifacts, or of one artifact each"
        )
    found = tuple(
        dict.fromkeys([*_differences(base, other), *(text for pair in matched for text in _engine_differences(*pair))])
    )
    if found and not anyway:
        raise InputError(
            f"these reports are not comparable: {'; '.join(found)}", "--anyway compares them and says so in the result"
        )
    return Comparison(
        differences=found,
        remarks=_remarks(base, other, matched),
        pairs=tuple(pair for first, second in matched for pair in _pairs(first, second, limit)),
        unmatched=unmatched,
        limit=limit,
    )


def _matched(base: Sequence[Result], other: Sequence[Result]) -> tuple[list[tuple[Result, Result]], tuple[str, ...]]:
    """Results with the same folder name, and the names that only one of the two has."""
    if len(base) == len(other) == 1:
        return [(base[0], other[0])], ()
    for results in (base, other):
        _ensure_told_apart(results)
    first, second = ({result.subject.folder: result for result in results} for results in (base, other))
    both = [name for name in first if name in second]
    return [(first[name], second[name]) for name in both], tuple(sorted(first.keys() ^ second.keys()))


def _ensure_told_apart(results: Sequence[Result]) -> None:
    """Results are paired by folder name, so a name that occurs twice would hide one of them."""
    names = [result.subject.folder for result in results]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"one report holds several artifacts named {twice!r}", "measure them in reports of their own")


def _differences(base: Report, other: Report) -> list[str]:
    """What makes two reports incomparable: another machine, another scenario."""
    first, second = base.environment, other.environment
    return _unlike(
        ("machine", first.machine, second.machine),
        ("processor", first.cpu, second.cpu),
        ("instruction set", first.isa, second.isa),
        ("usable cores", first.usable_cores, second.usable_cores),
        ("scenario", base.method.scenario, other.method.scenario),
        ("rate", base.method.rate_hz, other.method.rate_hz),
        ("tokens of a prompt", base.method.prompt_tokens, other.method.prompt_tokens),
        ("tokens of an answer", base.method.answer_tokens, other.method.answer_tokens),
    )


def _engine_differences(base: Result, other: Result) -> list[str]:
    """What makes two results incomparable: other threads, or one on its target and the other not."""
    return _unlike(
        ("threads", base.engine.threads, other.engine.threads),
        ("measured on its target", _yes(base.on_target), _yes(other.on_target)),
    )


def _remarks(base: Report, other: Report, matched: Sequence[tuple[Result, Result]]) -> tuple[str, ...]:
    """What may explain a difference."""
    first, second = base.environment, other.environment
    shared = _unlike(
        ("governor", first.governor, second.governor),
        ("system", first.os, second.os),
        ("kernel", first.kernel, second.kernel),
        ("Python", first.python, second.python),
        ("edgekit", first.edgekit, second.edgekit),
    )
    engines = (_unlike(("engine", _engine(one), _engine(two)), ("input", one.input, two.input)) for one, two in matched)
    return tuple(dict.fromkeys([*shared, *(text for texts in engines for text in texts)]))


def _unlike(*rows: tuple[str, object, object]) -> list[str]:
    return [f"{name} {first!s} and {second!s}" for name, first, second in rows if first != second]


def _engine(result: Result) -> str:
    return f"{result.engine.runtime} {result.engine.version}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def measures(result: Result) -> Mapping[str, tuple[Run, ...]]:
    """What can be compared, each as runs whose latencies are that."""
    if result.summary.tokens is None:
        return {LATENCY: result.runs}
    tokens = [per_token_ns(run.answers) for run in result.runs]
    told = {
        name: tuple(replace(run, latencies_ns=each[name]) for run, each in zip(result.runs, tokens, strict=True))
        for name in tokens[0]
    }
    return {FIRST_PIECE: result.runs, **told}


def _pairs(base: Result, other: Result, limit: float | None) -> Iterator[Pair]:
    """One pair for each thing that both were measured for."""
    first, second = measures(base), measures(other)
    for measure in (name for name in first if name in second):
        runs = (first[measure], second[measure])
        yield _pair(replace(base, runs=runs[0]), replace(other, runs=runs[1]), measure, limit)


def _pair(base: Result, other: Result, measure: str, limit: float | None) -> Pair:
    found = ratio(base.runs, other.runs)
    said = verdict(base, other, found)
    return Pair(
        base=base.subject.folder,
        other=other.subject.folder,
        measure=measure,
        same_artifact=base.subject.sha256 == other.subject.sha256,
        base_ms=median_ms(*base.runs),
        other_ms=median_ms(*other.runs),
        ratio=round(found.value, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        confidence=found.confidence,
        verdict=said if measure == LATENCY else f"{measure}: {said}",
        over_limit=limit is not None and found.value > 1 + limit and found.low > 1,
    )


def verdict(base: Result, other: Result, found: Ratio) -> str:
    """One sentence: who is faster, by how much, how surely."""
    name = other.subject.folder if other.subject.folder != base.subject.folder else "the second"
    interval = f"{found.confidence:.0%} interval {found.low - 1:+.1%} to {found.high - 1:+.1%}"
    times = f"{digits(median_ms(*base.runs))} to {digits(median_ms(*other.runs))} ms"
    if not found.proven:
        said = f"no difference is proven: {times}, {found.value - 1:+.1%} ({interval})"
    elif found.value > 1:
        said = f"{name} is {found.value - 1:.1%} slower: {times} ({interval})"
    else:
        said = f"{name} is {1 - found.value:.1%} faster: {times} ({interval})"
    return said if found.restarts_known else f"{said}; with a single restart, what a restart changes is not in the interval"
