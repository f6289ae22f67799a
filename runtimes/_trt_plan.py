"""What a TensorRT build needs, decided without TensorRT: the artifact's recipe and the board's version give a plan.

Typing: https://docs.nvidia.com/deeplearning/tensorrt/ "Strongly Typed Networks"; the precision flags are deprecated since 10.12 and
gone in 11. Deep learning accelerators: the same documentation's "Working with DLA", releases 11.3.0 and 11.4.1.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Literal

import msgspec

from edgekit.core import profiles
from edgekit.core.errors import ArtifactError, DeviceError, EdgekitError, Unsupported
from edgekit.core.files import sha256_bytes
from edgekit.core.schema import Target

OLDEST = (8, 5)
"""The first with named tensors at run time (execute_async_v3)."""
OLDEST_TRTEXEC = (8, 0)
"""The first that reads Q/DQ pairs; trtexec runs what it builds, whatever its Python binding can do."""
STRONG_SINCE, FLAGS_UNTIL = (10, 12), (11, 0)
PRECISIONS = frozenset({"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"})
"""The builder flags about types, which strong typing has no use for; others (sparse weights) stay."""
DLA_UNTIL, DLA_AGAIN = (10, 7), (11, 4)
"""The last release with deep learning accelerators, and the one (11.4.1) from which Orin has them again, strongly typed."""
log = logging.getLogger(__name__)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a build needs of the artifact's `build.json`; what else stands there is for people."""

    tensorrt: str
    typing: Literal["weak", "strong"]
    flags: tuple[str, ...]
    workspace_mib: int
    float32_layers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """How to build an engine. `flags` are names of `BuilderFlag`, `float32_layers` those that must not be in half precision; with
    strong typing the ONNX file decides instead. `dla_core`: the accelerator that gets what it can compute."""

    typing: Literal["weak", "strong"]
    flags: tuple[str, ...]
    workspace_bytes: int
    float32_layers: tuple[str, ...] = ()
    dla_core: int | None = None


def read_recipe(data: bytes) -> Recipe:
    """The recipe in `build.json`. `ArtifactError` when it is damaged."""
    try:
        return msgspec.json.decode(data, type=Recipe)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ArtifactError(f"the artifact's build recipe is damaged: {exc}", "convert the model again") from exc


def plan_build(recipe: Recipe, version: str, *, dla_core: int | None = None, oldest: tuple[int, int] = OLDEST) -> BuildPlan:
    """How to build on a board with TensorRT `version`, which need not be the one the artifact was made for.

    `Unsupported` when it is older than `oldest`, too old for a file that carries its own types, or has no way to the accelerator
    asked for. Where the flags of an older file are gone (11), the file's float32 is taken as it stands: right, but slow, and the
    log says so.
    """
    number = ensure_new_enough(version, oldest)
    again = "convert again for this board: edgekit devices lists its TensorRT version"
    if recipe.typing == "strong" and number < STRONG_SINCE:
        raise Unsupported(f"the artifact was made for TensorRT {recipe.tensorrt}, this board has {version}", again)
    if dla_core is not None:
        ensure_dla_takes(recipe, version)
    strong = recipe.typing == "strong" or number >= FLAGS_UNTIL
    types = tuple(flag for flag in recipe.flags if flag in PRECISIONS)
    if types and strong:
        log.warning("TensorRT %s has no %s flags any more and will compute in float32: %s", version, "/".join(types), again)
    return BuildPlan(
        typing="strong" if strong else "weak",
        flags=tuple(flag for flag in recipe.flags if not strong or flag not in PRECISIONS),
        workspace_bytes=recipe.workspace_mib << 20,
        float32_layers=() if strong else recipe.float32_layers,
        dla_core=dla_core,
    )


def ensure_dla_takes(recipe: Recipe, version: str) -> None:
    """`Unsupported` for what the accelerators do not compute: float32, Q/DQ pairs before 11.4, any network in between."""
    number = parse_version(version)
    if DLA_UNTIL < number < DLA_AGAIN:
        raise Unsupported(
            f"TensorRT {version} does not use deep learning accelerators (10.7 does, and 11.4)", "run it on the GPU"
        )
    if number >= DLA_AGAIN:
        return
    if "FP16" not in recipe.flags:
        raise Unsupported("deep learning accelerators do not compute in float32", "convert with --precision fp16")
    if "INT8" in recipe.flags:
        raise Unsupported(
            f"the deep learning accelerators of TensorRT {version} read no quantized (Q/DQ) files",
            "convert with --precision fp16",
        )


def ensure_dla_is_there(target: Target, core: int) -> None:
    """`Unsupported` unless the profile of the artifact's board has that accelerator."""
    try:
        board = profiles.by_name(target.device)
    except EdgekitError as unknown:
        raise Unsupported(f"whether {target.device!r} has deep learning accelerators is not known", unknown.hint) from unknown
    count = sum(each.count for each in board.accelerators if each.kind == "dla")
    if core >= count:
        has = f"has {count}, numbered from 0" if count else "has none"
        raise Unsupported(
            f"{board.name} {has}: there is no deep learning accelerator {core}", "load it with runtime='tensorrt'"
        )


def ensure_new_enough(version: str, oldest: tuple[int, int] = OLDEST) -> tuple[int, int]:
    """The version as numbers. `Unsupported` before `oldest`."""
    number = parse_version(version)
    if number < oldest:
        raise Unsupported(
            f"TensorRT {version} is older than {oldest[0]}.{oldest[1]}, the oldest that edgekit runs",
            "convert with --format onnx and run it on onnxruntime",
        )
    return number


def parse_version(version: str) -> tuple[int, int]:
    """`10.3.0.26` -> (10, 3). `DeviceError` when it does not begin with a number."""
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise DeviceError(f"TensorRT calls itself version {version!r}, which is no version number", "edgekit doctor")
    return int(found[1]), int(found[2] or 0)


def plan_name(plan: BuildPlan) -> str:
    """The plan as a part of a file name: two plans that build different engines have different names."""
    pinned = () if not plan.float32_layers else (f"float32x{sha256_bytes(repr(sorted(plan.float32_layers)).encode())[:8]}",)
    core = () if plan.dla_core is None else (f"dla{plan.dla_core}",)
    return "-".join((plan.typing, *(flag.lower() for flag in plan.flags), str(plan.workspace_bytes >> 20), *pinned, *core))
