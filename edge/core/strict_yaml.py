"""YAML without its traps: plain maps, lists, texts, decimal numbers, true and false, and nothing that only looks like them.

YAML 1.1 reads `on` as true, `012` as 10, `1:30` as 90, `2026-11-22` as a date and an empty value as null; it lets a key come
twice and an anchor put one value in several places. Each of these is refused here with a sentence that says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from edgekit.core.errors import InputError

# Events instead of the composer: libyaml's composer recurses in C and dies with the whole process on 50,000 brackets.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEPTH = 20
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_NUMBER_ELSEWHERE = re.compile(r"[-+]?([0-9.]+[eE][-+]?[0-9]+|0o[0-7]+)")
_KEY = -1
_TAG = "tag:yaml.org,2002:"
_AS_TEXT = "put it in quotes if it is meant as text"


Path = tuple["str | int", ...]
Places = Mapping[Path, tuple[int, int]]
"""Line and column, from 1, of every value by its path; a map's values stand at their keys."""


def parse(text: str, name: str) -> Any:
    """The value in `text`; `name` is how error messages call the file. Raises `InputError`."""
    return parse_located(text, name)[0]


def parse_located(text: str, name: str) -> tuple[Any, Places]:
    """As `parse`, and where everything stands, for whoever checks the values afterwards."""
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        reader = _Reader(name, events)
        return reader.document(), reader.places
    except yaml.MarkedYAMLError as exc:
        line = f", line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise InputError(f"{name}{line}: not YAML: {exc.problem or exc.context or exc}") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise InputError(f"{name}: not YAML: {' '.join(str(exc).split())}") from exc


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Reader:
    """Turns parser events into values, refusing what is not plain."""

    def __init__(self, name: str, events: Iterator[Any]) -> None:
        self._name = name
        self._events = events
        self._resolver: Any = yaml.resolver.Resolver()
        self.places: dict[Path, tuple[int, int]] = {}

    def document(self) -> Any:
        """The one document of the stream."""
        next(self._events)
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            raise InputError(f"{self._name}: the file is empty")
        found = self._value(next(self._events), 0, ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refusal(after, "a second document begins", "one file holds one document")
        return found

    def _value(self, event: Any, depth: int, path: Path) -> Any:
        if depth > _DEPTH:
            raise self._refusal(event, f"nested deeper than {_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._refusal(event, "anchors ('&', '*') are not allowed", "write the value out where it belongs")
        if event.tag is not None:
            raise self._refusal(event, f"the tag {event.tag.replace(_TAG, '!!')!r} is not allowed", "leave the tag out")
        self.places.setdefault(path, _place(event))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth + 1, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self._items(depth + 1, path))
        return self._scalar(event)

    def _mapping(self, depth: int, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth, (*path, _KEY))
            if not isinstance(key, str):
                raise self._refusal(event, f"a key is {key!r} and must be text", _AS_TEXT)
            if key in found:
                raise self._refusal(event, f"the key {key!r} comes twice", "keep one of the two")
            here = (*path, key)
            self.places[here] = _place(event)
            found[key] = self._value(next(self._events), depth, here)
        return found

    def _items(self, depth: int, path: Path) -> Iterator[Any]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._value(event, depth, (*path, index))
            index += 1

    def _scalar(self, event: Any) -> str | bool | int | float:
        text = str(event.value)
        kind = str(self._resolver.resolve(yaml.ScalarNode, text, event.implicit)).removeprefix(_TAG)
        if kind == "str" and not (event.implicit[0] and _NUMBER_ELSEWHERE.fullmatch(text)):
            return text
        if kind == "bool" and text in ("true", "false"):
            return text == "true"
        if kind == "int" and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "float" and _DECIMAL.fullmatch(text):
            return float(text)
        raise self._trap(event, kind)

    def _trap(self, event: Any, kind: str) -> InputError:
        text = event.value if len(event.value) <= 40 else f"{event.value[:37]}..."
        if kind == "null":
            said = f"YAML reads {text!r} as null" if text else "the value is missing"
            return self._refusal(event, said, "leave out what is not known")
        if kind == "bool":
            return self._refusal(event, f"YAML reads {text!r} as true or false", "write true or false, or put it in quotes")
        if kind == "timestamp":
            return self._refusal(event, f"YAML reads {text} as a date", f'write "{text}", in quotes')
        if kind in ("merge", "value"):
            return self._refusal(event, f"{text!r} has a meaning of its own in YAML", _AS_TEXT)
        return self._refusal(event, f"{text!r} is not a plain decimal number", _AS_TEXT)

    def _refusal(self, event: Any, problem: str, hint: str = "") -> InputError:
        return InputError(f"{self._name}, line {event.start_mark.line + 1}: {problem}", hint)
