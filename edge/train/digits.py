"""`edgekit train digits`: from the MNIST files to an ONNX file, with everything needed to judge it and to make it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgekit import __version__
from edgekit.core.errors import InputError
from edgekit.core.files import ensure_writable, sha256_bytes, sha256_file, write_atomically
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.train import checkpoint, mnist, network, pictures
from edgekit.train.export import folded, largest_difference, onnx_model, to_bytes
from edgekit.train.loop import Epoch, Pictures, Trainer, evaluate, split, train
from edgekit.train.robustness import robustness
from edgekit.train.settings import Settings, checked

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

MODEL, REPORT, LOGS = "digits.onnx", "training.json", "tensorboard"
NEEDED = ("tensorboard", "matplotlib", "torch", "onnx", "onnxruntime")
"""What is used at the end must be there at the start: nobody trains for an hour to learn that a package is missing."""
COMPARED = 256
"""Validation pictures on which the exported file is compared with the network."""


def train_digits(
    data: Path, out: Path, settings: Settings, *, resume: bool = False, progress: Progress = silent
) -> Mapping[str, Any]:
    """Train on the MNIST files in `data` and write model, report, pictures and logs into `out`; the report as a dict.

    The epoch that is kept is chosen on validation pictures taken out of the training set; the test set, when there is one,
    is looked at once, at the end. Interrupted, `out/checkpoint.pt` holds the last whole epoch: `resume` goes on from there
    to the same result. Raises `InputError` for data or a checkpoint that do not fit, `MissingDependency` without PyTorch.
    """
    for module in NEEDED:
        need(module)
    trainer = _trainer(out, checked(settings), resume)
    pair = mnist.training_pair(data)
    if len(pair.labels) <= settings.validation:
        raise InputError(
            f"{len(pair.labels)} training digits are too few to set {settings.validation} aside for validation",
            "is this the whole of MNIST?",
        )
    train_set, validation = split(tensors(pair), settings.validation, settings.seed)
    ensure_writable(out)
    _run(trainer, train_set, validation, out, progress)
    best = network.build()
    best.load_state_dict(dict(trainer.best))
    return _finish(best, trainer, pair, validation, mnist.test_pair(data), out, progress)


def _trainer(out: Path, settings: Settings, resume: bool) -> Trainer:
    """A new run, or the one in `out`; never a new one over an old one."""
    if resume:
        return checkpoint.load(out, settings)
    if (out / checkpoint.NAME).exists():
        raise InputError(f"{str(out)!r} already holds a training run", "--resume to go on with it, or another --out")
    return Trainer(settings)


def tensors(pair: mnist.Pair) -> Pictures:
    """The arrays as tensors."""
    torch = need("torch")
    return Pictures(torch.from_numpy(pair.images.copy())[:, None], torch.from_numpy(pair.labels.copy()))


def _run(trainer: Trainer, train_set: Pictures, validation: Pictures, out: Path, progress: Progress) -> None:
    """Train the epochs that are left; after each one the checkpoint and the logs are on disk."""
    tensorboard = need("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(out / LOGS), purge_step=len(trainer.history) + 1) as writer:

        def each(epoch: Epoch) -> None:
            checkpoint.save(trainer, out)
            _log(writer, epoch)

        train(trainer, train_set, validation, each, progress)


def _log(writer: SummaryWriter, epoch: Epoch) -> None:
    """One point on every TensorBoard curve."""
    values = msgspec.structs.asdict(epoch)
    for name in ("learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        writer.add_scalar(name.replace("_", "/", 1), values[name], epoch.number)
    writer.flush()


def _finish(
    best: nn.Module,
    trainer: Trainer,
    pair: mnist.Pair,
    validation: Pictures,
    test: mnist.Pair | None,
    out: Path,
    progress: Progress,
) -> Mapping[str, Any]:
    """Export the kept weights, look at the test set, and write everything down."""
    progress(Event(stage="export and report"))
    weights = folded(best)
    data = to_bytes(onnx_model(weights))
    difference = largest_difference(data, best, validation.images[:COMPARED, 0].numpy())
    report = {
        "model": {
            "sha256": sha256_bytes(data),
            "bytes": len(data),
            "parameters": sum(array.size for array in weights.values()),
            "largest_difference_from_torch": difference,
        },
        "kept_epoch": trainer.best_epoch,
        "validation": _score(best, validation) | {"from": pair.files[0].name},
        "test": None if test is None else _test(best, test, out),
        "settings": msgspec.to_builtins(trainer.settings),
        "data": {path.name: sha256_file(path) for path in (*pair.files, *(test.files if test else ()))},
        "versions": _versions(),
        "machine": {"cpu": _cpu(), "seconds": round(sum(epoch.seconds for epoch in trainer.history), 1)},
        "history": [msgspec.to_builtins(epoch) for epoch in trainer.history],
    }
    write_atomically(out / "curves.png", pictures.curves(trainer.history, trainer.best_epoch))
    write_atomically(out / MODEL, data)
    write_atomically(out / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


def _score(best: nn.Module, digits: Pictures) -> dict[str, Any]:
    """How many digits, how many of them read wrongly, and the share read rightly."""
    seen = evaluate(best, digits)
    wrong = int((seen.predicted != digits.labels).sum())
    return {"samples": len(digits.labels), "errors": wrong, "accuracy": 1 - wrong / len(digits.labels)}


def _test(best: nn.Module, test: mnist.Pair, out: Path) -> dict[str, Any]:
    """The test set: accuracy, confusion matrix (also as a picture) and robustness."""
    digits = tensors(test)
    predicted = evaluate(best, digits).predicted.numpy()
    matrix = pictures.confusion_matrix(digits.labels.numpy(), predicted, network.CLASSES)
    write_atomically(out / "confusion.png", pictures.confusion(matrix))
    return _score(best, digits) | {
        "from": test.files[0].name,
        "confusion": matrix.tolist(),
        "robustness": robustness(best, digits),
    }


def _versions() -> dict[str, str]:
    """The versions of everything that has a say in the result."""
    modules = {name: str(need(name).__version__) for name in ("torch", "numpy", "onnx", "onnxruntime")}
    return {"edgekit": __version__, "python": platform.python_version(), **modules}


def _cpu() -> str:
    """The processor's name as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
