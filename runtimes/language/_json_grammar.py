"""A JSON schema as GBNF, so that every engine is held to it in the same way.

Types, enums, constants, objects, arrays, choices and references are held to. What GBNF cannot say (patterns, formats, bounds of
numbers) is not, and `unheld` lists it: whoever needs it checks the answer. Between values stands one space at most: small models
that may lay JSON out as they like say spaces until their tokens are gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from edgekit.core.errors import InputError

DEEPEST = 64
MOST_RULES = 2000
PRIMITIVES: Mapping[str, str] = {
    "ws": '" "?',
    "char": r'[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt/] | "u" [0-9a-fA-F]{4})',
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": r'"{" ws (string ":" ws value ws ("," ws string ":" ws value ws)*)? "}"',
    "array": r'"[" ws (value ws ("," ws value ws)*)? "]"',
}
UNHELD = frozenset({"pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "not"})


def grammar(schema: Mapping[str, Any]) -> str:
    """The grammar of JSON that fits the schema. Raises `InputError` for a schema that is none, is too deep, or never ends."""
    rules = _Rules(schema)
    try:
        root = rules.of(schema, "root-value", 0)
        rules.ensure_end()
    except (AttributeError, TypeError, ValueError, OverflowError) as exc:
        raise InputError(f"the JSON schema is malformed: {exc}") from exc
    lines = {"root": root, **rules.made, **PRIMITIVES}
    return "".join(f"{name} ::= {body}\n" for name, body in lines.items())


def unheld(schema: Any) -> tuple[str, ...]:
    """The keywords in a schema that its grammar does not hold an answer to."""
    return tuple(sorted(set(_keywords(schema)) & UNHELD))


def _keywords(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield key
            yield from _keywords(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _keywords(inside)


class _Rules:
    """The rules of one schema, by name."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self._referenced: dict[str, str] = {}
        self.made: dict[str, str] = {}

    def of(self, schema: Any, name: str, depth: int) -> str:
        """The name of a rule for that schema."""
        if depth > DEEPEST or len(self.made) > MOST_RULES:
            raise InputError(f"the JSON schema is deeper than {DEEPEST} or makes more than {MOST_RULES} rules")
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, Mapping):
            raise InputError(f"the JSON schema has {schema!r} where a schema belongs")
        if "$ref" in schema:
            return self._reference(schema["$ref"], depth)
        body = self._body(schema, name, depth)
        return body if body in PRIMITIVES else self._rule(name, body)

    def ensure_end(self) -> None:
        """Raise `InputError` for a rule that is, by way of others perhaps, itself with nothing between: an answer would never begin."""
        try:
            TopologicalSorter({name: body.split(" | ") for name, body in self.made.items()}).prepare()
        except CycleError as exc:
            raise InputError("a part of the JSON schema refers to itself alone", "put an object or an array between") from exc

    def _rule(self, name: str, body: str) -> str:
        plain = re.sub(r"[^a-zA-Z0-9-]+", "-", name)
        free = next(f"{plain}{n or ''}" for n in range(len(self.made) + 1) if f"{plain}{n or ''}" not in self.made)
        self.made[free] = body
        return free

    def _reference(self, reference: Any, depth: int) -> str:
        """References to parts of the same schema; one that leads to itself becomes a rule that uses itself."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise InputError(f"the JSON schema refers to {reference!r}; only its own parts ('#/$defs/NAME') can be followed")
        if reference not in self._referenced:
            name = self._referenced[reference] = self._rule(f"ref-{reference[2:]}", "")  # its place is taken while it is made
            self.made[name] = self.of(self._found(reference), f"{name}-is", depth + 1)
        return self._referenced[reference]

    def _found(self, reference: str) -> Any:
        found: Any = self._whole
        for step in reference.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or step not in found:
                raise InputError(f"the JSON schema refers to {reference!r}, which it does not have")
            found = found[step]
        return found

    def _body(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return _any_of(schema["enum"])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return " | ".join(self.of(choice, f"{name}-{n}", depth + 1) for n, choice in enumerate(choices))
        kinds = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "value")
        if isinstance(kinds, list):
            each = [self.of({**schema, "type": kind}, f"{name}-{kind}", depth + 1) for kind in kinds]
            return " | ".join(each)
        return self._typed(kinds, schema, name, depth)

    def _typed(self, kind: Any, schema: Mapping[str, Any], name: str, depth: int) -> str:
        if kind == "object" and schema.get("properties"):
            return self._object(schema, name, depth)
        if kind == "array" and ("items" in schema or "minItems" in schema or "maxItems" in schema):
            item = self.of(schema.get("items", True), f"{name}-item", depth + 1)
            return _array(item, int(schema.get("minItems", 0)), schema.get("maxItems"))
        if kind == "string" and ("minLength" in schema or "maxLength" in schema):
            least, most = max(int(schema.get("minLength", 0)), 0), schema.get("maxLength")
            return rf'"\"" char{{{least},{"" if most is None else int(most)}}} "\""'
        if kind not in PRIMITIVES:
            raise InputError(f"the JSON schema has the type {kind!r}", "string, number, integer, boolean, null, object, array")
        return str(kind)

    def _object(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        """Properties in their order: those required, then any of the others, each at most once."""
        properties, required = schema["properties"], set(schema.get("required", ()))
        pairs = {
            key: f'{_literal(key)} ws ":" ws {self.of(value, f"{name}-{key}", depth + 1)} ws'
            for key, value in properties.items()
        }
        first = ' "," ws '.join(pairs[key] for key in properties if key in required)
        others = [pairs[key] for key in properties if key not in required]
        rest = self._optional(others, name, leading=bool(first))
        return f'"{{" ws {first} {rest} "}}"'

    def _optional(self, pairs: Sequence[str], name: str, *, leading: bool) -> str:
        """Any of the pairs, in order; `leading` says that something stands before them, so that each begins with a comma."""
        if not pairs:
            return ""
        if leading:
            return " ".join(f'("," ws {pair})?' for pair in pairs)
        starts, after = [], ""
        for pair in reversed(pairs):
            starts.append(f"{pair} {after}")
            after = self._rule(f"{name}-after", f'("," ws {pair})? {after}')
        return f"({' | '.join(reversed(starts))})?"


def _array(item: str, least: int, most: Any) -> str:
    more = f'("," ws {item} ws){{{max(least - 1, 0)},{"" if most is None else max(int(most) - 1, 0)}}}'
    if most is not None and int(most) < 1:
        return '"[" ws "]"'
    inside = f"{item} ws {more}"
    return f'"[" ws {inside} "]"' if least else f'"[" ws ({inside})? "]"'


def _any_of(values: Sequence[Any]) -> str:
    if not values:
        raise InputError("the JSON schema has an enum without values: nothing fits it")
    return " | ".join(map(_literal, values))


def _literal(value: Any) -> str:
    """A JSON value as a GBNF text."""
    return '"' + json.dumps(value, ensure_ascii=False).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
