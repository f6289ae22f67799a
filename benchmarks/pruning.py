"""What pruning costs and gains, before and after distillation: MACs, accuracy, latency in the engines here. Writes results/pruning.json.

    python benchmarks/pruning.py [--work FOLDER] [--pictures FOLDER] [MODEL ...]

Needs PyTorch and the folder of real models beside the checkout (EDGEKIT_SHARED says where else). No label is read in training; the data
that judges is never shown. Minutes for digits; YOLOX-nano wants a GPU (hours on two cores). A run in FOLDER that was stopped, or that was
made on another machine with the same pictures, is gone on with: one that is complete is only compared here.
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

from common import ROOT, SHARED, conditions, edgekit, write

KEPT = ("macs_before", "macs_after", "params_before", "params_after", "accuracy", "latency", "pictures", "notes")


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
    rows = [row(case, options.work) for case in chosen]
    write("pruning", {"conditions": conditions("onnxruntime", "ai-edge-litert", "torch"), "models": rows})
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="*", metavar="MODEL", help="digits, yolox_nano (both)")
    parser.add_argument("--work", type=Path, default=Path("/tmp/edgekit-pruning"), help="where runs are kept (%(default)s)")
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
        options=("--epochs", "150", "--batch", "64", "--learning-rate", "3e-3", "--emphasis", "0.5", "--augment"),
    )


def row(case: Case, work: Path) -> dict[str, Any]:
    """One case: what `edgekit distill` says of it, or why it could not."""
    out = work / f"{case.name}.onnx"
    begun = ("--resume",) if out.with_name(f"{case.name}.distill.pt").exists() else ("--force",)
    asked = ("--prune", case.share, "--data", str(case.pictures), "--evaluate", str(case.labelled), "-o", str(out))
    told = json.loads(edgekit("distill", str(case.model), *asked, *case.options, *begun, "--json").stdout)
    settings = " ".join(("--prune", case.share, *case.options))
    found = {"failed": told["error"]} if "error" in told else {key: told[key] for key in KEPT}
    return {"model": case.name, "settings": settings, **found}


if __name__ == "__main__":
    raise SystemExit(main())
