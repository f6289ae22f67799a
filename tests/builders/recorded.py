"""Stand-ins for vendor packages that offer what the vendor's own bindings were recorded to offer, and nothing else.

An attribute that the record does not have is an AttributeError, as it would be on the board; a call with arguments that fit no
recorded signature is a TypeError. What the calls do is up to the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "data" / "vendor_api"


def record(name: str) -> Mapping[str, Any]:
    """What was recorded as NAME.json."""
    found: Mapping[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def versions(vendor: str) -> tuple[str, ...]:
    """The versions recorded of a vendor's package."""
    return tuple(sorted(path.stem.partition("-")[2] for path in FOLDER.glob(f"{vendor}-*.json")))


def signature(said: str) -> Signature:
    """`name(self: T, flag: F, size_t count, n: int = 0) -> R` as a signature, without `self`."""
    inside = said[said.index("(") + 1 : said.rindex(")", 0, said.find(" -> ") if " -> " in said else None)]
    found: list[Parameter] = []
    for part in (part for part in _parts(inside) if part and not part.startswith("self")):
        one = _parameter(part)
        # Some of the vendor's signatures name a parameter without a default behind one with; Python's cannot.
        later = found and found[-1].default is not Parameter.empty and one.default is Parameter.empty
        found.append(one.replace(default=None) if later else one)
    return Signature(found)


def _parts(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[(<") - (sign in "])>")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _parameter(part: str) -> Parameter:
    """`flag: F = x`, `size_t count` or `stream`."""
    name, _, default = part.partition(" = ")
    plain = name.partition(":")[0].strip().split()[-1].lstrip("*")
    return Parameter(plain, Parameter.POSITIONAL_OR_KEYWORD, default=default or Parameter.empty)


def checked(said: Sequence[str], does: Callable[..., Any]) -> Callable[..., Any]:
    """The function, refusing arguments that fit none of its recorded signatures."""
    signatures = [signature(each) for each in said]

    def call(*args: Any, **kwargs: Any) -> Any:
        refusals = []
        for each in signatures:
            try:
                each.bind(*args, **kwargs)
            except TypeError as exc:
                refusals.append(f"{each}: {exc}")
            else:
                return does(*args, **kwargs)
        raise TypeError(f"{said[0] if said else 'nothing recorded'} does not take {args} {kwargs}: {refusals}")

    return call


class Recorded:
    """An object of a recorded class: `does` are its methods, `holds` its properties; anything else is refused."""

    def __init__(self, members: Mapping[str, Sequence[str]], does: Mapping[str, Callable[..., Any]], **holds: Any) -> None:
        unknown = sorted({*does, *holds} - set(members))
        methods = {name: checked(members[name], function) for name, function in does.items() if name in members}
        vars(self).update(_members=members, _missing=unknown, **methods, **{k: v for k, v in holds.items() if k in members})

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the recorded class has {'nothing that the test gives' if name in self._members else 'no'} {name!r}"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._members or self._members[name]:
            raise AttributeError(f"the recorded class has no property {name!r}")
        vars(self)[name] = value


def enum(members: Sequence[str], **values: Any) -> Any:
    """An object with the recorded members of an enumeration; values that matter to the test can be given."""
    return type("Enum", (), {name: values.get(name, name) for name in members})
