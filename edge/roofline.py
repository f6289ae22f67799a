"""Boards ranked by what their data sheets allow a model: the roofline, which no engine reaches and all are bounded by.

An operator takes at least as long as its products at the peak rate, and as what it must fetch at the memory's rate (Williams,
Waterman and Patterson 2009, "Roofline", doi 10.1145/1498765.1498785). Only weights must be fetched: activations may stay in
caches, and profiles do not know all caches, so counting them would rank what is written about boards. That orders boards; it is no latency, and none is given: measured
models take 2 to 20 times as long, by how well an engine's kernels fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from edgekit.converters.cost import Cost, OperatorCost
from edgekit.core.facts import known_true, number
from edgekit.core.schema import Device, Engine, Precision

Bound = Literal["compute", "memory", "host link"]
NUMBER_BYTES = {"int8": 1, "int16x8": 2, "dynamic": 4, "fp16": 2, "mixed": 2, "fp32": 4}
NEON_MACS = 4
"""Single precision products of one 128-bit multiply-add, which every Armv8 core here starts once per clock or more."""
INT8_GAIN, DOT_GAIN = 2, 4
"""Products of 8-bit integers per instruction against single precision: widening multiply-add, and dot product (Arm ARM)."""


@dataclass(frozen=True, kw_only=True)
class Roof:
    """The two bounds of an engine at a precision: products and bytes per second; `assumed` says what no source states."""

    macs_per_s: float
    bytes_per_s: float
    assumed: str = ""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A board in the ranking. `ratio` is its bound over the best board's, None when a figure is missing (`missing` says which);
    `bound_by` is what most of that time goes to."""

    device: str
    runtime: str
    precision: Precision
    ratio: float | None = None
    bound_by: Bound | None = None
    fits: bool | None = None
    missing: str = ""
    assumed: str = ""


def rank(cost: Cost, devices: Iterable[Device]) -> tuple[Standing, ...]:
    """Boards by the bound of their first engine at its best precision, fastest first; those without figures come last, by name."""
    bounds = [_bound(cost, device, device.engines[0]) for device in devices]
    known = sorted((bound for bound in bounds if bound[1]), key=lambda bound: (bound[1], bound[0].device))
    best = known[0][1] if known else 1.0
    placed = [replace(standing, ratio=seconds / best) for standing, seconds in known]
    unknown = sorted((standing for standing, seconds in bounds if not seconds), key=lambda standing: standing.device)
    return (*placed, *unknown)


def roof(device: Device, engine: Engine, precision: Precision) -> Roof | str:
    """The engine's two bounds, or which figure its profile lacks."""
    if engine.runtime == "tensorrt":
        return _gpu_roof(device, precision)
    if engine.runtime == "edgetpu":
        tops = number(device, "int8_tops_dense")
        return Roof(macs_per_s=tops * 5e11, bytes_per_s=float("inf")) if tops else "int8_tops_dense"
    return _cpu_roof(device, precision)


def _bound(cost: Cost, device: Device, engine: Engine) -> tuple[Standing, float]:
    """The board without its ratio, and its bound in seconds (0 when a figure is missing)."""
    precision = engine.precisions[0]
    size = NUMBER_BYTES[precision] / _number_bytes(cost)
    memory = number(device, "memory_bytes")
    held = (cost.parameter_bytes + cost.activation_bytes) * size
    found = roof(device, engine, precision)
    link = _streamed_seconds(cost, device, engine, size)
    missing = found if isinstance(found, str) else link if isinstance(link, str) else ""
    standing = Standing(
        device=device.name,
        runtime=engine.runtime,
        precision=precision,
        fits=held <= memory if memory else None,
        missing=missing,
        assumed="" if isinstance(found, str) else found.assumed,
    )
    if isinstance(found, str) or isinstance(link, str):
        return standing, 0.0
    compute, moved = _sums(cost.operators, found, size)
    shares: dict[Bound, float] = {"compute": compute, "memory": moved, "host link": link}
    longest = max(shares, key=lambda name: shares[name])
    return replace(standing, bound_by=longest), compute + moved + link


def _sums(operators: Iterable[OperatorCost], found: Roof, size: float) -> tuple[float, float]:
    """Seconds of the operators that their products bound, and of those that their bytes bound."""
    compute = moved = 0.0
    for operator in operators:
        products, transfer = operator.macs / found.macs_per_s, operator.parameter_bytes * size / found.bytes_per_s
        compute, moved = (compute + products, moved) if products >= transfer else (compute, moved + transfer)
    return compute, moved


def _streamed_seconds(cost: Cost, device: Device, engine: Engine, size: float) -> float | str:
    """What an Edge TPU's weights beyond its memory take over the link at every inference, or the figure that is missing."""
    if engine.runtime != "edgetpu":
        return 0.0
    cache = number(device, "onchip_cache_bytes")
    if cache is None:
        return "onchip_cache_bytes"
    streamed = max(cost.parameter_bytes * size - cache, 0.0)
    link = number(device, "host_link_bytes_per_s")
    if streamed and link is None:
        return "host_link_bytes_per_s"
    return streamed / link if link else 0.0


def _gpu_roof(device: Device, precision: Precision) -> Roof | str:
    bandwidth = number(device, "memory_bandwidth_peak_bytes_per_s")
    if bandwidth is None:
        return "memory_bandwidth_peak_bytes_per_s"
    dense, sparse = number(device, "int8_tops_dense"), number(device, "int8_tops_sparse")
    tops = dense or (sparse / 2 if sparse else None)
    half = number(device, "fp16_tflops")
    single, cores, clock = (number(device, name) for name in ("fp32_tflops", "gpu_cores", "gpu_mhz_max"))
    flops = single * 1e12 if single else cores * clock * 2e6 if cores and clock else None
    by_precision = {"int8": tops and tops * 1e12, "mixed": half and half * 1e12, "fp16": half and half * 1e12, "fp32": flops}
    rate = by_precision[precision]
    if not rate:
        return {"int8": "int8_tops_dense", "fp32": "fp32_tflops"}.get(precision, "fp16_tflops")
    assumed = "half of the sparse peak" if precision == "int8" and not dense else ""
    return Roof(macs_per_s=rate / 2, bytes_per_s=bandwidth, assumed=assumed)


def _cpu_roof(device: Device, precision: Precision) -> Roof | str:
    bandwidth = number(device, "memory_bandwidth_cpu_bytes_per_s") or number(device, "memory_bandwidth_peak_bytes_per_s")
    if bandwidth is None:
        return "memory_bandwidth_cpu_bytes_per_s"
    gflops, cores, clock = (number(device, name) for name in ("cpu_fp32_gflops", "cpu_cores", "cpu_mhz_max"))
    if gflops is None and (cores is None or clock is None):
        return "cpu_fp32_gflops"
    single = gflops * 5e8 if gflops is not None else (cores or 0) * (clock or 0) * 1e6 * NEON_MACS
    gain = (DOT_GAIN if known_true(device, "cpu_dotprod") else INT8_GAIN) if precision == "int8" else 1
    assumed = "" if gflops is not None else "one 128-bit multiply-add per core and clock"
    return Roof(macs_per_s=single * gain, bytes_per_s=bandwidth, assumed=assumed)


def _number_bytes(cost: Cost) -> float:
    """How many bytes the model as it stands spends on a number."""
    return cost.parameter_bytes / cost.params if cost.params else 4.0
