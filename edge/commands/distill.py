"""`edgekit distill`: a smaller network learns from the whole one, on pictures without labels."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import console
from edgekit.commands._arguments import add_input_shape, percentage

if TYPE_CHECKING:
    from edgekit.distill.distill import Distilled

HELP = "prune a network and let it learn from the whole one, on your pictures, without labels"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="an .onnx file: to be pruned, or pruned already (--source)")
    parser.add_argument("--prune", metavar="N%", type=percentage, help="share of the multiply-accumulates to remove first")
    parser.add_argument(
        "--importance",
        choices=("weights", "activations", "taylor"),
        default="activations",
        help="what channels are judged by: their weights, what is seen of them, or gradients (%(default)s)",
    )
    parser.add_argument(
        "--multiple", metavar="N", type=int, default=8, help="keep channels in multiples of N: 8, 16 or 32 (%(default)s)"
    )
    parser.add_argument(
        "--source", metavar="ORIGINAL", type=Path, help="what MODEL was pruned from, when it was pruned elsewhere"
    )
    parser.add_argument(
        "--data", metavar="DATA", required=True, help="pictures like those the device will see: folder, .npz, idx file"
    )
    parser.add_argument("-o", "--output", metavar="OUT.onnx", type=Path, required=True, help="file to write")
    parser.add_argument("--evaluate", metavar="DATA", type=Path, help="labelled data for the report; not used in training")
    _configure_learning(parser)
    parser.add_argument("--no-bench", action="store_true", help="do not measure latency at the end")
    parser.add_argument("--resume", action="store_true", help="go on with the run that was stopped")
    parser.add_argument("--force", action="store_true", help="replace a file, or begin a run again")
    add_input_shape(parser)


def _configure_learning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="N", type=int, default=2000, help="pictures to learn from (%(default)s)")
    parser.add_argument("--epochs", metavar="N", type=int, default=20, help="passes over them (%(default)s)")
    parser.add_argument("--batch", metavar="N", type=int, default=32, help="pictures at a time (%(default)s)")
    parser.add_argument(
        "--learning-rate",
        metavar="R",
        type=float,
        default=1e-2,
        help="at its peak, as a share of a filter's size (%(default)s)",
    )
    parser.add_argument(
        "--minutes",
        metavar="M",
        type=_minutes,
        default=math.inf,
        help="begin no epoch after so many, and write the best so far; --resume goes on (default: all epochs)",
    )
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="of every random choice (%(default)s)")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="CPU threads (%(default)s)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to learn (%(default)s: a GPU if there is one)"
    )
    parser.add_argument(
        "--augment",
        action="store_true",
        help="for few pictures: show them mirrored, moved, scaled, recoloured and in fours as well",
    )
    parser.add_argument(
        "--emphasis",
        metavar="E",
        type=float,
        default=0.0,
        help="how much more unusual answers of the source count (%(default)s)",
    )


def _minutes(text: str) -> float:
    """A time of 0 or more."""
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} minutes make no sense")
    return value


def run(args: argparse.Namespace) -> int:
    """Prune, train, compare, print what came of it. Interrupted, the run can be resumed."""
    import msgspec

    from edgekit.distill.distill import Request, distill
    from edgekit.distill.settings import Settings

    settings = Settings(
        importance=args.importance,
        multiple=args.multiple,
        epochs=args.epochs,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed,
        augment=args.augment,
        emphasis=args.emphasis,
        threads=args.threads,
        device=args.device,
    )
    request = Request(
        model=args.model,
        data=args.data,
        out=args.output,
        share=args.prune,
        source=args.source,
        evaluate=args.evaluate,
        limit=args.limit,
        settings=settings,
        input_shapes=dict(args.input_shape),
        minutes=args.minutes,
        resume=args.resume,
        force=args.force,
        bench_s=0.0 if args.no_bench else 2.0,
    )
    found = distill(request, console.progress_on_stderr())
    console.emit(args, msgspec.to_builtins(found), _text(found))
    return 0


def _text(found: Distilled) -> str:
    """The run in a few lines."""
    share = 1 - found.macs_after / found.macs_before if found.macs_before else 0.0
    lines = [
        f"MACs        {found.macs_before:,} -> {found.macs_after:,} ({share:.1%} removed), "
        f"parameters {found.params_before:,} -> {found.params_after:,}",
        f"loss        {found.loss_before:.4f} -> {found.loss_after:.4f} on held-out pictures (kept: epoch {found.kept_epoch})",
    ]
    if found.agreement_before is not None and found.agreement_after is not None:
        lines.append(
            f"agreement   {found.agreement_before:.4f} -> {found.agreement_after:.4f} with the source, on the same pictures"
        )
    if found.accuracy is not None:
        one = found.accuracy
        lines.append(
            f"{one.metric:<11} source {one.source:.4f}, pruned {one.pruned:.4f}, distilled {one.distilled:.4f} ({one.samples:,} samples)"
        )
    lines += [f"latency     {one.source_ms:.3f} -> {one.result_ms:.3f} ms in {one.engine} here" for one in found.latency]
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join([*lines, f"written to  {found.out}"])
