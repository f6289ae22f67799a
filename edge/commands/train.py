"""`edgekit train`: make the networks that edgekit ships, from their data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit import console

HELP = "train a network that edgekit ships, from its data"
DEFAULT_OUT = "edgekit-train-digits"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `edgekit train digits`."""
    networks = parser.add_subparsers(dest="network", required=True, metavar="NETWORK")
    digits = networks.add_parser(
        "digits", help="handwritten digits, from MNIST", description="Train the digit network on MNIST."
    )
    digits.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with the MNIST idx files")
    digits.add_argument("--download", action="store_true", help="fetch the MNIST files into --data first, checked")
    digits.add_argument("--out", "-o", type=Path, default=Path(DEFAULT_OUT), metavar="DIR", help="where to write (%(default)s)")
    digits.add_argument("--epochs", type=int, default=60, metavar="N", help="passes over the data (%(default)s)")
    digits.add_argument("--seed", type=int, default=1, metavar="S", help="of every random choice (%(default)s)")
    digits.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (%(default)s)")
    digits.add_argument("--bf16", action="store_true", help="compute in bfloat16: faster on CPUs that have it, slow on others")
    digits.add_argument("--resume", action="store_true", help="go on with the run in --out")
    digits.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")
    _configure_persons(networks.add_parser("persons", help="people in pictures, from a teacher", description=PERSONS))
    _configure_tinylm(networks.add_parser("tinylm", help="a tiny language model, from a text", description=TINYLM))


PERSONS = "Train the person detector on pictures and clips without labels: YOLOX-Nano says what they show."


def _configure_persons(persons: argparse.ArgumentParser) -> None:
    out = Path("edgekit-train-persons")
    persons.add_argument("--data", type=Path, required=True, nargs="+", metavar="DIR", help="folders with pictures and clips")
    persons.add_argument(
        "--teacher", type=Path, required=True, metavar="FILE", help="yolox_nano.onnx (edgekit models pull yolox-nano)"
    )
    persons.add_argument(
        "--without", type=Path, nargs="+", default=[], metavar="DIR", help="leave out pictures called like one in here"
    )
    persons.add_argument("--out", "-o", type=Path, default=out, metavar="DIR", help="where to write (%(default)s)")
    persons.add_argument("--steps", type=int, default=300, metavar="N", help="of training (%(default)s)")
    persons.add_argument("--seconds", type=float, default=0.0, metavar="S", help="train that long instead of --steps")
    persons.add_argument("--batch", type=int, default=16, metavar="N", help="scenes in a step (%(default)s)")
    persons.add_argument("--seed", type=int, default=1, metavar="S", help="of every random choice (%(default)s)")
    persons.add_argument("--device", default="cpu", metavar="D", help="as PyTorch names it: cpu, cuda (%(default)s)")
    persons.add_argument("--resume", action="store_true", help="go on with the run in --out")
    persons.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")


TINYLM = "Train a tiny llama on a text. It learns a style, not facts: it is there so that everything runs without a download."


