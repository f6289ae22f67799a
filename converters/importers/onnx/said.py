"""What onnx's own code says when it gives up, without where in that code it did."""

from __future__ import annotations

import re

PLACE = re.compile(r"^\S+\.(?:h|cc|cpp):\d+:\s*(?:\w+:\s*)?(?:Assertion `.*?` failed:\s*)?")


def said(exc: Exception) -> str:
    """The last line of an exception out of C++, from the sentence on; the kind of exception where there is none."""
    lines = str(exc).strip().splitlines()
    return PLACE.sub("", lines[-1]).strip().rstrip(".") if lines else type(exc).__name__
