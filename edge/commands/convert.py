"""`edgekit convert`: models in, verified artifacts out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.commands._arguments import (
    add_input_shape,
    add_preprocessing,
    at_least_one,
    count,
    percentage,
    percentages,
    preprocessing,
    size,
)
from edgekit.core.errors import UsageError

if TYPE_CHECKING:
    from edgekit.conversion.batch import Batch, Cell, Failure
    from edgekit.conversion.request import Request

PRECISIONS = ("auto", "fp32", "fp16", "int8", "mixed", "int16x8", "dynamic")
LANGUAGE_PRECISIONS = (
    "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q5_1", "q5_0", "q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_nl", "q3_k_m", "q2_k",
)  # fmt: skip
"""Beside auto, fp32 and fp16, of language models."""
SWEEP_FOLDER = "edgekit-sweep"
HELP = "convert trained models into verified artifacts for one or more targets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options, as CLI.md promises them."""
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        type=Path,
        help="a model: ONNX, TFLite, PyTorch, Keras, boosted trees; a language model: GGUF, llama2.c, Hugging Face folder",
    )
    parser.add_argument(
        "--target", "-t", required=True, help="jetson, coral, rpi, cpu or a name from 'edgekit devices'; several with commas"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="folder that gets NAME.TARGET.PRECISION/ (default: here)",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        help="auto, fp32, fp16, int8, mixed, int16x8 or dynamic (auto: the fastest that passes the gates; the last two: for CPUs)",
    )
    parser.add_argument(
        "--format", default="auto", help="auto, tflite, onnx, edgetpu, tensorrt or mediapipe (auto: what the board runs best)"
    )
    parser.add_argument("--calibration", metavar="DATA", help="folder of images, .npz or idx file: sample inputs for int8")
    _configure_gates(parser)
    _configure_pruning(parser)
    add_input_shape(parser)
    parser.add_argument("--allow-cpu-ops", action="store_true", help="accept ops that the Edge TPU leaves to the CPU")
    parser.add_argument(
        "--segments",
        "--num-segments",
        metavar="N",
        type=at_least_one,
        default=1,
        help="compile for N Edge TPUs, one after another ('edgekit inspect' says how many hold all weights)",
    )
    parser.add_argument("--licence", default="", help="licence of the model, recorded in the manifest")
    parser.add_argument("--force", action="store_true", help="replace an artifact that exists")
    _configure_sweep(parser)
    _configure_language(parser)
    _configure_quantizing(parser)
    add_preprocessing(parser, "preprocessing, recorded in the manifest: (pixel * scale - mean) / std")


def _configure_gates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evaluate",
        metavar="DATA",
        type=Path,
        help="data to judge on: a folder per class, COCO JSON, MNIST idx, CSV, .npz; pictures alone: agreement with MODEL",
    )
    parser.add_argument(
        "--max-drop", metavar="N%", type=percentage, help="largest accepted loss of accuracy, in points (1%% = 0.01)"
    )
    parser.add_argument(
        "--max-steps",
        metavar="N",
        type=count,
        default=12,
        help="plans of mixed precision tried when int8 misses the budget (default: %(default)s; 0: none)",
    )


def _configure_pruning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prune",
        metavar="N%",
        type=percentages,
        default=(),
        help="remove this share of the multiply-accumulates first, without training (a sweep: several, with commas)",
    )
    parser.add_argument(
        "--importance",
        choices=("weights", "activations"),
        default="activations",
        help="what pruning judges channels by: their weights, or what is seen of them (default: %(default)s)",
    )
    parser.add_argument(
        "--multiple",
        metavar="N",
        type=count,
        default=0,
        help="prune to numbers of channels that are multiples of N (default: what the target's kernels take whole)",
    )


def _configure_sweep(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "sweep: every model x target x precision, kept by content, with what is worth a look marked"
    )
    group.add_argument("--sweep", action="store_true", help="make every cell; --precision may then name several, with commas")
    group.add_argument("--backend", default="loky", metavar="NAME", help="loky (processes here), dask or ray (default: loky)")
    group.add_argument("--jobs", type=int, default=1, metavar="N", help="cells at a time (-1: one per core or worker)")
    group.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="of the Dask or Ray cluster (default: one started here)"
    )


