"""What ONNX Runtime is told of an execution provider: its options, by the artifact's board and precision. No vendor package is used.

Names and meanings: https://onnxruntime.ai/docs/execution-providers/ (CUDA, TensorRT and XNNPACK pages).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.core import profiles
from edgekit.core.errors import EdgekitError
from edgekit.core.facts import number
from edgekit.core.schema import Device, Target

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "xnnpack": "XnnpackExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
ON_GPU = frozenset({"cuda", "tensorrt"})
"""The devices whose tensors do not live in the processor's memory."""

Options = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the options follow from: the board's profile where there is one, and how the artifact computes."""

    board: Device | None = None
    precision: str = "fp32"
    threads: int = 1
    cache: Path = Path()
    """Where engines and timings are kept between runs."""


def wish(target: Target, threads: int, cache: Path) -> Wish:
    """The wish for an artifact of that target. A board without a profile gets what suits every machine."""
    return Wish(board=profile_of(target.device), precision=target.precision, threads=threads, cache=cache)


def profile_of(device: str) -> Device | None:
    """The profile the artifact was made for; None when it is unknown here or broken, which is not this artifact's fault."""
    try:
        return profiles.by_name(device)
    except EdgekitError:
        return None


def chain(device: str, built: tuple[str, ...]) -> tuple[str, ...]:
    """The devices in the order in which nodes are offered to them, without the processor, which takes what is left.

    What TensorRT leaves is better off on the same GPU than back in the processor's memory.
    """
    if device == "tensorrt" and PROVIDERS["cuda"] in built:
        return ("tensorrt", "cuda")
    return (device,) if device not in ("", "cpu") else ()


def options(device: str, about: Wish) -> Options:
    """The provider's options; what is left out keeps ONNX Runtime's default."""
    makers = {"xnnpack": _xnnpack, "cuda": _cuda, "tensorrt": _tensorrt}
    return makers[device](about) if device in makers else {}


def _xnnpack(about: Wish) -> Options:
    return {"intra_op_num_threads": str(about.threads)}


def _cuda(about: Wish) -> Options:
    """On a Jetson the GPU's memory is the processor's: its pool grows by what is asked for, to half of it at most."""
    said: Options = {}
    if about.precision == "fp32":
        # Since Ampere, float32 products are rounded to 10 bits unless this is said: another model than the one that was proven.
        said["use_tf32"] = "0"
    if _shares_memory(about.board):
        said["arena_extend_strategy"] = "kSameAsRequested"
        if memory := _memory_bytes(about.board):
            said["gpu_mem_limit"] = str(memory // 2)
    return said


def _tensorrt(about: Wish) -> Options:
    """Engines and timings are kept, since a build takes minutes; types follow the artifact's precision."""
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(about.cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(about.cache),
        "trt_fp16_enable": "0" if about.precision == "fp32" else "1",
        "trt_int8_enable": "1" if about.precision in ("int8", "mixed") else "0",
    }


def _memory_bytes(board: Device | None) -> int:
    return int(number(board, "memory_bytes") or 0) if board is not None else 0


def _shares_memory(board: Device | None) -> bool:
    return board is not None and board.family == "jetson"