def _configure_tinylm(tinylm: argparse.ArgumentParser) -> None:
    tinylm.add_argument("--data", type=Path, required=True, metavar="DIR|FILE", help="a .txt file, or a folder with some")
    tinylm.add_argument(
        "--out", "-o", type=Path, default=Path("edgekit-train-tinylm"), metavar="DIR", help="where to write (%(default)s)"
    )
    tinylm.add_argument("--steps", type=int, default=600, metavar="N", help="of training (%(default)s)")
    tinylm.add_argument("--seconds", type=float, default=0, metavar="S", help="train for so long instead")
    tinylm.add_argument(
        "--dropout", type=float, default=0.0, metavar="X", help="for runs that see the text many times (%(default)s)"
    )
    tinylm.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of PyTorch's (%(default)s)")
    tinylm.add_argument(
        "--weights", type=Path, metavar="FILE", help="train nothing: write the model of these weights and --data"
    )
    tinylm.add_argument("--seed", type=int, default=1, metavar="S", help="of every random choice (%(default)s)")
    tinylm.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads (%(default)s)")
    tinylm.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Train, then print what came of it."""
    runs = {"digits": _digits, "persons": _persons, "tinylm": _tinylm}
    return runs[args.network](args)


def _persons(args: argparse.Namespace) -> int:
    from edgekit.train.persons import MODEL, train_persons
    from edgekit.train.persons_loop import Recipe

    recipe = Recipe(steps=args.steps, seconds=args.seconds, batch=args.batch, seed=args.seed)
    report = train_persons(
        args.data,
        args.teacher,
        args.out,
        recipe,
        without=args.without,
        resume=args.resume,
        device=args.device,
        progress=console.progress_on_stderr(),
    )
    lines = [
        f"{MODEL}  {report['model']['parameters']:,} parameters, {report['model']['bytes']:,} bytes",
        f"pictures      {report['pictures']:,}, of which {report['held_back']['pictures']:,} held back; {report['steps']:,} steps, kept: {report['kept']}",
        f"written to    {args.out}/",
    ]
    console.emit(args, {"out": str(args.out), **report}, "\n".join(lines))
    return 0


def _tinylm(args: argparse.Namespace) -> int:
    from edgekit.train.tinylm import MODEL, export_tinylm, train_tinylm

    progress = console.progress_on_stderr()
    if args.weights is not None:
        report = export_tinylm(args.weights, args.data, args.out, progress=progress)
    else:
        report = train_tinylm(args.data, args.out, _tiny_settings(args), progress=progress)
    lines = [
        f"{MODEL}  {report['model']['parameters']:,} parameters, {report['model']['bytes']:,} bytes",
        f"loss         {report['loss']['train']} on what it learnt from, {report['loss']['validation']} on what it did not",
        f"written to   {args.out}/",
    ]
    console.emit(args, {"out": str(args.out), **report}, "\n".join(lines))
    return 0


def _tiny_settings(args: argparse.Namespace) -> Any:
    from edgekit.train.tinylm_loop import TinySettings

    on_gpu = args.device == "cuda"
    return TinySettings(
        steps=args.steps,
        seconds=args.seconds,
        batch=64 if on_gpu else 8,
        dropout=args.dropout,
        seed=args.seed,
        threads=args.threads,
        device=args.device,
        bfloat16=on_gpu,
    )


def _digits(args: argparse.Namespace) -> int:
    """Interrupted, the run can be resumed."""
    from edgekit.train.digits import train_digits
    from edgekit.train.download import download
    from edgekit.train.settings import Settings

    progress = console.progress_on_stderr()
    if args.download:
        download(args.data, progress)
    settings = Settings(epochs=args.epochs, seed=args.seed, threads=args.threads, bfloat16=args.bf16)
    try:
        report = train_digits(args.data, args.out, settings, resume=args.resume, progress=progress)
    except KeyboardInterrupt:
        if (args.out / "checkpoint.pt").is_file():
            console.note(f"\nstopped; --resume goes on from the last whole epoch in {str(args.out)!r}")
        raise
    console.emit(args, {"out": str(args.out), **report}, _text(report, args.out))
    return 0


def _text(report: Mapping[str, Any], out: Path) -> str:
    """The run in four lines."""
    lines = [
        f"digits.onnx  {report['model']['parameters']:,} parameters, {report['model']['bytes']:,} bytes",
        f"validation   {_share(report['validation'])} (kept: epoch {report['kept_epoch']})",
        f"test         {_share(report['test'])}" if report["test"] else "test         no t10k files beside the training files",
        f"written to   {out}/",
    ]
    return "\n".join(lines)


def _share(score: Mapping[str, Any]) -> str:
    """`99.62 % of 6,667 digits (25 wrong)`."""
    return f"{100 * score['accuracy']:.2f} % of {score['samples']:,} digits ({score['errors']} wrong)"
