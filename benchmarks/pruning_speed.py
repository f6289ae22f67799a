"""Whether a pruned model is faster, with confidence: both in turns in each engine, the ratio of their times with a 95 % interval.

    python benchmarks/pruning_speed.py SOURCE.onnx PRUNED.onnx [PRUNED.onnx ...] [--precision fp32] [--seconds 10] [--threads 1]
        [-o FILE.json]

Each turn runs every model once, in an order that turns round, so that whatever else the machine does falls on all of them alike. The
interval is that of the median of the turns' ratios (bootstrap, 1,000 draws).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from common import conditions
from numpy.typing import NDArray

import edgekit
from edgekit.core.files import write_atomically

FORMATS = ("onnx", "tflite")
WARM_UP = 5
Times = NDArray[np.float64]


def main(argv: list[str] | None = None) -> int:
    """Measure and say it."""
    options = _options().parse_args(argv)
    how = {"precision": options.precision, "threads": options.threads}
    rows = [row for form in FORMATS for row in measured(options.model, form, seconds=options.seconds, **how)]
    found = {"conditions": conditions("onnxruntime", "ai-edge-litert"), **how, "rows": rows}
    text = json.dumps(found, indent=2)
    if options.output:
        write_atomically(options.output, text.encode() + b"\n")
    print(text)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+", type=Path, metavar="MODEL", help="the source first")
    parser.add_argument("--precision", default="fp32", help="fp32 or dynamic (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="for each engine (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each engine (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    return parser


def measured(models: Sequence[Path], form: str, *, precision: str, seconds: float, threads: int) -> list[dict[str, Any]]:
    """One row for each model but the first: its times beside the first one's."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder, ExitStack() as stack:
        paths = [
            edgekit.convert(str(path), target="cpu", precision=precision, format=form, output=Path(folder) / str(number)).path
            for number, path in enumerate(models)
        ]
        sessions = [stack.enter_context(edgekit.load(path, threads=threads)) for path in paths]
        times = in_turns([_runner(session) for session in sessions], seconds)
    rows = [compared(times[:, 0], times[:, number]) for number in range(1, len(models))]
    return [{"engine": form, "model": path.stem, **row} for path, row in zip(models[1:], rows, strict=True)]


def _runner(session: Any) -> Any:
    random = np.random.default_rng(0)
    feed = {spec.name: random.uniform(0, 1, spec.shape).astype(spec.dtype) for spec in session.inputs}
    return lambda: session.run(feed)


def in_turns(runs: Sequence[Any], seconds: float) -> Times:
    """[turns, runs] in milliseconds."""
    turns: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(turns) < WARM_UP + 10 or time.perf_counter() < end:
        turn = [0.0] * len(runs)
        for step in range(len(runs)):
            number = (step + len(turns)) % len(runs)
            begun = time.perf_counter()
            runs[number]()
            turn[number] = 1000 * (time.perf_counter() - begun)
        turns.append(turn)
    return np.array(turns[WARM_UP:])


def compared(source: Times, pruned: Times) -> Mapping[str, Any]:
    """Medians, and the pruned model's time as a share of the source's with its interval."""
    ratios = pruned / source
    draws = np.random.default_rng(0).choice(ratios, (1000, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), (0.025, 0.975))
    return {
        "source_ms": round(float(np.median(source)), 3),
        "pruned_ms": round(float(np.median(pruned)), 3),
        "share": round(float(np.median(ratios)), 4),
        "share_95": [round(float(low), 4), round(float(high), 4)],
        "turns": len(ratios),
    }


if __name__ == "__main__":
    raise SystemExit(main())