def _configure_language(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "language models: --precision q8_0, q4_0, q4_k_m, ... (auto: the best that fits the board); --prune removes whole layers"
    )
    group.add_argument("--context", metavar="N", type=count, default=0, help="tokens of conversation to reckon with (2048)")
    group.add_argument("--imatrix", metavar="TEXT", type=Path, help="text file that says which weights matter most")
    group.add_argument(
        "--memory", metavar="SIZE", type=size, default=0, help="memory of your board, such as 8GB (its smallest)"
    )


def _configure_quantizing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adaround",
        action="store_true",
        help="round the weights of wide layers together, too: minutes, for a little less noise",
    )
    group = parser.add_argument_group("quantizing more plainly, to compare or for engines that need it; it costs accuracy")
    group.add_argument("--weights", choices=("per-channel", "per-tensor"), default="per-channel", help="scales per weight")
    group.add_argument(
        "--ranges", choices=("mse", "min-max"), default="mse", help="range of an activation: least error, or all"
    )
    group.add_argument("--calibration-limit", metavar="N", type=count, default=128, help="samples used (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Convert every model for every target; 0 when all succeeded, else the exit code of the first failure."""
    from edgekit.console import emit, note, progress_on_stderr
    from edgekit.conversion.batch import convert_all

    if args.sweep:
        return _sweep(args)
    request = request_of(args, args.precision)
    batch = convert_all(args.models, args.target.split(","), request, progress_on_stderr())
    for failure in batch.failed:
        note(failure_text(failure, alone=len(batch.failed) + len(batch.artifacts) == 1))
    emit(args, as_json(batch), as_text(batch))
    return batch.exit_code


def request_of(args: argparse.Namespace, precision: str) -> Request:
    """What was asked of each model."""
    from edgekit.conversion.request import Request
    from edgekit.core.schema import Recipe

    recipe = Recipe(
        precision=known(precision, (*PRECISIONS, *LANGUAGE_PRECISIONS), "--precision"),
        format=args.format,
        max_drop=args.max_drop,
        max_steps=args.max_steps,
        weights=args.weights,
        ranges=args.ranges,
        calibration_limit=args.calibration_limit,
        adaround=args.adaround,
        allow_cpu_ops=args.allow_cpu_ops,
        segments=args.segments,
    )
    return Request(
        recipe=recipe,
        calibration=args.calibration,
        evaluate=args.evaluate,
        input_shapes=dict(args.input_shape),
        preprocess=preprocessing(args),
        output=args.output,
        force=args.force,
        licence=args.licence,
        prune=_only_prune(args),
        importance=args.importance,
        multiple=args.multiple,
        context=args.context,
        imatrix=args.imatrix,
        memory_bytes=args.memory,
    )


def _only_prune(args: argparse.Namespace) -> float | None:
    """The one share to prune; several make a sweep."""
    if len(args.prune) > 1 and not args.sweep:
        raise UsageError(f"--prune names {len(args.prune)} shares, a conversion has one", "add --sweep to try them all")
    return None if args.sweep or not args.prune else args.prune[0]


def _sweep(args: argparse.Namespace) -> int:
    """Every cell; 0 when any was made."""
    import msgspec

    from edgekit.console import emit, note, progress_on_stderr
    from edgekit.sweep import sweep
    from edgekit.sweep.backends import Crew
    from edgekit.sweep.text import as_json, terminal

    precisions = [known(word, PRECISIONS, "--precision") for word in args.precision.split(",")]
    found = sweep(
        args.models,
        args.target.split(","),
        output=args.output if args.output != Path() else Path(SWEEP_FOLDER),
        request=request_of(args, "auto"),
        precisions=precisions,
        prunes=args.prune or (0.0,),
        crew=Crew(backend=known(args.backend, ("loky", "dask", "ray"), "--backend"), jobs=args.jobs, address=args.scheduler),
        progress=progress_on_stderr(),
    )
    note(f"wrote {Path(found.folder) / 'sweep.html'}")
    emit(args, {**as_json(found), "sweep": msgspec.to_builtins(found)}, terminal(found))
    return found.exit_code


NOT_WRITTEN = {
    "fp8": "edgekit writes no FP8: of these boards only Jetson Thor computes it; take int8 or fp16 there",
    "fp4": "edgekit writes no FP4: of these boards only Jetson Thor computes it; take int8 or fp16 there",
    "bf16": "edgekit writes no bfloat16; fp16 takes as little and is safe where the calibrated ranges allow it",
    "int4": "edgekit writes no 4-bit networks: their kernels are for language models (q4_0, q4_k_m); take int8",
}
"""Precisions people know from elsewhere, and what to take instead."""


def known(word: str, words: tuple[str, ...], option: str) -> Any:
    """`word` when it is one of `words`; `UsageError` with the nearest one otherwise."""
    from edgekit.core.names import did_you_mean

    if word not in words:
        hint = NOT_WRITTEN.get(word) or did_you_mean(word, words, f"{option} {words[0]}")
        raise UsageError(f"{option} {word!r} is not one of {', '.join(words)}", hint)
    return word


def as_json(batch: Batch) -> dict[str, Any]:
    """The object of CLI.md."""
    import msgspec

    artifacts = [msgspec.to_builtins(summary) for summary in batch.artifacts]
    return {"artifacts": artifacts, "failed": [msgspec.to_builtins(failure) for failure in batch.failed]}


def as_text(batch: Batch) -> str:
    """One line per artifact, its notes below it."""
    lines: list[str] = []
    for made in batch.artifacts:
        lines.append(f"{made.path}  {made.bytes / 1e6:.2f} MB  {parity_text(made)}  {made.seconds:.1f} s")
        lines += recovery_lines(made) + pace_lines(made)
        lines += [f"  note: {note}" for note in made.notes]
    return "\n".join(lines)


def recovery_lines(made: Cell) -> list[str]:
    """Which layers a rescue keeps in float, and what that costs."""
    if made.recovery is None:
        return []
    found, cost = made.recovery, made.float_cost
    share = f"{100 * found.macs_share:.1f} % of the arithmetic"
    time = (
        f", {cost.int8_ms:g} -> {cost.mixed_ms:g} ms in {cost.runtime} here" if cost else ", not timed: its engine is not here"
    )
    lines = [f"  float: {len(found.layers)} layers after {len(found.steps)} steps, {share}{time}"]
    heavy = [layer for layer in found.layers if layer.macs_share]
    light = ", ".join(layer.name for layer in found.layers if not layer.macs_share)
    lines += [f"    {layer.name}  {100 * layer.macs_share:.1f} %" for layer in heavy]
    return lines + ([f"    and without arithmetic that counts: {light}"] if light else [])


def pace_lines(made: Cell) -> list[str]:
    """How fast the artifact is beside float, where that was asked, and what stays in float."""
    if made.pace is None:
        return []
    kept = ", ".join(made.float_layers) or "none"
    time = f"{made.pace.artifact_ms:g} ms per run, in float {made.pace.float_ms:g} ms, in {made.pace.runtime} here"
    return [f"  {time}", f"  layers in float: {kept}"]


def failure_text(failure: Failure, *, alone: bool) -> str:
    """The error sentence; with several cells it begins with the one it is about."""
    which = "" if alone else f"{failure.model} for {failure.target}: "
    return f"error: {which}{failure.error}" + (f"\n  try: {failure.hint}" if failure.hint else "")


def parity_text(made: Cell) -> str:
    """Parity and accuracy in a few words."""
    parity = made.parity
    said = {
        "sqnr_db": f"SQNR {parity.value:.1f} dB",
        "kl_nats": f"{parity.value:.4f} nats from its source",
    }.get(parity.metric, f"max relative error {parity.value:.1e}")
    if made.accuracy is None:
        return said
    return f"{said}, {made.accuracy.metric} {made.accuracy.source:.4f} -> {made.accuracy.artifact:.4f}"
