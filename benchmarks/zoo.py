"""Every exporter graph of the zoo to float and int8 by edgekit and by its peers, all judged by the same feeds. Writes results/zoo.json.

Needs the zoo folder beside the checkout (EDGEKIT_SHARED says where else). Peers live in environments of their own (PEERS_HOME keeps
them, else they are temporary; several GB). `python benchmarks/zoo.py MODEL...` measures only these; `--methods edgekit` only edgekit,
and `--forms int8,int16x8,dynamic,dynamic-onnx` what it makes (without a model's name nothing but the usual table is written to results).
With `--work FOLDER` each conversion, and each judgement, is kept there by what it comes of: a stopped run goes on where it was, and other
feeds to judge by convert nothing anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import SHARED, conditions, digest, kept, write
from peer_environments import home
from zoo_alive import enliven
from zoo_feeds import feeds, load, save
from zoo_methods import FORMS, METHODS, TABLED, Outcome, by_edgekit
from zoo_score import score

ZOO = SHARED.parent / "zoo"
CALIBRATION, HELD_OUT, ENLIVENED_ON = 16, 16, 2
"""Seeded feeds to calibrate on, others to judge by, and others yet to bring the weights to life with."""


def main() -> int:
    """Fill, convert, run, judge; then one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--forms", default=",".join(TABLED), help=f"what edgekit makes: {', '.join(FORMS)}")
    parser.add_argument("--work", type=Path, default=None, help="keep what is made here and go on from it")
    arguments = parser.parse_args()
    if not ZOO.is_dir():
        print(f"the zoo is not here: {ZOO}", file=sys.stderr)
        return 1
    wanted = arguments.models or sorted(path.stem for path in ZOO.glob("*.onnx"))
    methods = [name for name in METHODS if name in arguments.methods.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        forms = tuple(arguments.forms.split(","))
        rows = [row(model, methods, work, forms) for model in wanted]
    if not arguments.models and methods == list(METHODS) and forms == TABLED:
        versions = {name: METHODS[name].version() for name in methods}
        measured = {"calibration_feeds": CALIBRATION, "held_out_feeds": HELD_OUT, "versions": versions}
        write("zoo", {"conditions": {**conditions("onnxruntime", "ai-edge-litert"), **measured}, "models": rows})
    return 0


def row(model: str, methods: list[str], work: Path, forms: tuple[str, ...] = TABLED) -> dict[str, Any]:
    """One model by every method; each outcome is printed as soon as it is there."""
    folder = work / model
    ready(model, folder)
    found: dict[str, Any] = {}
    for name in methods:
        asked = forms if name == "edgekit" and forms != TABLED else TABLED
        found[name] = judged(name, folder, asked)
        print(f"{model:36} {name:28} {brief(found[name])}", flush=True)
    return {"model": model, **found}


def judged(name: str, folder: Path, forms: tuple[str, ...]) -> dict[str, Any]:
    """What a method made of the model, and how good that is; both as kept, where they are."""
    code = (*METHODS[name].code, *(folder / file for file in ("model.onnx", "calibration.npz")))
    origin = digest(METHODS[name].version(), *code)
    made = kept(folder / f"{name}.{'-'.join(forms)}.{origin}.made.json", lambda: made_by(name, folder, forms))
    eyes = digest(origin, folder / "held_out.npz", Path(__file__).with_name("zoo_score.py"))
    return kept(
        folder / f"{name}.{'-'.join(forms)}.{eyes}.json", lambda: {key: scored(told, folder) for key, told in made.items()}
    )


def ready(model: str, folder: Path, calibration: int = CALIBRATION) -> None:
    """The model with seeded weights that make it answer to what it sees, and its feeds."""
    if not (folder / "calibration.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, ZOO / "fill.py", ZOO / f"{model}.onnx", folder / "model.onnx"], check=True)
        enliven(folder / "model.onnx", feeds(folder / "model.onnx", ENLIVENED_ON, seed=3))
        save(folder / "calibration.npz", feeds(folder / "model.onnx", calibration, seed=1))
    if not (folder / "held_out.npz").exists() or len(load(folder / "held_out.npz")) != HELD_OUT:
        save(folder / "held_out.npz", feeds(folder / "model.onnx", HELD_OUT, seed=2))


def made_by(name: str, folder: Path, forms: tuple[str, ...] = TABLED) -> dict[str, Any]:
    """What a method made of the model in float and in int8: where the files are, or why there are none."""
    made = folder / (name if forms == TABLED else f"{name}.{'-'.join(forms)}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    results: Mapping[str, Outcome] = (
        by_edgekit(folder, made, forms) if name == "edgekit" else METHODS[name].convert(folder, made)
    )
    return {precision: as_kept(outcome, folder) for precision, outcome in results.items()}


def as_kept(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """An outcome as it is kept."""
    seconds = {"seconds": round(outcome.seconds, 1)}
    if outcome.file is None:
        return {**seconds, "failed": outcome.reason}
    return {**seconds, "bytes": outcome.file.stat().st_size, "file": str(outcome.file.relative_to(folder))}


def scored(made: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with the quality of its file; a file that does not run is a failure with its reason."""
    if "failed" in made:
        return made
    return {**{key: value for key, value in made.items() if key != "file"}, **score(folder / made["file"], folder)}


def brief(found: dict[str, Any]) -> str:
    """A method's outcome on one line."""
    parts = []
    for precision, told in found.items():
        good = f"{told.get('sqnr_db', 0):.1f} dB, {told.get('transposes', 0)} transposes, {told['seconds']} s"
        parts.append(f"{precision}: " + (f"FAILED {told['failed'][:60]}" if "failed" in told else good))
    return " | ".join(parts)


if __name__ == "__main__":
    os.environ.setdefault("PEERS_HOME", str(home()))
    raise SystemExit(main())
