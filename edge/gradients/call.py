"""One node on the way through the interpreter: its attributes and the values of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.converters.graph import Graph, Node
from edgekit.core.errors import Unsupported

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One node with the values of its inputs; absent ones are None."""

    graph: Graph
    node: Node
    inputs: Sequence[Tensor | None]

    def __getitem__(self, index: int) -> Tensor:
        """The tensor at that input. Raises `Unsupported` where the node leaves it out."""
        value = self.at(index)
        if value is None:
            raise self.unsupported(f"without input {index}")
        return value

    def at(self, index: int) -> Tensor | None:
        """The tensor at that input, or None."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        """A list of integers, or None when it is absent. A constant one is not read back from where the tensors are."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        value = self.graph.constant(name) if name else None
        given = self.at(index) if value is None else value
        return None if given is None else [int(item) for item in given.reshape(-1).tolist()]

    def value(self, index: int, default: float) -> float:
        """One number, or `default` when it is absent."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        constant = self.graph.constant(name) if name else None
        given = self.at(index) if constant is None else constant
        return default if given is None else float(given.reshape(-1)[0])

    def unsupported(self, how: str) -> Unsupported:
        """The error for a form of the operator that is not known here."""
        return Unsupported(
            f"op {self.node.op} at {self.node.name!r} {how} has no gradients here yet", "export it in another form"
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The static shape of a tensor, for the batch that the graph was made for."""
        return self.graph.shape(name)
