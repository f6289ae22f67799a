"""The process that has PyTorch in it: reads a program weights-only, exports it to ONNX, and writes down what it answers."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.core.optional import need

SEED = 0
OPSET = 18


def main(argv: Sequence[str]) -> int:
    """Read the request from standard input, write `model.onnx` and `answers.npz` into the folder named in `argv`."""
    request = json.load(sys.stdin)
    answer: dict[str, Any] = {}
    try:
        _export(request, Path(argv[0]))
    except EdgekitError as error:
        answer = {"error": error.message, "hint": error.hint, "missing": isinstance(error, MissingDependency)}
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    return 0


def _export(request: dict[str, Any], folder: Path) -> None:
    torch: Any = need("torch")
    # PyTorch reads example inputs and odd constants with pickle; this process only ever wants tensors.
    torch.load = partial(_weights_only, torch.load)
    shapes = {name: tuple(shape) for name, shape in request["shapes"].items()}
    if request["kind"] == "pt2":
        _program(torch, request["path"], shapes, folder)
    else:
        _script(torch, request["path"], shapes, folder)


def _weights_only(load: Any, *args: Any, **options: Any) -> Any:
    return load(*args, **{**options, "weights_only": True})


def _program(torch: Any, path: str, shapes: dict[str, tuple[int, ...]], folder: Path) -> None:
    """A `.pt2` file."""
    try:
        program = torch.export.load(path)
    except Exception as exc:  # PyTorch raises whatever its parsers raise
        raise InputError(
            f"PyTorch could not read {Path(path).name!r}: {_last(exc)}", "was it saved by a newer PyTorch?"
        ) from exc
    export_program(program, shapes, folder, Path(path).name)


def export_program(program: Any, shapes: dict[str, tuple[int, ...]], folder: Path, name: str) -> None:
    """Write `model.onnx` and `answers.npz` of an exported program: its example inputs say the shapes unless others are asked for."""
    torch: Any = need("torch")
    arguments, keywords = program.example_inputs or ((), {})
    names = list(program.graph_signature.user_inputs)
    _ensure_known(shapes, names)
    flat = [*arguments, *keywords.values()]
    if len(flat) != len(names) or not all(isinstance(value, torch.Tensor) for value in flat):
        raise InputError(f"{name!r} takes inputs that are not tensors: {', '.join(names)}", "export with tensors alone")
    example = [_seeded(torch, shapes.get(one, tuple(value.shape)), value.dtype) for one, value in zip(names, flat, strict=True)]
    module = program.module()
    count = len(arguments)
    _write(torch, module, tuple(example[:count]), dict(zip(keywords, example[count:], strict=True)), folder, program)


def _script(torch: Any, path: str, shapes: dict[str, tuple[int, ...]], folder: Path) -> None:
    """A TorchScript file: it does not know its shapes, so they are asked for by name."""
    try:
        module = torch.jit.load(path, map_location="cpu").eval()
    except Exception as exc:  # PyTorch raises whatever its parsers raise
        raise InputError(
            f"PyTorch could not read {Path(path).name!r}: {_last(exc)}", "was it saved by a newer PyTorch?"
        ) from exc
    names = [value.debugName().partition(".")[0] for value in list(module.graph.inputs())[1:]]
    _ensure_known(shapes, names)
    missing = [name for name in names if name not in shapes]
    if missing:
        hints = " ".join(f"--input-shape {name}=1x3x224x224" for name in missing)
        raise InputError(f"a TorchScript file does not say the shapes of its inputs: {', '.join(missing)}", hints)
    example = tuple(_seeded(torch, shapes[name], torch.float32) for name in names)
    _answered(torch, module, example, {}, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its older exporter is the only one that takes TorchScript
        torch.onnx.export(module, example, str(folder / "model.onnx"), dynamo=False, input_names=names)


def export_module(module: Any, example_inputs: tuple[Any, ...], folder: Path) -> None:
    """Write `model.onnx` and `answers.npz` of an `nn.Module` for these example tensors."""
    torch = need("torch")
    module = module.eval()
    program = torch.export.export(module, example_inputs)
    _write(torch, module, example_inputs, {}, folder, program)


def _write(torch: Any, module: Any, example: tuple[Any, ...], keywords: dict[str, Any], folder: Path, program: Any) -> None:
    need("onnxscript")
    _answered(torch, module, example, keywords, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.onnx.export(program, dynamo=True, verbose=False, opset_version=OPSET)
    found.save(str(folder / "model.onnx"), external_data=False)


def _answered(torch: Any, module: Any, example: tuple[Any, ...], keywords: dict[str, Any], folder: Path) -> None:
    """What the model itself answers in PyTorch."""
    with torch.no_grad():
        answer = module(*example, **keywords)
    outputs = [value for value in torch.utils._pytree.tree_leaves(answer) if isinstance(value, torch.Tensor)]
    given = {f"input_{place}": value.numpy() for place, value in enumerate((*example, *keywords.values()))}
    told = {f"output_{place}": value.detach().numpy() for place, value in enumerate(outputs)}
    np.savez(folder / "answers.npz", **given, **told)


def _seeded(torch: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    generator = torch.Generator().manual_seed(SEED)
    if dtype.is_floating_point:
        return torch.rand(shape, generator=generator).to(dtype)
    return torch.randint(0, 2, shape, generator=generator).to(dtype)


def _ensure_known(shapes: dict[str, tuple[int, ...]], names: Sequence[str]) -> None:
    for name in shapes:
        if name not in names:
            raise InputError(f"the model has no input {name!r}", f"its inputs are {', '.join(names)}")


def _last(exc: Exception) -> str:
    return (str(exc).strip().splitlines() or [type(exc).__name__])[-1][:200]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
