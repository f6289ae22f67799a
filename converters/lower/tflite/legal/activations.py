"""Activations that TFLite lacks, in functions that it has."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.converters.graph import Graph, Node
from edgekit.converters.lower.tflite.legal.rewrite import Replacement, Rule, Scribe

SELU = (1.67326319217681884765625, 1.05070102214813232421875)
"""ONNX's defaults of alpha and gamma (Selu-6)."""


class Term:
    """Arithmetic on tensors of one shape, written as it would be on paper."""

    def __init__(self, scribe: Scribe, name: str) -> None:
        self.scribe, self.name = scribe, name

    def of(self, op: str, *others: Term | float) -> Term:
        """An operator on this and the others; numbers become constants."""
        names = [self.scribe.constant("number", other) if isinstance(other, float) else other.name for other in others]
        shape = self.scribe.shape(self.name)
        return Term(self.scribe, self.scribe.add(op, [self.name, *names], shape, op.lower()))

    def compared(self, op: str, limit: float) -> Term:
        """Where this is above or below a number."""
        bound, shape = self.scribe.constant("limit", limit), self.scribe.shape(self.name)
        return Term(self.scribe, self.scribe.add_as("bool", op, [self.name, bound], shape, op.lower()))

    def chosen(self, here: Term, there: Term) -> Term:
        """One term where this is true, another elsewhere."""
        return self.of("Where", here, there)

    def zero(self) -> Term:
        """A constant, shaped to stand beside this."""
        return Term(self.scribe, self.scribe.constant("zero", 0.0))

    def __add__(self, other: Term | float) -> Term:
        return self.of("Add", other)

    def __sub__(self, other: Term | float) -> Term:
        return self.of("Sub", other)

    def __mul__(self, other: Term | float) -> Term:
        return self.of("Mul", other)

    def __truediv__(self, other: Term) -> Term:
        return self.of("Div", other)


def softplus(x: Term, node: Node) -> Term:
    """log(1 + exp x) as max(x, 0) + log(1 + exp(-|x|)), which never overflows."""
    return x.of("Relu") + (x.of("Abs").of("Neg").of("Exp") + 1.0).of("Log")


def mish(x: Term, node: Node) -> Term:
    """x tanh(softplus x)."""
    return x * softplus(x, node).of("Tanh")


def softsign(x: Term, node: Node) -> Term:
    """x / (1 + |x|)."""
    return x / (x.of("Abs") + 1.0)


def selu(x: Term, node: Node) -> Term:
    """gamma (max(x, 0) + alpha (exp(min(x, 0)) - 1))."""
    alpha, gamma = node.number("alpha", SELU[0]), node.number("gamma", SELU[1])
    return (x.of("Relu") + (x.of("Min", 0.0).of("Exp") - 1.0) * alpha) * gamma


def celu(x: Term, node: Node) -> Term:
    """max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1)."""
    alpha = node.number("alpha", 1.0)
    return x.of("Relu") + ((x.of("Min", 0.0) * (1 / alpha)).of("Exp") - 1.0) * alpha


def elu(x: Term, node: Node) -> Term:
    """The same but for where alpha stands: max(x, 0) + alpha (exp(min(x, 0)) - 1)."""
    return x.of("Relu") + (x.of("Min", 0.0).of("Exp") - 1.0) * node.number("alpha", 1.0)


def reciprocal(x: Term, node: Node) -> Term:
    """1 / x."""
    one = x.scribe.constant("one", 1.0)
    return Term(x.scribe, x.scribe.add("Div", [one, x.name], x.scribe.shape(x.name), "reciprocal"))


def hyperbolic_sine(x: Term, node: Node) -> Term:
    """(exp x - exp -x) / 2."""
    return (x.of("Exp") - x.of("Neg").of("Exp")) * 0.5


def hyperbolic_cosine(x: Term, node: Node) -> Term:
    """(exp x + exp -x) / 2."""
    return (x.of("Exp") + x.of("Neg").of("Exp")) * 0.5


def tangent(x: Term, node: Node) -> Term:
    """sin x / cos x."""
    return x.of("Sin") / x.of("Cos")


def shrink(x: Term, node: Node) -> Term:
    """Towards zero by `bias` outside [-lambd, lambd], zero inside; with equal numbers max(x - a, 0) - max(-x - a, 0)."""
    limit, bias = node.number("lambd", 0.5), node.number("bias", 0.0)
    if bias == limit:
        return (x - limit).of("Relu") - (x.of("Neg") - limit).of("Relu")
    above, below = x.compared("Greater", limit), x.compared("Less", -limit)
    return above.chosen(x - bias, below.chosen(x + bias, x.zero()))


def thresholded(x: Term, node: Node) -> Term:
    """x where it is more than alpha, else zero."""
    return x.compared("Greater", node.number("alpha", 1.0)).chosen(x, x.zero())


FORMULAS: dict[str, Callable[[Term, Node], Term]] = {
    "Softplus": softplus,
    "Mish": mish,
    "Softsign": softsign,
    "Selu": selu,
    "Celu": celu,
    "Reciprocal": reciprocal,
    "Sinh": hyperbolic_sine,
    "Cosh": hyperbolic_cosine,
    "Tan": tangent,
    "Shrink": shrink,
    "ThresholdedRelu": thresholded,
}


def formula(graph: Graph, node: Node) -> Replacement | None:
    """An activation as its formula."""
    found = FORMULAS.get(node.op)
    if node.op == "Elu" and node.number("alpha", 1.0) != 1:
        found = elu
    if found is None:
        return None
    scribe = Scribe(graph, node)
    return scribe.result(found(Term(scribe, node.inputs[0]), node).name)


RULES: tuple[Rule, ...] = (formula,)
