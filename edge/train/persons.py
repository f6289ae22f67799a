"""`edgekit train persons`: from pictures without labels and a teacher to an ONNX file, with everything needed to make it again."""

from __future__ import annotations

import io
import json
import pickle
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import __version__
from edgekit.core.errors import InputError
from edgekit.core.files import ensure_writable, sha256_bytes, sha256_file, write_atomically
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.train import persons_pictures, persons_teacher
from edgekit.train.checkpoint import NAME
from edgekit.train.persons_augment import Pictures
from edgekit.train.persons_export import largest_difference, onnx_model
from edgekit.train.persons_loop import Distillation, Recipe, Step, held_back
from edgekit.train.persons_network import answer, detector
from edgekit.train.persons_teacher import for_persons

if TYPE_CHECKING:
    from torch import Tensor

MODEL, REPORT = "persons.onnx", "training.json"
NEEDED = ("cv2", "av", "torch", "onnx", "onnxruntime")
"""What is used at the end must be there at the start."""
SAVE_EVERY_S = 60.0
JUDGES = 48
"""So many of the pictures held back are looked at, before and after."""
NOTED_STEPS = 60
"""Of these many steps the report keeps the losses."""


def train_persons(
    data: Sequence[Path],
    teacher: Path,
    out: Path,
    recipe: Recipe,
    *,
    without: Sequence[Path] = (),
    resume: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> Mapping[str, Any]:
    """Learn people from the pictures and clips in `data` and write model and report into `out`; the report as a dict.

    A run that ends farther from its teacher than it began, on pictures held back, is not kept: the beginning is written, and the report says so.
    Pictures called like one in the folders `without` are left out: those that will judge the result. Interrupted, `out/checkpoint.pt` is at
    most a minute old, and `resume` goes on from there. Raises `InputError` for data, a teacher or a checkpoint that do not fit.
    """
    for module in NEEDED:
        need(module)
    ensure_writable(out)
    run = Distillation(recipe, _teacher(teacher), device)
    _begin(run, out, resume)
    progress(Event(stage="gather pictures"))
    packed = persons_pictures.collect(data, persons_pictures.stems(without))
    pictures, odds = _tensors(packed)
    held = _judges(packed)
    before = held_back(Distillation(recipe, run.teacher, device), pictures, held) if len(held) else None
    history = _trained(run, pictures, odds, out, progress)
    progress(Event(stage="export and report"))
    after = held_back(run, pictures, held) if len(held) else None
    better = before is None or after is None or recipe.weighed(after) < recipe.weighed(before)
    about = {
        "pictures": len(packed),
        "held_back": {
            "pictures": len(held),
            "before": before,
            "after": after,
        },
        "kept": "trained" if better else "beginning",
        "pictures_sha256": sha256_bytes(packed.data.tobytes()),
        "teacher": {"file": teacher.name, "sha256": sha256_file(teacher)},
        "recipe": recipe.as_json(),
        "steps": run.number,
        "seconds": round(run.spent_s, 1),
        "device": device,
        "history": history,
    }
    return write(run.average if better else for_persons(run.teacher), recipe, about, out)


def _teacher(path: Path) -> dict[str, Tensor]:
    torch = need("torch")
    return {name: torch.from_numpy(array) for name, array in persons_teacher.read(path).items()}


def _begin(run: Distillation, out: Path, resume: bool) -> None:
    """A new run, or the one in `out`; never a new one over an old one."""
    path = out / NAME
    if not resume:
        if path.exists():
            raise InputError(f"{str(out)!r} already holds a training run", "--resume to go on with it, or another --out")
        return
    if not path.is_file():
        raise InputError(f"there is no checkpoint in {str(out)!r}", "start the run without --resume")
    try:
        content = need("torch").load(path, map_location="cpu", weights_only=True)
        begun = content.pop("recipe")
        run.restore(content)
    except (RuntimeError, EOFError, LookupError, ValueError, TypeError, AttributeError, pickle.UnpicklingError) as exc:
        raise InputError(f"{str(path)!r} is not a checkpoint of this network", "start the run without --resume") from exc
    if begun != _plain(run.recipe):
        raise InputError(f"{str(path)!r} was begun with other options: {begun}", "resume with the same options")


def _plain(recipe: Recipe) -> str:
    return json.dumps(recipe.as_json(), sort_keys=True)


def _judges(packed: persons_pictures.Packed) -> Tensor:
    """Rows of some of the pictures held back, evenly spread over the clips."""
    rows = np.flatnonzero(packed.held)
    found: Tensor = need("torch").from_numpy(rows[:: max(1, len(rows) // JUDGES)])
    return found


def _tensors(packed: persons_pictures.Packed) -> tuple[Pictures, Tensor]:
    """The pictures, and how often each is drawn: those held back never."""
    torch = need("torch")
    canvases, sizes = persons_pictures.unpacked(packed)
    odds = np.where(packed.held, 0, packed.odds).astype(np.float32)
    return Pictures(torch.from_numpy(canvases), torch.from_numpy(sizes)), torch.from_numpy(odds)


def _trained(run: Distillation, pictures: Pictures, odds: Tensor, out: Path, progress: Progress) -> list[dict[str, float]]:
    """Train to the end, with a checkpoint every minute; the losses on the way."""
    history: list[dict[str, float]] = []
    saved = time.monotonic()

    def each(step: Step) -> None:
        nonlocal saved
        progress(Event(stage="train", done=round(1000 * step.share), total=1000))
        if step.share * NOTED_STEPS >= len(history):
            history.append({"step": step.number, **{name: round(value, 4) for name, value in step.losses.items()}})
        if time.monotonic() - saved > SAVE_EVERY_S:
            saved = time.monotonic()
            _save(run, out)

    try:
        run.train(pictures, odds, each)
    finally:
        _save(run, out)
    return history


def _save(run: Distillation, out: Path) -> None:
    buffer = io.BytesIO()
    need("torch").save(run.state() | {"recipe": _plain(run.recipe)}, buffer)
    write_atomically(out / NAME, buffer.getvalue())


def write(average: Mapping[str, Tensor], recipe: Recipe, about: Mapping[str, Any], out: Path) -> Mapping[str, Any]:
    """The ONNX file of these weights, compared with PyTorch on a picture of noise, and the report."""
    torch = need("torch")
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in average.items()}
    data: bytes = onnx_model(arrays, recipe.height, recipe.width).SerializeToString(deterministic=True)
    image = np.random.default_rng(recipe.seed).uniform(0, 255, (1, 3, recipe.height, recipe.width)).astype(np.float32)
    with torch.no_grad():
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        maps = answer(detector(), weights, torch.from_numpy(image)).maps
    report = {
        "model": {
            "sha256": sha256_bytes(data),
            "bytes": len(data),
            "parameters": sum(array.size for array in arrays.values()),
            "largest_difference_from_torch": largest_difference(data, [level[0].numpy() for level in maps], image),
        },
        **about,
        "versions": {
            "edgekit": __version__,
            "python": platform.python_version(),
            **{name: str(need(name).__version__) for name in ("torch", "numpy", "onnx", "onnxruntime")},
        },
    }
    write_atomically(out / MODEL, data)
    write_atomically(out / REPORT, json.dumps(report, indent=2).encode() + b"\n")
    return report
