"""The activations of LSTM, GRU and RNN: which ones a node names, with which numbers, for each of its directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from edgekit.converters.graph import Attribute, Node
from edgekit.converters.sheet import Sheet

DEFAULTS: Mapping[str, tuple[str, ...]] = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
NUMBERS: Mapping[str, Mapping[str, float]] = {
    "Sigmoid": {},
    "Tanh": {},
    "Relu": {},
    "Softsign": {},
    "Softplus": {},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.01},
    "Elu": {"alpha": 1.0},
}
"""Those that are operators of their own too, with their numbers' defaults (RNN-14)."""
_BY_LOWER = {name.lower(): name for name in NUMBERS}


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An operator that is applied to each element, with its numbers."""

    op: str
    numbers: Mapping[str, Attribute] = field(default_factory=dict)

    def on(self, sheet: Sheet, name: str, label: str) -> str:
        """The activation of a tensor; returns the name of what it makes."""
        return sheet.add(self.op, [name], sheet.shape(name), f"{label}/{self.op.lower()}", attributes=self.numbers)


def named(node: Node) -> tuple[str, ...]:
    """The activations that a node names, of all directions; none where it leaves them to their default."""
    given = node.attributes.get("activations", ())
    return tuple(str(name) for name in given) if isinstance(given, tuple) else (str(given),)


def unknown(node: Node, directions: int) -> str:
    """The activations in words when one of them is not known or their number does not fit, else nothing."""
    names = named(node)
    fits = len(names) in (0, directions * len(DEFAULTS[node.op]))
    return "" if fits and all(name.lower() in _BY_LOWER for name in names) else ", ".join(names)


def activations(node: Node, directions: int) -> list[tuple[Activation, ...]]:
    """The activations of each direction. Numbers are used up in the order of the functions that take them; ONNX minds no case."""
    count = len(DEFAULTS[node.op])
    names = named(node) or DEFAULTS[node.op] * directions
    numbers = {key: _listed(node, f"activation_{key}") for key in ("alpha", "beta")}
    found = [_activation(_BY_LOWER[name.lower()], numbers) for name in names]
    return [tuple(found[start : start + count]) for start in range(0, len(found), count)]


def _activation(op: str, numbers: Mapping[str, Iterator[float]]) -> Activation:
    return Activation(op=op, numbers={key: next(numbers[key], default) for key, default in NUMBERS[op].items()})


def _listed(node: Node, name: str) -> Iterator[float]:
    given = node.attributes.get(name, ())
    return iter([float(value) for value in given] if isinstance(given, tuple) else [node.number(name, 0.0)])
