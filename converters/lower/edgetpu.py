"""Which operators of a TFLite file the Edge TPU runs, which it does not, and why: the compiler's answer before compiling.

The compiler makes one piece for the accelerator: it takes every operator it can from the inputs on, and an operator that
depends on one that had to stay on the CPU stays there too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from edgekit.converters.lower.edgetpu_compiler import Compiled as Compiled
from edgekit.converters.lower.edgetpu_compiler import compile_for_edgetpu as compile_for_edgetpu
from edgekit.converters.lower.edgetpu_ops import ADVICE, ROWS
from edgekit.converters.tflite_file.read import CUSTOM, Operator, Tensor, TFLiteFile, parse

FLOAT_TAIL = "float tail"
FLOAT_HEAD = "float head"
BY_DESIGN = frozenset({FLOAT_TAIL, FLOAT_HEAD})
"""Reasons that a model's author chose: converting float inputs to integers, and decoding the result in float."""

CACHE_BYTES = int(7.88 * 2**20)
"""What compiler 16.0 reports as free for parameters on an empty accelerator ("3.00KiB used, 7.86MiB remaining":
google-coral/edgetpu issue 322), of 8 MB SRAM. Large activations leave less."""

INTEGERS = frozenset({"int8", "uint8"})
CONSTANT_TYPES = INTEGERS | {"int32"}
HEAVY = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"})
BIASED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
"""Which input is the bias, a 32-bit integer."""
INNER_DIMENSIONS = 3
COMPILED = "edgetpu-custom-op"
"""What the compiler puts in place of the operators it took."""
CAVEAT = (
    "by the published limits; edgetpu_compiler has the last word, and refuses some large activations without a stated limit"
)
LISTED = 20
"""Operators that a report names; a model with more misses than that has one cause, which comes first."""
NAME_LENGTH = 48


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one operator runs. `name` is its first output's; `reason` is empty on the Edge TPU, else why not."""

    index: int
    op: str
    name: str
    version: int
    on_tpu: bool
    reason: str = ""

    @property
    def missed(self) -> bool:
        """On the CPU, and not because the author wanted it there."""
        return not self.on_tpu and self.reason not in BY_DESIGN


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The constants of one mapped operator; one that several share is counted with the first."""

    index: int
    op: str
    name: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class ParameterCache:
    """An estimate of where the weights of the mapped operators live: on the chip, or sent to it at every inference.

    `operators` are those with weights, in the file's order. Which of them the compiler caches is not published.
    """

    weight_bytes: int
    cached_bytes: int
    streamed_bytes: int
    operators: tuple[Weights, ...] = ()

    @property
    def segments(self) -> int:
        """Over how many accelerators the model must be spread for all weights to stay on chip (`--num_segments`)."""
        return max(1, math.ceil(self.weight_bytes / CACHE_BYTES))


def placements(tflite: bytes, *, as_int8: bool = False) -> tuple[Placement, ...]:
    """Where every operator of the file will run, in the file's order. Raises `InputError` for a damaged file.

    With `as_int8` a float file is judged as if it were quantized, so that a model can be looked at before calibration.
    """
    return _placed(_quantized(parse(tflite)) if as_int8 else parse(tflite))


def _placed(file: TFLiteFile) -> tuple[Placement, ...]:
    if any(operator.custom_code == COMPILED for operator in file.operators):
        return tuple(_as_compiled(file, operator) for operator in file.operators)
    reasons = {operator.index: _why_not(file, operator) for operator in file.operators}
    on_tpu, cut_off_by = _one_piece(file, reasons)
    tail, head = _float_tail(file, on_tpu), _float_head(file, on_tpu)
    for index, blocker in cut_off_by.items():
        reasons[index] = reasons[index] or f"it follows {_short(_name(file, blocker))!r} ({blocker.op}), which runs on the CPU"
    for index in head | tail:
        reasons[index] = FLOAT_TAIL if index in tail else FLOAT_HEAD
    return tuple(
        Placement(
            index=operator.index,
            op=operator.custom_code if operator.op == CUSTOM else operator.op,
            name=_name(file, operator),
            version=operator.version,
            on_tpu=operator.index in on_tpu,
            reason="" if operator.index in on_tpu else reasons[operator.index],
        )
        for operator in file.operators
    )


def _as_compiled(file: TFLiteFile, operator: Operator) -> Placement:
    """In a file that has been compiled the question is settled: the accelerator's piece is one custom operator."""
    mine = operator.custom_code == COMPILED
    reason = "" if mine else "the compiler left it on the CPU"
    name, op = _name(file, operator), operator.custom_code or operator.op
    return Placement(index=operator.index, op=op, name=name, version=operator.version, on_tpu=mine, reason=reason)


