"""What a cell is made from, as one hash: same inputs, same key, on any machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edgekit import __version__
from edgekit.conversion.request import Pruning, Request
from edgekit.converters.graph import Graph
from edgekit.core.errors import UsageError
from edgekit.core.files import sha256_bytes, sha256_file
from edgekit.formats import import_model


def source_key(model: Path, request: Request) -> str:
    """The hash of a model with its data and preprocessing: what the cells of one model share.

    The model is imported, so that weights in other files count. Raises what importing raises, and `UsageError` for calibration
    data that has no path.
    """
    imported = import_model(model, request.input_shapes)
    parts = {
        "edgekit": __version__,
        "name": model.stem,
        "file": imported.source.sha256,
        "constants": _constants(imported.graph),
        "shapes": [[spec.name, list(spec.shape)] for spec in imported.graph.inputs],
        "preprocess": dict(request.preprocess),
        "calibration": hash_of(_path(request.calibration)),
        "limit": request.recipe.calibration_limit,
        "evaluate": hash_of(request.evaluate),
        "licence": request.licence,
    }
    return sha256_bytes(msgspec.json.encode(parts, order="deterministic"))


def pruned_key(source: str, pruning: Pruning | None) -> str:
    """The hash of a source with some of its arithmetic removed; without pruning its own."""
    return source if pruning is None else sha256_bytes(f"{source} {pruning}".encode())


def cell_key(source: str, request: Request, target: str) -> str:
    """The hash of one cell: its source (pruned or not), its target and the recipe."""
    recipe = msgspec.structs.asdict(request.recipe)
    return sha256_bytes(msgspec.json.encode([source, target, recipe], order="deterministic"))


def hash_of(path: Path | None) -> str:
    """The hash of a file, or of the names and contents of all files below a folder; empty for None or what is not there."""
    if path is None or not path.exists():
        return ""
    if path.is_file():
        return sha256_file(path)
    lines = (f"{sha256_file(file)} {file.relative_to(path).as_posix()}\n" for file in sorted(path.rglob("*")) if file.is_file())
    return sha256_bytes("".join(lines).encode())


def _constants(graph: Graph) -> str:
    digest = hashlib.sha256()
    for name in sorted(graph.constants):
        value = graph.constants[name]
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _path(calibration: object) -> Path | None:
    if calibration is None or isinstance(calibration, str | Path):
        return Path(calibration) if calibration is not None else None
    raise UsageError(
        f"a sweep cannot send a {type(calibration).__name__} to its workers", "write the samples to an .npz and give its path"
    )
