"""A site's file with some values changed and everything else as it was written: comments, order, quotes.

What changed is found in the values, where it stands in the tree of YAML's nodes; the text between is replaced. The result is read
again, and refused when it does not mean exactly what was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import yaml

from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.settings import Camera
from edgekit.core import strict_yaml
from edgekit.core.errors import EdgekitError, NotFound
from edgekit.core.schema import Value

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*( [A-Za-z0-9_-]+)*")
WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
PARTS = ("detect", "zones", "lines", "rules", "filter", "segmentation")
Where = tuple["str | int", ...]


def rewritten(text: str, name: str, camera: Camera) -> str:
    """The file's text with `detect`, zones, lines, rules, filter and segmentation of the camera as given. `name` stands in complaints.

    Raises `NotFound` for a camera that the file does not have, `InputError` when either text breaks the rules of the file.
    """
    before = _camera(parse_site(text, name).cameras, camera.name)
    wanted = replace(before, **{part: getattr(camera, part) for part in PARTS})
    raw = strict_yaml.parse(text, name)["cameras"][camera.name]
    for part in PARTS:
        if getattr(before, part) != getattr(wanted, part):
            after = _merged(raw.get(part), getattr(before, part), getattr(wanted, part))
            text = _edited(text, ("cameras", camera.name), part, raw.get(part), after)
    if _camera(parse_site(text, name).cameras, camera.name) != wanted:
        raise EdgekitError(f"{name!r} is written in a way that cannot be changed from here", "change it by hand")
    return text


def _camera(cameras: tuple[Camera, ...], name: str) -> Camera:
    found = next((camera for camera in cameras if camera.name == name), None)
    if found is None:
        raise NotFound(f"the file has no camera {name!r}", "was it removed meanwhile?")
    return found


def _merged(raw: Any, before: Any, after: Any) -> Any:
    """Plain values of `after`; where it is as `before`, they stay as they are written in `raw`."""
    if raw is not None and before == after:
        return raw
    if isinstance(after, Value):
        return _merged_fields(raw or {}, before, after)
    if isinstance(after, Mapping):
        raw, before = raw or {}, before or {}
        return {key: _merged(raw.get(key), before.get(key), value) for key, value in after.items()}
    if isinstance(raw, list) and isinstance(after, tuple) and len(raw) == len(after):
        return [_merged(*each) for each in zip(raw, before, after, strict=True)]
    return _plain(after)


def _merged_fields(raw: Mapping[str, Any], before: Value | None, after: Value) -> dict[str, Any]:
    """The fields of a value that are written, or are not as they would be without being written."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(type(after)):
        value, key = getattr(after, field.name), field.encode_name
        if key in raw and before is not None and getattr(before, field.name) == value:
            found[key] = raw[key]
        elif value != field.default or (key in raw and value not in ("", None, ())):
            found[key] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """As maps, lists, texts and numbers."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _edited(text: str, path: Where, key: str | int, before: Any, after: Any) -> str:
    """The text with the value at `path` and `key` changed from one to the other: as little of it as can be."""
    here = (*path, key)
    if before == after:
        return text
    if isinstance(before, dict) and isinstance(after, dict) and before and after:
        for each, value in after.items():
            text = _edited(text, here, each, before.get(each), value)
        for gone in [each for each in before if each not in after]:  # last: an emptied map would be a null
            text = _without(text, here, gone)
        return text
    if isinstance(before, list) and len(before) == len(after) and all(isinstance(each, dict) for each in before):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            text = _edited(text, here, index, old, new)
        return text
    return _with(text, path, key, after)


def _with(text: str, path: Where, key: str | int, value: Any) -> str:
    """The text with `value` at `key` of the map at `path`, in place of what stands there or after the last key."""
    parent = _node(text, path)
    block = not parent.flow_style
    pair = next(((name, old) for name, old in parent.value if name.value == key), None)
    indent = parent.value[0][0].start_mark.column if parent.value else 0
    written = _block(value, indent + 2) if block else f" {_flow(value)}"
    if pair is not None:
        name, old = pair
        return text[: name.end_mark.index] + ":" + written + text[_end(old) :]
    last = _end(parent.value[-1][1])
    if not block:
        return f"{text[:last]}, {_text(str(key))}:{written}{text[last:]}"
    line_end = text.find("\n", last)
    line_end = len(text) if line_end < 0 else line_end
    return f"{text[:line_end]}\n{' ' * indent}{_text(str(key))}:{written}{text[line_end:]}"


def _without(text: str, path: Where, key: str) -> str:
    """The text without `key` in the map at `path`, which has others."""
    parent = _node(text, path)
    row = next(index for index, (name, _) in enumerate(parent.value) if name.value == key)
    name, value = parent.value[row]
    if parent.flow_style:
        if row + 1 < len(parent.value):
            return text[: name.start_mark.index] + text[parent.value[row + 1][0].start_mark.index :]
        return text[: _end(parent.value[row - 1][1])] + text[_end(value) :]
    begin = text.rfind("\n", 0, name.start_mark.index) + 1
    end = text.find("\n", _end(value))
    return text[:begin] + ("" if end < 0 else text[end + 1 :])


def _node(text: str, path: Where) -> Any:
    """The map at the path. The text has been read before, so that it is neither deep nor full of anchors."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # not libyaml's: its marks count bytes
    for step in path:
        node = node.value[step] if isinstance(step, int) else next(value for name, value in node.value if name.value == step)
    return node


def _end(node: Any) -> int:
    """Where the node's own text ends; a block's mark stands behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _block(value: Any, indent: int) -> str:
    """The value behind a key in a block: maps of maps and lists of maps a line for each entry, all else on the key's line."""
    inside = "\n" + " " * indent
    if isinstance(value, dict) and value and all(isinstance(each, dict) for each in value.values()):
        return "".join(f"{inside}{_text(key)}: {_flow(each)}" for key, each in value.items())
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return "".join(f"{inside}- {_flow(each)}" for each in value)
    return f" {_flow(value)}"


def _flow(value: Any) -> str:
    """On one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").removesuffix(".") if value != int(value) else f"{value:.1f}"
    if isinstance(value, int):
        return str(value)
    return _text(value)


def _text(value: str) -> str:
    """Quoted where it has to be: what YAML would read as a number, a truth or a mark, and what cannot be seen."""
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in quoted)
