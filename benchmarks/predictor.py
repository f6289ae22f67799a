"""How well latency is predicted from operator costs, on published measurements: leave-one-out, and of unseen families.

    python benchmarks/predictor.py FILE.csv.gz [--keep]      --keep writes results/predictor.json

The file has the columns device, power_mode, model, precision, runtime, runtime_version, batch, metric, value, unit and
source_ref (batch is not read). Lines that say something else, or nothing, are counted. A configuration is one set-up of one
submission. Suspect configurations are named and left out by two rules that
know nothing of the predictor:

- disorder: of the pairs of models in which one does no more of anything, 5 % or more are the wrong way round;
- peers: half again as slow as every other run of that runtime and precision on that device, over the models they share.
"""

from __future__ import annotations

import csv
import gzip
import math
import re
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from architectures import Network, network
from common import conditions, write

from edgekit.core.errors import InputError
from edgekit.prediction.fit import Terms, fit, left_out, predicted_ms, terms
from edgekit.prediction.plausible import disorder

METRIC = "latency_mean"
LEAST_MODELS = 16
LEAST_SHARED = 8
LEAST_OF_A_FAMILY = 3
DISORDER = 0.05
SLOWER = 1.5
COLUMNS = frozenset(
    {"device", "power_mode", "model", "precision", "runtime", "runtime_version", "metric", "value", "unit", "source_ref"}
)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One set-up: what was measured is comparable within it."""

    device: str
    power_mode: str
    runtime: str
    version: str
    precision: str
    source: str

    def __str__(self) -> str:
        return " · ".join(
            part for part in (self.device, self.power_mode, self.runtime, self.version, self.precision, self.source) if part
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A network and its latency in one set-up."""

    network: Network
    row: Terms
    ms: float


Setups = Mapping[Setup, tuple[Measured, ...]]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file holds: measurements, models nobody knows the operators of, and lines that cannot be read."""

    setups: Setups
    unknown: frozenset[str]
    damaged: int


def main(arguments: list[str]) -> int:
    """Read, judge, predict, print."""
    keep = arguments[1:] == ["--keep"]
    if not arguments or (arguments[1:] and not keep):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = read(Path(arguments[0]))
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error, InputError) as error:
        print(f"error: {arguments[0]}: {error}", file=sys.stderr)
        return 1
    setups = found.setups
    print(f"{len(setups)} set-ups; models without known operators: {', '.join(sorted(found.unknown)) or 'none'}")
    if found.damaged:
        print(f"left out: {found.damaged} lines whose value is no positive number of milliseconds")
    judged = {setup: suspicion(setup, setups) for setup in setups}
    for setup, reason in judged.items():
        if reason:
            print(f"left out: {setup}: {reason}")
    good = {setup: rows for setup, rows in setups.items() if not judged[setup]}
    errors = report(good)
    if keep:
        left_out = {str(setup): reason for setup, reason in judged.items() if reason}
        write(
            "predictor",
            {
                "conditions": conditions(),
                "file": Path(arguments[0]).name,
                "set_ups": len(good),
                "left_out": left_out,
                **errors.plain(),
            },
        )
    return 0


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Relative errors of all predictions: of single models, and of models of families that were left out whole."""

    singles: list[float]
    families: Mapping[str, list[float]]

    @property
    def unseen(self) -> list[float]:
        """Of all families together."""
        return [*chain.from_iterable(self.families.values())]

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        families = {family: near(found) for family, found in sorted(self.families.items())}
        return {"leave_one_out": near(self.singles), "unseen_family": near(self.unseen), "families": families}


def near(found: list[float]) -> dict[str, float]:
    """How many predictions there are, their mean error, and how many are near."""
    within = float(np.mean(np.array(found) <= 0.1)) if found else 0.0
    return {
        "predictions": len(found),
        "mape": round(float(np.mean(found)), 4) if found else 0.0,
        "within_10_percent": round(within, 4),
    }


