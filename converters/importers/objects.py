"""Models that live in this process: an `onnx.ModelProto`, an exported program or module of PyTorch, a fitted estimator.

Which of them it is, is told by the packages that are loaded already: nothing is imported to find out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.converters.importers.base import Imported
from edgekit.converters.importers.estimator import from_estimator
from edgekit.converters.importers.onnx import file as onnx_file
from edgekit.converters.importers.pytorch import from_module, from_program
from edgekit.core.errors import InputError, UsageError

Shapes = Mapping[str, tuple[int, ...]]


def from_object(model: Any, *, name: str, input_shapes: Shapes, example_inputs: tuple[Any, ...] | None = None) -> Imported:
    """The graph of a model in memory.

    A module of PyTorch needs `example_inputs`, a tuple of tensors (or `input_shapes`, in the order of its arguments, for float
    inputs); a program has its own. Raises `InputError` for an object of another kind, `UsageError` when shapes are missing.
    """
    if _is(model, "onnx", "ModelProto"):
        return _from_proto(model, name, input_shapes)
    if _is(model, "torch.export", "ExportedProgram"):
        return from_program(model, input_shapes, name)
    if _is(model, "torch.nn", "Module"):
        return from_module(model, example_inputs or _examples(model, input_shapes), name)
    if _is(model, "sklearn.base", "BaseEstimator"):
        return from_estimator(model, _features(model, input_shapes), name)
    kind = type(model)
    raise InputError(
        f"{kind.__module__}.{kind.__qualname__} is no model that edgekit reads",
        "give a path, an onnx.ModelProto, a torch.nn.Module or ExportedProgram, or a fitted scikit-learn estimator",
    )


def _is(model: Any, module: str, kind: str) -> bool:
    """Whether `model` is an instance of that class of a package that is loaded."""
    found = getattr(sys.modules.get(module), kind, None)
    return isinstance(found, type) and isinstance(model, found)


def _from_proto(model: Any, name: str, input_shapes: Shapes) -> Imported:
    with tempfile.TemporaryDirectory(prefix="edgekit-") as scratch:
        path = Path(scratch) / f"{name}.onnx"
        try:
            data = bytes(model.SerializeToString(deterministic=True))
        except ValueError as exc:  # protobuf stops at 2 GiB
            raise InputError(
                f"the model {name!r} cannot be written: {exc}", "save it with external data and give the path"
            ) from exc
        path.write_bytes(data)
        found = onnx_file.load(path, input_shapes=input_shapes)
    return replace(found, model=found.model or data)


def _examples(model: Any, input_shapes: Shapes) -> tuple[Any, ...]:
    """Seeded float tensors of the shapes asked for."""
    if not input_shapes:
        raise UsageError(
            f"a {type(model).__name__} does not say the shapes of its inputs",
            "convert(model, example_inputs=(torch.zeros(1, 3, 224, 224),), ...)",
        )
    torch = sys.modules["torch"]
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(shape, generator=generator) for shape in input_shapes.values())


def _features(model: Any, input_shapes: Shapes) -> int:
    """How many numbers an estimator reads: it knows once it is fitted."""
    count = next((shape[-1] for shape in input_shapes.values()), getattr(model, "n_features_in_", None))
    if count is None:
        raise UsageError(
            f"{type(model).__name__} does not say how many features it reads; is it fitted?",
            "convert(model, input_shapes={'features': (1, 4)}, ...)",
        )
    return int(count)
