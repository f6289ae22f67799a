"""How a board builds its engine from our ONNX file: the recipe, its trtexec command line, and the calibration cache."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.ranges.choose import Scheme, choose, parameters
from edgekit.core.errors import Unsupported
from edgekit.core.schema import Precision

MODEL, ENGINE, RECIPE, CACHE = "model.onnx", "model.engine", "build.json", "calibration.cache"
TIMING_CACHE = "timing.cache"
WORKSPACE_MIB = 1024
STRONG_SINCE = (10, 12)
"""Precision flags are deprecated from this version and gone in 11: types come from the model."""
SPARSE = "SPARSE_WEIGHTS"
"""The builder flag under which two-of-four sparse weights are looked for (since 8.0; it says nothing about types)."""
OBEY = "OBEY_PRECISION_CONSTRAINTS"
"""The builder flag under which layers named `float32_layers` stay in float32 beside half precision (8.2 to 10)."""
OLDEST = (8, 0)
"""The first that reads Q/DQ pairs."""
PRECISION_FLAGS: Mapping[str, tuple[str, ...]] = {"int8": ("FP16", "INT8"), "mixed": ("FP16", "INT8"), "fp16": ("FP16",)}
OPTIONS: Mapping[str, str] = {
    "FP16": "--fp16",
    "INT8": "--int8",
    OBEY: "--precisionConstraints=obey",
    SPARSE: "--sparsity=enable",
}
"""What trtexec calls the builder flags."""
SYMMETRIC = Scheme(dtype="int8", symmetric=True)


@dataclass(frozen=True, kw_only=True)
class BuildRecipe:
    """What a builder needs to know; `flags` are names of `trt.BuilderFlag`, none about precision under strong typing.

    `float32_layers` are layers whose values could leave half precision's range; under strong typing the file says so itself.
    """

    model: str
    engine: str
    tensorrt: str
    precision: Precision
    typing: Literal["weak", "strong"]
    flags: tuple[str, ...]
    workspace_mib: int
    timing_cache: str
    trtexec: tuple[str, ...]
    float32_layers: tuple[str, ...] = ()


def build_recipe(
    precision: Precision, version: str, *, sparse: bool = False, float32_layers: tuple[str, ...] = ()
) -> BuildRecipe:
    """The recipe for an artifact of that precision on that TensorRT version ("10.3"), with `sparse` weights looked for or not,
    and with layers kept in float32 where flags choose half precision.

    Raises `Unsupported` for versions before 8.0.
    """
    number = parse_version(version)
    typing: Literal["weak", "strong"] = "strong" if number >= STRONG_SINCE else "weak"
    types = PRECISION_FLAGS.get(precision, ()) if typing == "weak" else ()
    pinned = float32_layers if "FP16" in types else ()
    flags = (*types, *((OBEY,) if pinned else ()), *((SPARSE,) if sparse else ()))
    return BuildRecipe(
        model=MODEL,
        engine=ENGINE,
        tensorrt=version,
        precision=precision,
        typing=typing,
        flags=flags,
        workspace_mib=WORKSPACE_MIB,
        timing_cache=TIMING_CACHE,
        trtexec=trtexec(number, typing, flags, pinned),
        float32_layers=pinned,
    )


def trtexec(
    version: tuple[int, int], typing: Literal["weak", "strong"], flags: tuple[str, ...], pinned: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The command line that builds the same engine by hand; before 8.4 it cannot keep layers in float32."""
    memory = f"--memPoolSize=workspace:{WORKSPACE_MIB}" if version >= (8, 4) else f"--workspace={WORKSPACE_MIB}"
    types = tuple(OPTIONS[flag] for flag in flags if flag != OBEY or version >= (8, 4))
    said = [f"{name}:fp32" for name in pinned if not set(name) & set(",:")] if version >= (8, 4) else []
    layers = (f"--layerPrecisions={','.join(said)}",) if said else ()
    strong = ("--stronglyTyped",) if typing == "strong" else ()
    files = (f"--onnx={MODEL}", f"--saveEngine={ENGINE}")
    return ("trtexec", *files, *strong, *types, *layers, memory, f"--timingCacheFile={TIMING_CACHE}")


def recipe_bytes(recipe: BuildRecipe) -> bytes:
    """`build.json`: sorted keys, so that the same recipe gives the same bytes."""
    return (json.dumps(asdict(recipe), indent=2, sort_keys=True) + "\n").encode()


def cache_bytes(calibration: Calibration, version: str) -> bytes:
    """A TensorRT calibration cache with the symmetric range of every activation, for builds without Q/DQ (and for the DLA).

    One line per tensor: its name and, in hexadecimal, the big-endian float32 scale (largest magnitude / 127).
    """
    lines = [f"TRT-{_digits(version)}-EntropyCalibration2"]
    for name, histogram in calibration.histograms.items():
        if not name.isprintable():
            continue  # a line of its own would end here; no exporter writes such names
        scale = float(parameters(choose(histogram, SYMMETRIC), SYMMETRIC).scale[0])
        lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    return ("\n".join(lines) + "\n").encode()


def read_cache(data: bytes) -> Mapping[str, float]:
    """Scales by tensor name of a calibration cache."""
    entries = (line.rpartition(": ") for line in data.decode().splitlines()[1:] if line)
    return {name: struct.unpack(">f", bytes.fromhex(scale))[0] for name, _, scale in entries}


def parse_version(version: str) -> tuple[int, int]:
    """`10.3` or `8.5.2` -> (major, minor). Raises `Unsupported` where it is no version or older than 8.0."""
    found = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", version)
    number = (int(found[1]), int(found[2])) if found else (0, 0)
    if number < OLDEST:
        raise Unsupported(
            f"TensorRT version {version!r} is not 8.0 or newer, the versions that read Q/DQ",
            "see the board's profile: edgekit devices",
        )
    return number


def _digits(version: str) -> int:
    """The number that TensorRT makes of its version: 8502 for 8.5.2, 100300 for 10.3.0."""
    major, minor, patch = (*(int(part) for part in version.split(".")), 0, 0)[:3]
    return major * (10000 if major >= 10 else 1000) + minor * 100 + patch
