"""The tables of what calls, loads and predictions were measured to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tables import conditions, megabytes, result, table


def prediction() -> str:
    """Models that no calibration has seen: what the calibrated machine was predicted to take for them, and took."""
    found = result("prediction")
    header = ("engine", "models", "mean error (MAPE)", "median", "worst", "within 10 %", "within the interval")
    rows = [(name, *_prediction_cells(told)) for name, told in (*found["by_engine"].items(), ("together", found["summary"]))]
    left_out = ", ".join(f"{name} {error:.1%}" for name, error in found["left_out"].items())
    return f"{table(header, rows)}\n\nThe calibration's own networks, each predicted from the others: {left_out}. {conditions(found['conditions'])}"


def _prediction_cells(told: Mapping[str, Any]) -> tuple[str, ...]:
    refused = f", {told['refused']} refused" if told["refused"] else ""
    return (
        f"{told['models']}{refused}",
        *(f"{told[key]:.1%}" for key in ("mape", "median", "worst", "within_10_percent", "within_interval")),
    )


def loading() -> str:
    """What `edgekit.load` adds to the engine's own load and a hash of the files."""
    found = result("loading")
    header = (
        "artifact",
        "size",
        "engine and hashes",
        "`edgekit.load`: more",
        "ratio",
        "asking the engine for its tensors: more",
    )
    rows = [
        (
            row["artifact"],
            megabytes(row["bytes"]),
            f"{row['load']['base_us'] / 1e3:.2f} ms",
            f"{enclosed(row['load'], 'more_us', '.0f')} µs",
            enclosed(row["load"], "ratio", ".3f"),
            f"{enclosed(row['asked'], 'more_us', '.0f')} µs",
        )
        for row in found["artifacts"]
    ]
    return f"{table(header, rows)}\n\n{_paired(found['artifacts'][0]['load'])} {conditions(found['conditions'])}"


def face() -> str:
    """What a call through edgekit takes beside the engine's own."""
    found = result("face")
    header = (
        *("network", "engine", "its own call", "`raw` over it", "`raw` more"),
        *("`run` over by hand", "`run` more than by hand", "its own call over itself"),
    )
    return f"{table(header, map(_face_row, found['rows']))}\n\n{_paired(found['rows'][0]['raw'])} {conditions(found['conditions'])}"


def _face_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        engine(row),
        f"{row['raw']['base_us'] / 1e3:.3f} ms",
        enclosed(row["raw"], "ratio", ".3f"),
        f"{enclosed(row['raw'], 'more_us', '.1f')} µs",
        enclosed(row["face"], "ratio", ".3f"),
        f"{enclosed(row['face'], 'more_us', '.1f')} µs",
        enclosed(row["control"], "ratio", ".3f"),
    )


def enclosed(told: Mapping[str, Any], what: str, form: str) -> str:
    """A value and between which ones it lies."""
    low, high = told[f"{what}_between"]
    return f"{told[what]:{form}} ({low:{form}} to {high:{form}})"


def _paired(one: Mapping[str, Any]) -> str:
    return f"Medians over pairs of calls; the middle one of {one['processes']} processes, and in brackets the least and the greatest."


def predictor() -> str:
    """Published latencies, each predicted from the others of its set-up, and those of whole families from the other families."""
    found = result("predictor")
    rows = [
        ("every model from all others of its set-up", *_near(found["leave_one_out"]), "6 %, 80 %"),
        ("every family from all other families", *_near(found["unseen_family"]), "12 %"),
        *((f"of these, {family}", *_near(told), "") for family, told in found["families"].items()),
    ]
    left_out = "; ".join(f"{name}: {reason}" for name, reason in found["left_out"].items())
    text = f"{found['set_ups']} set-ups. Left out by the rules of `benchmarks/predictor.py`: {left_out}."
    return f"{table(('predicted', 'predictions', 'mean error (MAPE)', 'within 10 %', 'goal'), rows)}\n\n{text}"


def _near(told: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{told['predictions']:,}", f"{told['mape']:.1%}", f"{told['within_10_percent']:.0%}")


def engine(row: Mapping[str, Any]) -> str:
    """`litert int8`: in what a row was measured."""
    return f"{row['runtime']} {row['precision']}"
