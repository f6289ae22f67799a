"""What pruning costs and gains, before and after distillation: MACs, accuracy, latency in the engines here. Writes results/pruning.json.

    python benchmarks/pruning.py [--work FOLDER] [--pictures FOLDER] [--only learn|speed] [MODEL ...]

Needs PyTorch and the folder of real models beside the checkout (EDGEKIT_SHARED says where else). No label is read in training; the data
that judges is never shown. Minutes for digits, half an hour or more on two cores for YOLOX-nano. A run in FOLDER that was stopped (by `--minutes`, too), or that was
made on another machine with the same pictures, is gone on with: one that is complete is only compared here. Models that are not asked
for keep the rows they have, and so does the half that `--only` leaves out: latency wants a machine that does nothing else.
`pruning_pictures.py FOLDER` makes the pictures for YOLOX-nano.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, SHARED, conditions, edgekit, write
from pruning_chance import ap50_difference
from pruning_speed import FORMATS, measured

KEPT = (
    *("macs_before", "macs_after", "params_before", "params_after", "accuracy", "agreement_before", "agreement_after"),
    *("kept_epoch", "pictures", "notes"),
)
PACKAGES = ("onnxruntime", "ai-edge-litert")
SECONDS = 10.0
"""For each engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model, the share of its MACs to remove, what it learns from and is judged by, and how long it learns."""

    name: str
    model: Path
    share: str
    pictures: Path
    labelled: Path
    options: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    """Prune, distil and judge every case that was asked for."""
    options = _options().parse_args(argv)
    if not SHARED.is_dir():
        print(f"the real models are not here: {SHARED}", file=sys.stderr)
        return 1
    chosen = [case for case in cases(options.pictures) if not options.model or case.name in options.model]
    options.work.mkdir(parents=True, exist_ok=True)
    for case in chosen:
        if options.only != "speed":
            keep(learnt(case, options.work, options.minutes))
        if options.only != "learn":
            keep({"model": case.name, "speed": speed(case, options.work)})
    return 0


def keep(row: dict[str, Any]) -> None:
    """Put what is new about a model into the results; what was known of it and of others stays."""
    path = RESULTS / "pruning.json"
    rows = {one["model"]: one for one in json.loads(path.read_text("utf-8"))["models"]} if path.exists() else {}
    rows[row["model"]] = rows.get(row["model"], {}) | row
    write("pruning", {"models": [rows[name] for name in sorted(rows)]})


def speed(case: Case, work: Path) -> dict[str, Any]:
    """The pruned model's time beside the source's, one thread, in each engine."""
    models = (case.model, work / f"{case.name}.onnx")
    rows = [row for form in FORMATS for row in measured(models, form, precision="fp32", seconds=SECONDS, threads=1)]
    return {"conditions": conditions(*PACKAGES), "precision": "fp32", "threads": 1, "engines": rows}


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", metavar="MODEL", help="digits, yolox_nano (both)")
    parser.add_argument("--work", type=Path, default=Path("/tmp/edgekit-pruning"), help="where runs are kept (%(default)s)")
    parser.add_argument(
        "--only", choices=("learn", "speed"), help="one of the two halves: latency wants a machine that does nothing else"
    )
    parser.add_argument("--minutes", type=float, default=600, help="begin no epoch after so many (%(default)s)")
    parser.add_argument("--pictures", type=Path, default=SHARED / "calibration", help="for the detector (%(default)s)")
    return parser


def cases(pictures: Path) -> Iterator[Case]:
    """The models with what they need."""
    mnist = SHARED / "mnist"
    yield Case(
        name="digits",
        model=ROOT / "edge" / "models" / "digits" / "digits.onnx",
        share="50%",
        pictures=next(mnist.glob("train-images*")),
        labelled=next(mnist.glob("t10k-dev-*images*")),
        options=("--limit", "8000", "--epochs", "3", "--learning-rate", "2e-2"),
    )
    yield Case(
        name="yolox_nano",
        model=SHARED / "models_onnx" / "yolox_nano.onnx",
        share="20%",
        pictures=pictures,
        labelled=SHARED / "coco_eval" / "instances.json",
        options=(
            *("--multiple", "4", "--limit", "640", "--augment"),
            *("--epochs", "20", "--batch", "4", "--learning-rate", "3e-3"),
        ),
    )


def learnt(case: Case, work: Path, minutes: float) -> dict[str, Any]:
    """One case: what `edgekit distill` says of it."""
    out = work / f"{case.name}.onnx"
    begun = ("--resume",) if out.with_name(f"{case.name}.distill.pt").exists() else ("--force",)
    asked = ("--prune", case.share, "--data", str(case.pictures), "--evaluate", str(case.labelled), "-o", str(out))
    told = json.loads(
        edgekit(
            "distill", str(case.model), *asked, *case.options, *begun, "--minutes", str(minutes), "--no-bench", "--json"
        ).stdout
    )
    settings = " ".join(("--prune", case.share, *case.options))
    if "error" in told:
        raise SystemExit(f"{case.name}: {told['error']}")
    found = {key: told[key] for key in KEPT} | {"epochs": len(told["history"])}
    if told["accuracy"]["metric"] == "ap50":
        found |= {"difference_95": ap50_difference(case.model, out, case.labelled)}
    return {"model": case.name, "settings": settings, "conditions": conditions(*PACKAGES, "torch"), **found}


if __name__ == "__main__":
    raise SystemExit(main())
