"""Operators that move elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.converters.importers.tflite.layouts import arranged
from edgekit.converters.importers.tflite.site import Site

MIRROR_MODES = {0: "reflect"}
"""SYMMETRIC repeats the edge pixel, which ONNX's Pad cannot say."""


def reshape(site: Site) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the file says the result's shape."""
    site.write(site.reshaped(site.read(0), site.result()))


def transpose(site: Site) -> None:
    """TRANSPOSE."""
    perm = site.integers(1)
    if sorted(perm) != list(range(len(site.shape(0)))):
        site.refuse(f"has the permutation {perm} for {len(site.shape(0))} dimensions")
    site.write(site.drawing.transpose(site.read(0), perm, site.name))


def concatenation(site: Site) -> None:
    """CONCATENATION."""
    places = tuple(range(len(site.operator.inputs)))
    layout = site.native(*places)
    axis = layout.index(site.axis(site.operator.option(0, "<i"), len(layout)))
    found = site.step("Concat", [site.read(place, layout) for place in places], {"axis": axis})
    site.write(site.fused(found, site.operator.option(1, "<b")), layout)


def split(site: Site) -> None:
    """SPLIT: the axis comes first, the sizes are equal."""
    _split(site, value=1, axis=site.integers(0))


def split_v(site: Site) -> None:
    """SPLIT_V: value, sizes, axis."""
    _split(site, value=0, axis=site.integers(2))


def _split(site: Site, *, value: int, axis: Sequence[int]) -> None:
    layout = site.native(value)
    if len(axis) != 1:
        site.refuse(f"splits along {tuple(axis)}")
    along = site.axis(axis[0], len(layout))
    parts = [site.result(place) for place in range(len(site.operator.outputs))]
    if any(len(part) != len(layout) for part in parts):
        site.refuse(f"splits {len(layout)} dimensions into {[len(part) for part in parts]}")
    sizes = [part[along] for part in parts]
    inputs = [site.read(value, layout), site.numbers("sizes", sizes)]
    for place, name in enumerate(site.steps("Split", inputs, {"axis": layout.index(along)}, len(sizes))):
        site.write(name, layout, place)


def pack(site: Site) -> None:
    """PACK: each input gets a dimension of one, along which they are joined."""
    rank = len(site.result())
    axis = site.axis(site.operator.option(1, "<i"), rank)
    wide = list(site.result())
    wide[axis : axis + 1] = [1]
    pieces = [site.reshaped(site.read(place), wide) for place in range(len(site.operator.inputs))]
    site.write(site.step("Concat", pieces, {"axis": axis}))


def unpack(site: Site) -> None:
    """UNPACK: PACK the other way round."""
    axis = site.axis(site.operator.option(1, "<i"), len(site.shape(0)))
    count = len(site.operator.outputs)
    pieces = site.steps("Split", [site.read(0), site.numbers("sizes", [1] * count)], {"axis": axis}, count)
    for place, piece in enumerate(pieces):
        site.write(site.reshaped(piece, site.result(place)), place=place)


def pad(site: Site) -> None:
    """PAD and PADV2; the latter's value is its third input. A quantized PAD writes what stands for zero."""
    layout = site.native(0)
    value = [site.read(2)] if site.has(2) else []
    site.write(site.step("Pad", [site.read(0, layout), _pads(site, layout), *value]), layout)


def mirror_pad(site: Site) -> None:
    """MIRROR_PAD in its reflecting form."""
    mode = site.operator.option(0, "<b")
    if mode not in MIRROR_MODES:
        site.refuse("repeats the pixels at the edge (SYMMETRIC), which ONNX does not")
    layout = site.native(0)
    site.write(site.step("Pad", [site.read(0, layout), _pads(site, layout)], {"mode": MIRROR_MODES[mode]}), layout)


def _pads(site: Site, layout: tuple[int, ...]) -> str:
    """Pairs per axis in the file; all beginnings and then all ends in ONNX."""
    pairs = np.asarray(site.integers(1), np.int64)
    if pairs.size != 2 * len(layout):
        site.refuse(f"has {pairs.size} paddings for {len(layout)} dimensions")
    return site.numbers("pads", pairs.reshape(-1, 2)[list(layout)].T.reshape(-1))


def tile(site: Site) -> None:
    """TILE."""
    layout = site.native(0)
    repeats = site.integers(1)
    if len(repeats) != len(layout):
        site.refuse(f"repeats {len(repeats)} of {len(layout)} dimensions")
    site.write(site.step("Tile", [site.read(0, layout), site.numbers("repeats", arranged(repeats, layout))]), layout)


def broadcast_to(site: Site) -> None:
    """BROADCAST_TO."""
    site.write(site.step("Expand", [site.read(0), site.numbers("shape", site.result())]))


def fill(site: Site) -> None:
    """FILL: a shape, and the value that is everywhere in it."""
    site.write(site.step("Expand", [site.read(1), site.numbers("shape", site.result())]))


def shape(site: Site) -> None:
    """SHAPE: known, since every size is."""
    dtype = site.dtype()
    kind = np.int64 if dtype == "int64" else np.int32
    site.write(site.drawing.constant(site.name, np.asarray(site.shape(0), kind)))


OPERATORS = {
    "RESHAPE": reshape,
    "SQUEEZE": reshape,
    "EXPAND_DIMS": reshape,
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    "SPLIT": split,
    "SPLIT_V": split_v,
    "PACK": pack,
    "UNPACK": unpack,
    "PAD": pad,
    "PADV2": pad,
    "MIRROR_PAD": mirror_pad,
    "TILE": tile,
    "BROADCAST_TO": broadcast_to,
    "FILL": fill,
    "SHAPE": shape,
}
