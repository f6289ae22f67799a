"""An engine through TensorRT's Python binding: parse the ONNX file, follow the plan, keep the timings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

from edgekit.core.errors import DeviceError
from edgekit.runtimes._engine_cache import keep, kept
from edgekit.runtimes._trt_plan import BuildPlan
from edgekit.runtimes.base import complaints

NAME = "tensorrt"
MEMORY = "is there memory left on the board?"


def build(trt: ModuleType, model: str, plan: BuildPlan, timings: Path) -> bytes:
    """The serialized engine of an ONNX file. Kernels that other builds have timed here are not timed again."""
    with complaints(NAME, f"build an engine of {model!r}"):
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        network = builder.create_network(network_flags(trt, plan))
        _parse(trt, network, model)
        config = _config(trt, builder, plan)
        keep_in_float32(trt, network, plan.float32_layers)
        config.set_timing_cache(config.create_timing_cache(kept(timings)), ignore_mismatch=False)
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise DeviceError(f"tensorrt could not build an engine of {model!r}", MEMORY)
        keep(timings, bytes(config.get_timing_cache().serialize()))
        return bytes(built)


def _parse(trt: ModuleType, network: Any, model: str) -> None:
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    if not parser.parse_from_file(model):
        said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise DeviceError(f"tensorrt does not read {model!r}: {said}", "convert again for this board's TensorRT version")


def _config(trt: ModuleType, builder: Any, plan: BuildPlan) -> Any:
    """The builder's configuration: memory, flags, and the accelerator, beside which the GPU takes what is left."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace_bytes)
    for flag in plan.flags:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    if plan.dla_core is not None:
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = plan.dla_core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    return config


def keep_in_float32(trt: ModuleType, network: Any, names: Collection[str]) -> None:
    """Pin the layers of those names, and their floating point results, to float32."""
    layers = [network.get_layer(index) for index in range(network.num_layers)] if names else []
    for layer in layers:
        if layer.name in names:
            layer.precision = trt.float32
            for index in range(layer.num_outputs):
                if layer.get_output(index).dtype == trt.float32:
                    layer.set_output_type(index, trt.float32)


def network_flags(trt: ModuleType, plan: BuildPlan) -> int:
    """Explicit batch, which is the only kind since 10, and strong typing when planned."""
    flags = trt.NetworkDefinitionCreationFlag
    names = ("EXPLICIT_BATCH", *(("STRONGLY_TYPED",) if plan.typing == "strong" else ()))
    return sum(1 << int(getattr(flags, name)) for name in names if hasattr(flags, name))