def read(path: Path) -> Found:
    """Latencies by set-up; models measured twice in one count once, by their median."""
    values: dict[Setup, dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    networks: dict[tuple[str, str], Network] = {}
    unknown: set[str] = set()
    damaged = 0
    for line in lines(path):
        ms, made = milliseconds(line["value"]), network(line["model"] or "")
        if made is None:
            unknown.add(line["model"] or "a model without a name")
        elif ms is None:
            damaged += 1
        else:
            networks[made.family, made.variant] = made
            values[setup_of(line)][made.family, made.variant].append(ms)
    rows = {key: terms(made.works) for key, made in networks.items()}
    setups = {
        setup: tuple(Measured(network=networks[key], row=rows[key], ms=median(each)) for key, each in sorted(models.items()))
        for setup, models in values.items()
    }
    return Found(setups=setups, unknown=frozenset(unknown), damaged=damaged)


def lines(path: Path) -> Iterator[Mapping[str, str | None]]:
    """The lines that tell a mean latency in milliseconds."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := COLUMNS - set(reader.fieldnames or ()):
            raise InputError(f"there is no column {', '.join(sorted(missing))}")
        yield from (line for line in reader if (line["metric"], line["unit"]) == (METRIC, "ms"))


def milliseconds(said: str | None) -> float | None:
    """The value of a line; None for what is no latency."""
    try:
        value = float(said or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def setup_of(line: Mapping[str, str | None]) -> Setup:
    """The set-up a line belongs to. A precision that is not said is float, which the submissions of that time meant."""
    source = re.search(r"results_([^:/]+):.*?/results/([^/]+)/", line["source_ref"] or "")
    return Setup(
        device=line["device"] or "",
        power_mode=line["power_mode"] or "",
        runtime=line["runtime"] or "",
        version=line["runtime_version"] or "",
        precision=line["precision"] or "fp32",
        source=f"{source[1]} {source[2]}" if source else "",
    )


def suspicion(setup: Setup, setups: Setups) -> str:
    """Why the set-up is left out; empty when it is not."""
    rows = setups[setup]
    if len(rows) < LEAST_MODELS:
        return f"{len(rows)} models are too few to leave one out of"
    wrong = disorder([each.row for each in rows], [each.ms for each in rows])
    if wrong >= DISORDER:
        return f"disorder: {wrong:.0%} of the comparable pairs are the wrong way round"
    ratios = [ratio for other in setups if other != setup and peers(setup, other) and (ratio := slower(rows, setups[other]))]
    if ratios and min(ratios) >= SLOWER:
        return f"peers: {min(ratios):.1f} times as slow as every other run of {setup.runtime} {setup.precision} on that device"
    return ""


def peers(one: Setup, other: Setup) -> bool:
    """Whether two set-ups differ in version, mode or submission only."""
    return (one.device, one.runtime, one.precision) == (other.device, other.runtime, other.precision)


def slower(rows: Iterable[Measured], others: Iterable[Measured]) -> float | None:
    """The median ratio over the models that both measured; None for too few."""
    by_key = {(each.network.family, each.network.variant): each.ms for each in others}
    keyed = [(each.ms, by_key.get((each.network.family, each.network.variant))) for each in rows]
    ratios = [ms / other for ms, other in keyed if other]
    return median(ratios) if len(ratios) >= LEAST_SHARED else None


def report(setups: Setups) -> Errors:
    """One line a set-up, then all together."""
    singles: list[float] = []
    families: dict[str, list[float]] = defaultdict(list)
    for setup, rows in sorted(setups.items(), key=lambda item: str(item[0])):
        alone = leave_one_out(rows)
        by_family = unseen(rows)
        singles += alone
        for family, found in by_family.items():
            families[family] += found
        pooled = [*chain.from_iterable(by_family.values())]
        print(f"{shown(alone)}; unseen family {shown(pooled)}  {setup}")
    errors = Errors(singles=singles, families=families)
    print(f"\nall {len(setups)} set-ups, {len(singles)} predictions")
    print(f"leave one out  {shown(singles)}")
    for family, found in sorted(families.items()):
        print(f"  without {family:<18} {shown(found)}")
    print(f"unseen family  {shown(errors.unseen)}")
    return errors


def leave_one_out(rows: tuple[Measured, ...]) -> list[float]:
    """The relative error of every model, predicted from all others."""
    ratios = left_out([each.row for each in rows], [each.ms for each in rows], range(len(rows)))
    return [abs(ratio - 1) for ratio in ratios]


def unseen(rows: tuple[Measured, ...]) -> dict[str, list[float]]:
    """The errors of every family of three or more, predicted from the other families where these are enough to fit."""
    found = {}
    for family in sorted({each.network.family for each in rows}):
        inside = [each for each in rows if each.network.family == family]
        outside = [each for each in rows if each.network.family != family]
        if len(inside) >= LEAST_OF_A_FAMILY and len(outside) >= LEAST_SHARED:
            rates = fit([each.row for each in outside], [each.ms for each in outside])
            found[family] = [abs(predicted_ms(each.row, rates) / each.ms - 1) for each in inside]
    return found


def shown(found: list[float]) -> str:
    """MAPE, and how many are near."""
    if not found:
        return "   –"
    return f"MAPE {np.mean(found):5.1%}, {np.mean(np.array(found) <= 0.1):4.0%} within 10 %"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
