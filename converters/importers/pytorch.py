"""PyTorch programs: `.pt2` (torch.export) and TorchScript, turned into ONNX by PyTorch's own exporter in a process of its own.

Nothing is unpickled: a file that holds a pickled module or only weights is refused, and what PyTorch reads of a program is
read weights-only.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.converters.importers.archives import entries_of, text_of
from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.exported import export, imported
from edgekit.core.errors import InputError, NotFound

WORKER = "edgekit.converters.importers.pytorch_worker"
EXPORT = "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')"
SAFE_EXPRESSION = re.compile(r"[A-Za-z0-9_+\-*/(), <>=&|~]*")
"""Sizes as PyTorch writes them. It evaluates them, so that attributes, strings and items have no place there."""


def load(path: Path | str, *, input_shapes: Mapping[str, tuple[int, ...]] | None = None) -> Imported:
    """Read a `.pt2` or TorchScript file into a `Graph`, with PyTorch's own answers to seeded inputs beside it.

    Raises `NotFound`, `InputError` (weights alone, a pickled module, a damaged or bloated archive, shapes that are missing) and
    `MissingDependency` without PyTorch.
    """
    file = Path(path)
    kind = kind_of(file)
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        request = {"path": str(file.resolve()), "kind": kind, "shapes": {k: list(v) for k, v in (input_shapes or {}).items()}}
        export(WORKER, request, Path(scratch))
        return imported(Path(scratch), name=file.name, data=file.read_bytes(), framework="pytorch")


def from_module(module: Any, example_inputs: tuple[Any, ...], name: str = "model") -> Imported:
    """The graph of a `torch.nn.Module`, traced in this process on example tensors; the module is switched to evaluation."""
    from edgekit.converters.importers.pytorch_worker import export_module

    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        export_module(module, example_inputs, Path(scratch))
        return imported(Path(scratch), name=f"{name}.module", data=b"", framework="pytorch")


def from_program(program: Any, input_shapes: Mapping[str, tuple[int, ...]], name: str = "model") -> Imported:
    """The graph of a `torch.export.ExportedProgram`; its example inputs say the shapes unless others are asked for."""
    from edgekit.converters.importers.pytorch_worker import export_program

    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        export_program(program, dict(input_shapes), Path(scratch), name)
        return imported(Path(scratch), name=f"{name}.program", data=b"", framework="pytorch")


def kind_of(file: Path) -> str:
    """ "pt2" or "torchscript". Raises `InputError` for what holds no program, saying what it holds."""
    if not file.is_file():
        raise NotFound(f"no model file at {str(file)!r}", "is the path right?")
    with file.open("rb") as opened:
        start = opened.read(2)
    if start != b"PK":
        raise _refused(file, "an old pickle file, which may run any code when it is read")
    names = entries_of(file)
    parts = [name.partition("/")[2] for name in names]
    if any(part.startswith("models/") and part.endswith(".json") for part in parts):
        _ensure_harmless(file, names)
        return "pt2"
    if any(part.startswith("code/") for part in parts):
        return "torchscript"
    if "data.pkl" in parts:
        raise _refused(file, "weights or a pickled module, and no program")
    raise _refused(file, "nothing that PyTorch writes")


def _ensure_harmless(file: Path, names: tuple[str, ...]) -> None:
    for name in names:
        if not name.endswith(".json"):
            continue
        for found in re.findall(r'"expr_str"\s*:\s*"((?:[^"\\]|\\.)*)"', text_of(file, name)):
            if not SAFE_EXPRESSION.fullmatch(found) or "__" in found:
                raise InputError(f"{file.name!r} holds the size {found[:60]!r}, which is no expression", "who made this file?")


def _refused(file: Path, what: str) -> InputError:
    return InputError(f"{file.name!r} holds {what}", f"export a program where the model's code is: {EXPORT}")