def first_off_tpu(placed: Iterable[Placement]) -> Placement | None:
    """The first operator that stays on the CPU without having been meant to; None when there is none."""
    return next((place for place in placed if place.missed), None)


def parameter_cache(tflite: bytes, *, as_int8: bool = False) -> ParameterCache:
    """How much of the mapped operators' weights fit the accelerator's memory, estimated from their size in the file."""
    file = _quantized(parse(tflite)) if as_int8 else parse(tflite)
    mapped = {place.index for place in _placed(file) if place.on_tpu}
    operators = tuple(weights for operator, weights in _weights(file) if operator in mapped and weights.bytes)
    total = sum(weights.bytes for weights in operators)
    cached = min(total, CACHE_BYTES)
    return ParameterCache(weight_bytes=total, cached_bytes=cached, streamed_bytes=total - cached, operators=operators)


def _weights(file: TFLiteFile) -> Iterator[tuple[int, Weights]]:
    """Every operator's constants, each constant once."""
    seen: set[int] = set()
    for operator in file.operators:
        new = {index for index in operator.inputs if index >= 0 and file.tensors[index].constant} - seen
        seen |= new
        size = sum(file.tensors[index].bytes for index in new)
        yield operator.index, Weights(index=operator.index, op=operator.op, name=_name(file, operator), bytes=size)


def _quantized(file: TFLiteFile) -> TFLiteFile:
    """The file with one byte where a float stood, four for a bias: types and sizes as after quantization, values without meaning."""
    biases = {index for operator in file.operators if operator.op in BIASED for index in operator.inputs[BIASED[operator.op] :]}
    tensors = (_smaller(tensor, bias=index in biases) for index, tensor in enumerate(file.tensors))
    return replace(file, tensors=tuple(tensors))


def _smaller(tensor: Tensor, *, bias: bool) -> Tensor:
    if tensor.dtype != "float32":
        return tensor
    return replace(tensor, dtype="int32") if bias and tensor.constant else _one_byte(tensor)


def _one_byte(tensor: Tensor) -> Tensor:
    return replace(tensor, dtype="int8", data=tensor.data[: tensor.elements])


def report(placed: tuple[Placement, ...]) -> str:
    """The same for a person: how many map, and a line for every operator that does not."""
    mapped = sum(place.on_tpu for place in placed)
    settled = any(place.op == COMPILED for place in placed)
    lines = [f"{mapped} of {len(placed)} operators {'run on' if settled else 'map to'} the Edge TPU"]
    chosen = Counter(place.reason for place in placed if place.reason in BY_DESIGN)
    lines += [f"{count} on the CPU by design ({reason})" for reason, count in sorted(chosen.items())]
    missed = [place for place in placed if place.missed]
    lines += [f"  {place.index:>4}  {place.op:<24} {_short(place.name)}: {place.reason}" for place in missed[:LISTED]]
    lines += [f"        and {len(missed) - LISTED} more"] if len(missed) > LISTED else []
    advice = {
        place.op: ADVICE[place.op] for place in missed if place.op in ADVICE and not place.reason.startswith("it follows")
    }
    lines += [f"  {op}: {text}" for op, text in sorted(advice.items())]
    return "\n".join(lines if settled or not mapped else [*lines, CAVEAT])


def _name(file: TFLiteFile, operator: Operator) -> str:
    return file.tensors[operator.outputs[0]].name if operator.outputs else f"operator {operator.index}"


def _short(name: str) -> str:
    """TensorFlow joins the names of fused operators with semicolons; the first is enough to find the place."""
    first = name.partition(";")[0]
    return first if len(first) <= NAME_LENGTH else f"…{first[1 - NAME_LENGTH :]}"


def _why_not(file: TFLiteFile, operator: Operator) -> str:
    """Why the accelerator cannot run this operator wherever it stands; empty when it can."""
    if operator.op == CUSTOM:
        return "a custom operator"
    row = ROWS.get(operator.op)
    if row is None:
        return "the Edge TPU has no such operator"
    if operator.version > row.newest:
        return f"operator version {operator.version} is newer than {row.newest}, the last that the compiler knows"
    if len(file.of(operator.inputs)) < row.inputs or not operator.outputs:
        return f"it has {len(file.of(operator.inputs))} inputs and {len(operator.outputs)} outputs, which is too few"
    general = (_tensor_reason(tensor) for tensor in (*_activations(file, operator), *file.of(operator.outputs)))
    constants = (_constant_reason(tensor) for tensor in file.of(operator.inputs) if tensor.constant)
    specific = (check(file, operator) for check in row.checks)
    return next((reason for reasons in (general, constants, specific) for reason in reasons if reason), "")


