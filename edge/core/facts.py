"""The closed vocabulary of facts about a device: each name carries its unit, each value a plausible range.

A profile states a fact under exactly these names or not at all, so that every reader means the same quantity by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from edgekit.core.schema import Device

MIB, GIB = 2**20, 2**30


class Kind(NamedTuple):
    """What a fact is: the type of its value, the range that is plausible for an edge device, and its meaning."""

    type: type
    low: float
    high: float
    meaning: str


def _count(low: float, high: float, meaning: str) -> Kind:
    return Kind(int, low, high, meaning)


def _amount(low: float, high: float, meaning: str) -> Kind:
    return Kind(float, low, high, meaning)


def _yes_or_no(meaning: str) -> Kind:
    return Kind(bool, 0, 1, meaning)


def _words(meaning: str) -> Kind:
    return Kind(str, 1, 200, meaning)


FACTS: Mapping[str, Kind] = {
    # memory
    "memory_bytes": _count(1 * MIB, 4096 * GIB, "main memory; of the smallest variant when sold in several"),
    "memory_max_bytes": _count(1 * MIB, 4096 * GIB, "main memory of the largest variant"),
    "memory_type": _words("kind of memory chips"),
    "memory_bandwidth_peak_bytes_per_s": _count(10**8, 2 * 10**13, "theoretical peak of the memory interface"),
    "memory_bandwidth_cpu_bytes_per_s": _count(10**8, 10**12, "measured: memcpy by one CPU thread"),
    "memory_fill_cpu_bytes_per_s": _count(10**8, 10**12, "measured: memset by one CPU thread"),
    "language_bytes_per_s": _count(10**7, 10**13, "measured: weights that a language engine reads while it writes an answer"),
    "onchip_cache_bytes": _count(2**10, GIB, "accelerator's own memory for weights and activations"),
    "device_tree": _words("file of the boot partition that the board's firmware loads"),
    "storage": _words("where the operating system and models live"),
    "cameras": _words("camera connectors"),
    "h264_decoder": _yes_or_no("decodes H.264 video in hardware"),
    # processor
    "cpu_model": _words("processor cores by name"),
    "cpu_cores": _count(1, 1024, "processor cores"),
    "cpu_mhz_max": _count(50, 10_000, "highest clock of the fastest cores"),
    "cpu_l2_bytes": _count(2**10, GIB, "second-level cache, all cores together"),
    "cpu_l3_bytes": _count(2**10, 4 * GIB, "third-level cache"),
    "cpu_dotprod": _yes_or_no("has the 8-bit dot product instructions (SDOT, UDOT)"),
    "cpu_fp16": _yes_or_no("computes in half precision (FEAT_FP16)"),
    "cpu_lse": _yes_or_no("has the large system extensions: libraries built for Armv8.1 load"),
    "cpu_fp32_gflops": _amount(0.1, 10**5, "theoretical peak of the processor"),
    # GPU and other accelerators
    "gpu_cores": _count(1, 10**5, "shader (CUDA) cores"),
    "gpu_tensor_cores": _count(0, 10**4, "matrix units"),
    "gpu_mhz_max": _count(50, 5_000, "highest GPU clock"),
    "gpu_compute_capability": _words("CUDA compute capability"),
    "gpu_l2_bytes": _count(2**10, GIB, "second-level cache of the GPU"),
    "int8_channel_multiple": _count(1, 256, "numbers of channels that its 8-bit kernels take whole are multiples of it"),
    "gpu_int8": _yes_or_no("computes in 8-bit integers faster than in half precision"),
    "gpu_int8_tops_sparse": _amount(0.1, 10**5, "the GPU alone, with 2:4 sparse weights"),
    "dla_cores": _count(0, 16, "deep learning accelerators (NVDLA) that can be used"),
    "dla_mhz_max": _count(50, 5_000, "highest clock of the deep learning accelerators"),
    "dla_int8_tops_dense": _amount(0.1, 10**4, "all deep learning accelerators together"),
    "dla_int8_tops_sparse": _amount(0.1, 10**4, "all deep learning accelerators together, with 2:4 sparse weights"),
    "edgetpu_mhz_max": _count(50, 5_000, "highest clock of an Edge TPU"),
    "int8_tops_dense": _amount(0.1, 10**5, "theoretical peak of the whole device in 8-bit integers"),
    "int8_tops_sparse": _amount(0.1, 10**5, "the same with 2:4 sparse weights: not what dense models see"),
    "fp16_tflops": _amount(0.01, 10**5, "theoretical peak of the GPU in half precision, dense"),
    "fp32_tflops": _amount(0.01, 10**5, "theoretical peak of the GPU in single precision"),
    "fp4_tflops_sparse": _amount(0.1, 10**6, "theoretical peak in 4-bit floats with 2:4 sparse weights"),
    "npu_int8_tops": _amount(0.1, 10**5, "8-bit operations of a neural accelerator, as its maker counts them"),
    "npu_int4_tops": _amount(0.1, 10**5, "4-bit operations of a neural accelerator, as its maker counts them"),
    # power and heat
    "tdp_mw": _count(1, 10**6, "power the module or board may draw"),
    "idle_mw": _count(1, 10**6, "power at the wall, doing nothing"),
    "load_mw": _count(1, 10**6, "power at the wall, all cores busy"),
    "supply_ma": _count(100, 10**5, "current of the recommended 5 V supply"),
    "board_ma": _count(10, 10**5, "typical current of the bare board when active"),
    "usb_budget_ma": _count(10, 10**5, "current all USB devices may draw together, on the recommended supply"),
    "throttle_c": _amount(30, 130, "temperature at which it slows down"),
    "shutdown_c": _amount(30, 150, "temperature at which it switches off"),
    "ambient_max_c": _amount(-20, 100, "highest air temperature at full clock"),
    # how it is attached and what runs on it
    "module": _words("part numbers"),
    "host_link": _words("how the accelerator is attached"),
    "host_link_bytes_per_s": _count(10**6, 10**12, "effective rate over that link, measured or fitted"),
    "os": _words("operating system of the board's own image"),
    "python": _words("Python of that image"),
    "jetpack": _words("NVIDIA JetPack release assumed here"),
    "jetpack_latest": _words("newest JetPack line that supports it"),
    "l4t": _words("Jetson Linux (L4T) release of that JetPack"),
    "cuda": _words("CUDA of that JetPack"),
    "tensorrt": _words("TensorRT of that JetPack"),
}


def number(device: Device, name: str) -> float | None:
    """The numeric fact called `name`, in the unit its name says, or None when it is not known.

    Raises `KeyError` when the vocabulary has no such fact: a misspelt name must not read as "not known".
    """
    if FACTS[name].type not in (int, float):
        raise KeyError(f"the fact {name!r} is not a number")
    fact = device.facts.get(name)
    return None if fact is None or isinstance(fact.value, str) else fact.value


def known_true(device: Device, name: str) -> bool:
    """Whether a yes-or-no fact is known to hold."""
    if FACTS[name].type is not bool:
        raise KeyError(f"the fact {name!r} is not a yes or no")
    fact = device.facts.get(name)
    return fact is not None and fact.value is True


def shown(name: str, value: bool | int | float | str) -> str:
    """A value for people: `8 GiB`, `25.6 GB/s`, `1900 MHz`, `yes`. The unit comes from the fact's name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    for ending, text in _UNITS.items():
        if name.endswith(ending):
            return text(value)
    return f"{value:g}"


def _bytes(value: float) -> str:
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:.0f} {unit}"
    return f"{value:g} bytes"


_UNITS: Mapping[str, Callable[[float], str]] = {
    "_bytes_per_s": lambda value: f"{value / 1e9:.3g} GB/s",
    "_bytes": _bytes,
    "_mhz_max": lambda value: f"{value:g} MHz",
    "_mw": lambda value: f"{value / 1000:g} W",
    "_ma": lambda value: f"{value:g} mA",
    "_c": lambda value: f"{value:g} C",
    "_gflops": lambda value: f"{value:g} GFLOPS",
    "_tops": lambda value: f"{value:g} TOPS",
    "_tops_dense": lambda value: f"{value:g} TOPS",
    "_tops_sparse": lambda value: f"{value:g} TOPS",
    "_tflops": lambda value: f"{value:g} TFLOPS",
    "_tflops_sparse": lambda value: f"{value:g} TFLOPS",
}
