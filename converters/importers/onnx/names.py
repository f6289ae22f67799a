"""What classes are called, where an exporter wrote it down: Ultralytics' models carry `names` as the text of a dictionary."""

from __future__ import annotations

import ast

import onnx

KEY = "names"
LONGEST = 1 << 16
"""Characters; a thousand names take a third of that."""


def class_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names by their numbers; none when there are none, or when they are not a name for each number from 0 on."""
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), "")
    try:
        found = ast.literal_eval(text[: LONGEST + 1]) if 0 < len(text) <= LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ()
    names = dict(enumerate(found)) if isinstance(found, (list, tuple)) else found
    if not isinstance(names, dict) or set(names) != set(range(len(names))):
        return ()
    return tuple(" ".join(str(names[number]).split()) for number in range(len(names)))
