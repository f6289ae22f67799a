"""A small TFLite model with a skip connection, whole and in three segments."""

from __future__ import annotations

import numpy as np
from tiny import BIAS, WEIGHT, Op, T, tflite

BACK = np.array([[0.5, 1.0], [-1.0, 0.25], [2.0, -0.5]], np.float32)
"""A second 1x1 convolution, from two channels back to three."""


def conv(into: str, out: str, weight: np.ndarray, bias: np.ndarray) -> tuple[list[T], Op]:
    size, channels = (1, 4, 4, weight.shape[1]), weight.shape[0]
    tensors = [
        T(name=into, shape=size, dtype="float32"),
        T(name=f"{out}.weight", shape=(channels, 1, 1, weight.shape[1]), dtype="float32", data=weight[:, None, None, :]),
        T(name=f"{out}.bias", shape=(channels,), dtype="float32", data=bias),
        T(name=out, shape=(1, 4, 4, channels), dtype="float32"),
    ]
    options = {"strideW": 1, "strideH": 1, "padding": 1}
    op = Op(
        op="CONV_2D", inputs=[each.name for each in tensors[:3]], outputs=[out], options_type="Conv2DOptions", options=options
    )
    return tensors, op


FIRST, FIRST_OP = conv("image", "middle", WEIGHT, BIAS)
SECOND, SECOND_OP = conv("middle", "back", BACK, np.zeros(3, np.float32))
SKIP = Op(op="ADD", inputs=["image", "back"], outputs=["sum"], options_type="AddOptions")
SUM = T(name="sum", shape=(1, 4, 4, 3), dtype="float32")
WHOLE = tflite([*FIRST, *SECOND[1:], SUM], [FIRST_OP, SECOND_OP, SKIP], ["image"], ["sum"])
SEGMENTS = (
    tflite(FIRST, [FIRST_OP], ["image"], ["middle"]),
    tflite(SECOND, [SECOND_OP], ["middle"], ["back"]),
    tflite([FIRST[0], SECOND[-1], SUM], [SKIP], ["image", "back"], ["sum"]),
)