def _activations(file: TFLiteFile, operator: Operator) -> tuple[Tensor, ...]:
    """The computed inputs; an LSTM's state, which is 16 bit, is not among them."""
    return tuple(tensor for tensor in file.of(operator.inputs) if not tensor.constant and not tensor.variable)


def _tensor_reason(tensor: Tensor) -> str:
    if tensor.dtype not in INTEGERS:
        return f"{_short(tensor.name)!r} is {tensor.dtype}; only int8 and uint8 are computed"
    if tensor.dynamic:
        return f"{_short(tensor.name)!r} has a size that is only known at run time"
    if any(dim > 1 for dim in tensor.shape[:-INNER_DIMENSIONS]):
        return f"{_short(tensor.name)!r} is {list(tensor.shape)}; only the three innermost dimensions may be more than 1"
    return ""


def _constant_reason(tensor: Tensor) -> str:
    return "" if tensor.dtype in CONSTANT_TYPES else f"its constant {_short(tensor.name)!r} is {tensor.dtype}"


def _one_piece(file: TFLiteFile, reasons: dict[int, str]) -> tuple[frozenset[int], dict[int, Operator]]:
    """The operators in the accelerator's one piece, and for those cut off from it the operator that cut them off."""
    on_tpu: set[int] = set()
    after_tpu: set[int] = set()
    cut_off_by: dict[int, Operator] = {}
    for operator in file.operators:
        before = [file.producers[index] for index in operator.inputs if index in file.producers]
        blocker = next(
            (cut_off_by.get(each.index, each) for each in before if each.index in after_tpu and each.index not in on_tpu), None
        )
        if blocker is not None:
            cut_off_by[operator.index] = blocker
        elif not reasons[operator.index]:
            on_tpu.add(operator.index)
        if operator.index in on_tpu or any(each.index in after_tpu for each in before):
            after_tpu.add(operator.index)
    return frozenset(on_tpu), cut_off_by


def _float_tail(file: TFLiteFile, on_tpu: frozenset[int]) -> frozenset[int]:
    """Light float operators after the integer body whose results go nowhere but to the outputs."""
    fed = set(on_tpu)
    for operator in file.operators:
        if any(index in file.producers and file.producers[index].index in fed for index in operator.inputs):
            fed.add(operator.index)
    tail: set[int] = set()
    readers = _readers(file)
    for operator in reversed(file.operators):
        goes_out = all(reader in tail for index in operator.outputs for reader in readers.get(index, ()))
        if goes_out and operator.index in fed - on_tpu and _decodes(file, operator):
            tail.add(operator.index)
    return frozenset(tail)


def _float_head(file: TFLiteFile, on_tpu: frozenset[int]) -> frozenset[int]:
    """Light float operators between the inputs and the integer body."""
    head: set[int] = set()
    for operator in file.operators:
        before = {file.producers[index].index for index in operator.inputs if index in file.producers}
        if on_tpu and before <= head and operator.index not in on_tpu and _encodes(file, operator):
            head.add(operator.index)
    return frozenset(head)


def _decodes(file: TFLiteFile, operator: Operator) -> bool:
    """Float out, and float in unless it is the dequantization itself."""
    floats = all(tensor.dtype == "float32" for tensor in file.of(operator.outputs))
    from_float = all(tensor.dtype == "float32" for tensor in _activations(file, operator))
    return floats and operator.op not in HEAVY and (operator.op == "DEQUANTIZE" or from_float)


def _encodes(file: TFLiteFile, operator: Operator) -> bool:
    """Has a float input or output on the way to integers."""
    around = (*_activations(file, operator), *file.of(operator.outputs))
    return operator.op not in HEAVY and any(tensor.dtype == "float32" for tensor in around)


def _readers(file: TFLiteFile) -> dict[int, list[int]]:
    """Tensor index -> the operators that read it."""
    found: dict[int, list[int]] = {}
    for operator in file.operators:
        for index in operator.inputs:
            found.setdefault(index, []).append(operator.index)
    return found
