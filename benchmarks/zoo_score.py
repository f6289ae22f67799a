"""How near a converted file's outputs are to the source model's in ONNX Runtime, on feeds that nobody calibrated on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zoo_feeds import Feed, load

from edgekit.core.optional import need

Arrays = list[NDArray[np.float64]]


def score(file: Path, folder: Path) -> dict[str, Any]:
    """SQNR of the worst output in dB, largest error over the largest value, and for TFLite how many TRANSPOSE and CUSTOM ops."""
    feeds = load(folder / "held_out.npz")
    try:
        found = (_litert if file.suffix == ".tflite" else _onnxruntime)(file, feeds)
    except (RuntimeError, ValueError) as failure:
        return {"failed": f"does not run: {str(failure).strip().splitlines()[0][:200]}"}
    truth = _onnxruntime(folder / "model.onnx", feeds)
    try:
        pairs = [_matched(true, given) for true, given in zip(truth, found, strict=True)]
    except ValueError as failure:
        return {"failed": str(failure)}
    if not all(np.isfinite(given).all() for answers in pairs for _, given in answers):
        return {"failed": "an output is NaN or infinite"}
    columns = list(zip(*pairs, strict=True))
    worst = max(float(np.abs(g - t).max() / max(np.abs(t).max(), 1e-30)) for column in columns for t, g in column)
    quality = {"sqnr_db": round(min(map(_sqnr_db, columns)), 2), "worst_relative": float(f"{worst:.2e}")}
    return quality | (_operators(file) if file.suffix == ".tflite" else {})


def _sqnr_db(pairs: tuple[tuple[Any, Any], ...]) -> float:
    signal = sum(float(np.square(truth).sum()) for truth, _ in pairs)
    noise = sum(float(np.square(given - truth).sum()) for truth, given in pairs)
    return 10 * math.log10(signal / noise) if noise > 0 and signal > 0 else 200.0


def _matched(truth: Arrays, given: Arrays) -> list[tuple[Any, Any]]:
    """Outputs side by side: in the order and layout that fits; a peer may have changed both."""
    if len(truth) != len(given):
        raise ValueError(f"{len(given)} outputs where the model has {len(truth)}")
    if all(t.shape == g.shape for t, g in zip(truth, given, strict=True)):
        return list(zip(truth, given, strict=True))
    return [(t, _nearest(t, given)) for t in truth]


def _nearest(truth: NDArray[np.float64], given: Arrays) -> NDArray[np.float64]:
    """The output, in the order of axes, that is nearest to the truth."""
    fitting = list(_laid_out(truth.shape, given))
    if not fitting:
        raise ValueError(f"no output of shape {truth.shape}; there are {[array.shape for array in given]}")
    return min(fitting, key=lambda array: float(np.square(array - truth).sum()))


def _laid_out(shape: tuple[int, ...], given: Arrays) -> Iterator[NDArray[np.float64]]:
    for array in given:
        if array.size == math.prod(shape) and array.ndim != len(shape):
            yield array.reshape(shape)
        for order in permutations(range(array.ndim)) if array.ndim == len(shape) else ():
            if tuple(array.shape[axis] for axis in order) == shape:
                yield array.transpose(order)


def _onnxruntime(file: Path, feeds: list[Feed]) -> list[Arrays]:
    session = _session(file)
    return [[np.asarray(value, np.float64) for value in session.run(None, feed)] for feed in feeds]


def _session(file: Path) -> Any:
    """Exact sums: on processors of x86 without dot products those of uint8 and int8 saturate unless asked not to.

    Shared weights of ONNX Runtime's own files do not load that way (1.32); such a file is computed as it is written, in float.
    """
    engine = need("onnxruntime")
    try:
        return _opened(file, "session.x64quantprecision")
    except engine.capi.onnxruntime_pybind11_state.Fail:
        return _opened(file, "session.disable_quant_qdq")


def _opened(file: Path, entry: str) -> Any:
    engine = need("onnxruntime")
    options = engine.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(entry, "1")
    return engine.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _litert(file: Path, feeds: list[Feed]) -> list[Arrays]:
    interpreter = need("ai_edge_litert.interpreter").Interpreter(model_path=str(file), num_threads=2)
    interpreter.allocate_tensors()
    inputs = _by_name(interpreter, list(feeds[0]))
    order = _output_order(interpreter)
    answers = []
    for feed in feeds:
        for name, detail in inputs.items():
            interpreter.set_tensor(detail["index"], _stored(feed[name], detail))
        interpreter.invoke()
        answers.append([_real(interpreter.get_tensor(detail["index"]), detail) for detail in order])
    return answers


def _by_name(interpreter: Any, names: list[str]) -> dict[str, Any]:
    """The input details by the model's input names; by position where a peer renamed them."""
    details = interpreter.get_input_details()
    known = {detail["name"].removeprefix("serving_default_").removesuffix(":0"): detail for detail in details}
    if set(names) <= set(known):
        return {name: known[name] for name in names}
    return dict(zip(names, details, strict=True))


def _output_order(interpreter: Any) -> list[Any]:
    """Output details in the order of the file."""
    return list(interpreter.get_output_details())


def _stored(value: NDArray[np.generic], detail: Any) -> NDArray[np.generic]:
    """The feed in the layout and the type that the file wants."""
    shape = tuple(detail["shape"])
    if value.shape != shape:
        fitting = [order for order in permutations(range(value.ndim)) if tuple(value.shape[axis] for axis in order) == shape]
        if not fitting:
            raise ValueError(f"input {detail['name']} wants {shape}, not {value.shape}")
        value = value.transpose(fitting[0])
    scale, zero_point = detail["quantization"]
    if scale and np.dtype(detail["dtype"]).kind in "iu" and np.dtype(value.dtype).kind == "f":
        limits = np.iinfo(detail["dtype"])
        value = np.clip(np.rint(value / scale) + zero_point, limits.min, limits.max)
    return np.ascontiguousarray(value.astype(detail["dtype"]))


def _real(value: NDArray[np.generic], detail: Any) -> NDArray[np.float64]:
    scale, zero_point = detail["quantization"]
    real = value.astype(np.float64)
    return (real - zero_point) * scale if scale and np.dtype(detail["dtype"]).kind in "iu" else real


def _operators(file: Path) -> dict[str, int]:
    schema = need("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(file.read_bytes(), 0))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    ops = [codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators]
    return {
        "operators": len(ops),
        "transposes": ops.count(schema.BuiltinOperator.TRANSPOSE),
        "custom": ops.count(schema.BuiltinOperator.CUSTOM),
    }
