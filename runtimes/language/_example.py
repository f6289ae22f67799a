"""The plainest JSON value that fits a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN: Mapping[str, Any] = {"string": "text", "integer": 0, "number": 0.5, "boolean": True, "null": None}
_DEEPEST = 20


def example(schema: Mapping[str, Any], depth: int = 0) -> Any:
    """A value for `type`, `enum`, `const`, `properties`, `items` and `anyOf`; an empty object where the schema says nothing."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return example(choices[0], depth + 1)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "array":
        return [example(schema["items"], depth + 1)] * schema.get("minItems", 1) if "items" in schema else []
    inside = schema.get("properties", {}) if depth < _DEEPEST else {}
    return {name: example(value, depth + 1) for name, value in inside.items()}
