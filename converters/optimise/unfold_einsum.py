"""Sums over products of two tensors, written with letters, as the matrix product that every later stage knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_letters

from edgekit.converters.graph import Graph, Node, PassResult
from edgekit.converters.rewriting import Replacement, rewrite_at_once
from edgekit.converters.sheet import Sheet

OPEN = "..."


@dataclass(frozen=True, kw_only=True)
class Equation:
    """What an Einsum of two tensors says: a letter for every dimension."""

    first: str
    second: str
    output: str

    @property
    def batch(self) -> str:
        """What both have and the output keeps."""
        return "".join(letter for letter in self.output if letter in self.first and letter in self.second)

    @property
    def summed(self) -> str:
        """What both have and the output has not."""
        return "".join(letter for letter in self.first if letter in self.second and letter not in self.output)

    @property
    def left(self) -> str:
        """What only the first has."""
        return "".join(letter for letter in self.output if letter not in self.second)

    @property
    def right(self) -> str:
        """What only the second has."""
        return "".join(letter for letter in self.output if letter not in self.first)

    @property
    def is_product(self) -> bool:
        """Whether it is a matrix product: nothing twice in one tensor, and nothing summed in one alone."""
        terms = (self.first, self.second, self.output)
        letters = all(term.isalpha() or not term for term in terms) and all(len(set(term)) == len(term) for term in terms)
        whole = sorted(self.batch + self.left + self.summed) == sorted(self.first)
        return letters and whole and sorted(self.batch + self.summed + self.right) == sorted(self.second)


def unfold_einsum(graph: Graph) -> PassResult:
    """Replace an Einsum of two tensors by transposes and a MatMul or Mul, of one by a sum and a transpose.

    Guarantees: outputs equal within rounding. Diagonals, products of three and what is summed in one of two alone stay.
    """
    return rewrite_at_once(graph, lambda graph, node: _product(graph, node) or _of_one(graph, node))


def _product(graph: Graph, node: Node) -> Replacement | None:
    if node.op != "Einsum" or node.domain or len(node.inputs) != 2 or any(name not in graph.specs for name in node.inputs):
        return None
    equation = _parsed(_spelt_out(node.text("equation", ""), [len(graph.shape(name)) for name in node.inputs]))
    sizes = _sizes(graph, node, equation) if equation and equation.is_product else None
    if equation is None or sizes is None:
        return None
    sheet, shape = Sheet(graph, node), tuple(sizes[letter] for letter in equation.batch)
    if not equation.summed:
        return _spread(sheet, equation, sizes)
    groups = [prod(sizes[letter] for letter in part) for part in (equation.left, equation.summed, equation.right)]
    rows = _ordered(sheet, node.inputs[0], equation.first, equation.batch + equation.left + equation.summed, "rows")
    matrix = _ordered(sheet, node.inputs[1], equation.second, equation.batch + equation.summed + equation.right, "matrix")
    operands = [_shaped(sheet, rows, (*shape, *groups[:2]), "rows"), _shaped(sheet, matrix, (*shape, *groups[1:]), "matrix")]
    made = sheet.add("MatMul", operands, (*shape, groups[0], groups[2]), "product")
    found = equation.batch + equation.left + equation.right
    apart = _shaped(sheet, made, tuple(sizes[letter] for letter in found), "apart")
    return sheet.finish("Identity", [_ordered(sheet, apart, found, equation.output, "result")])


def _spread(sheet: Sheet, equation: Equation, sizes: Mapping[str, int]) -> Replacement:
    """Nothing is summed: every element of the one times those of the other that belong to it."""
    first, second = equation.batch + equation.left, equation.batch + equation.right
    found = equation.batch + equation.left + equation.right
    operands = []
    for name, letters, wanted in zip(sheet.node.inputs, (equation.first, equation.second), (first, second), strict=True):
        shape = tuple(sizes[letter] if letter in wanted else 1 for letter in found)
        operands.append(_shaped(sheet, _ordered(sheet, name, letters, wanted, name), shape, name))
    made = sheet.add("Mul", operands, [sizes[letter] for letter in found], "spread")
    return sheet.finish("Identity", [_ordered(sheet, made, found, equation.output, "result")])


def _of_one(graph: Graph, node: Node) -> Replacement | None:
    """An Einsum of one tensor: what the output has not is summed, the rest put in order."""
    if node.op != "Einsum" or node.domain or len(node.inputs) != 1 or node.inputs[0] not in graph.specs:
        return None
    x, shape = node.inputs[0], graph.shape(node.inputs[0])
    letters, arrow, output = _spelt_out(node.text("equation", ""), [len(shape)]).partition("->")
    kept = "".join(letter for letter in letters if letter in output)
    if not arrow or len(set(letters)) != len(letters) or len(letters) != len(shape) or sorted(kept) != sorted(output):
        return None
    sheet, axes = Sheet(graph, node), [axis for axis, letter in enumerate(letters) if letter not in output]
    if axes:
        left = tuple(size for axis, size in enumerate(shape) if axis not in axes)
        over = sheet.constant("axes", axes, "int64")
        x = sheet.add("ReduceSum", [x, over], left, "sum", attributes={"keepdims": 0})
    return sheet.finish("Identity", [_ordered(sheet, x, kept, output, "result")])


def _spelt_out(text: str, ranks: Sequence[int]) -> str:
    """The equation with letters for what an ellipsis leaves open, counted from the right, and without spaces."""
    terms, arrow, output = text.replace(" ", "").partition("->")
    free = [letter for letter in ascii_letters if letter not in text]
    counts = [rank - len(term) + len(OPEN) for term, rank in zip(terms.split(","), ranks, strict=False) if OPEN in term]
    most = max(counts, default=0)
    if min(counts, default=0) < 0 or len(terms.split(",")) != len(ranks):
        return text
    said = [
        term.replace(OPEN, "".join(free[: rank - len(term) + len(OPEN)][::-1]))
        for term, rank in zip(terms.split(","), ranks, strict=True)
    ]
    return ",".join(said) + arrow + output.replace(OPEN, "".join(free[:most][::-1]))


def _parsed(text: str) -> Equation | None:
    """The equation; without an arrow the output has what stands once, in the order of the alphabet."""
    terms, arrow, output = text.replace(" ", "").partition("->")
    first, comma, second = terms.partition(",")
    if not comma or "," in second:
        return None
    once = "".join(sorted(letter for letter in set(first + second) if (first + second).count(letter) == 1))
    return Equation(first=first, second=second, output=output if arrow else once)


def _sizes(graph: Graph, node: Node, equation: Equation) -> Mapping[str, int] | None:
    """The size of every letter; None where two tensors disagree, or have other ranks than the equation."""
    found: dict[str, int] = {}
    for name, letters in zip(node.inputs, (equation.first, equation.second), strict=True):
        shape = graph.shape(name)
        if len(shape) != len(letters) or any(found.setdefault(*pair) != pair[1] for pair in zip(letters, shape, strict=True)):
            return None
    return found


def _ordered(sheet: Sheet, name: str, letters: str, wanted: str, label: str) -> str:
    permutation = tuple(letters.index(letter) for letter in wanted)
    return name if letters == wanted else sheet.moved(name, permutation, f"{label}/turned")


def _shaped(sheet: Sheet, name: str, shape: tuple[int, ...], label: str) -> str:
    return name if sheet.shape(name) == shape else sheet.view(name, shape, f"{label}/joined")
