"""Which type every tensor gets, as llama.cpp chooses it, with every substitution and its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgekit.converters.gguf.model import LanguageModel, WeightTensor, bytes_as
from edgekit.converters.gguf.quants import OWN
from edgekit.core.gguf_file import NAMED


class Mixture(NamedTuple):
    """A precision people ask for: llama.cpp's number for it, and the type most tensors get."""

    number: int
    kind: str


MIXTURES: Mapping[str, Mixture] = {
    "fp32": Mixture(0, "F32"),
    "fp16": Mixture(1, "F16"),
    "q8_0": Mixture(7, "Q8_0"),
    "q6_k": Mixture(18, "Q6_K"),
    "q5_k_m": Mixture(17, "Q5_K"),
    "q5_k_s": Mixture(16, "Q5_K"),
    "q5_1": Mixture(9, "Q5_1"),
    "q5_0": Mixture(8, "Q5_0"),
    "q4_k_m": Mixture(15, "Q4_K"),
    "q4_k_s": Mixture(14, "Q4_K"),
    "q4_1": Mixture(3, "Q4_1"),
    "q4_0": Mixture(2, "Q4_0"),
    "iq4_nl": Mixture(25, "IQ4_NL"),
    "q3_k_m": Mixture(12, "Q3_K"),
    "q2_k": Mixture(10, "Q2_K"),
}
"""Best first, and smaller further down."""

FALLBACK: Mapping[str, str] = {
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""What llama.cpp takes where a row is no multiple of 256."""

UNTOUCHED = ("_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight")
"""Matrices whose names end so stay as they are: they are small, and engines want them in float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One tensor and the type it gets; where that is not what the mixture wanted, `wanted` is, and `why` says why."""

    name: str
    shape: tuple[int, ...]
    kind: str
    wanted: str = ""
    why: str = ""

    @property
    def bytes(self) -> int:
        """What it takes."""
        return bytes_as(self.kind, self.shape)


def choose(model: LanguageModel, precision: str, *, libllama: bool) -> tuple[Choice, ...]:
    """The types of a conversion, before it is made. For K mixtures, the tensors that get more bits are not predicted."""
    tied = model.tensor("output.weight") is None
    return tuple(_chosen(tensor, MIXTURES[precision].kind, tied, libllama) for tensor in model.tensors)


def _chosen(tensor: WeightTensor, base: str, tied: bool, libllama: bool) -> Choice:
    if not is_matrix(tensor.name, tensor.shape):
        return Choice(name=tensor.name, shape=tensor.shape, kind="F32")
    output = tensor.name == ("token_embd.weight" if tied else "output.weight")
    wanted = "Q6_K" if output and base not in ("F32", "F16", "Q8_0") else base
    kind, why = fitting(wanted, tensor.shape[-1])
    if kind not in OWN and not libllama:
        kind, why = fitting(FALLBACK.get(kind, "Q8_0"), tensor.shape[-1])[0], "libllama is not here"
    return Choice(name=tensor.name, shape=tensor.shape, kind=kind, wanted=wanted if why else "", why=why)


def is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is one of those that are quantized."""
    return len(shape) > 1 and name.endswith("weight") and not name.endswith(UNTOUCHED)


def fitting(wanted: str, row: int) -> tuple[str, str]:
    """The type that rows of that length can have, and why it is not `wanted` (empty when it is)."""
    kind, why = wanted, ""
    if NAMED[kind].block == 256 and row % 256:
        kind, why = FALLBACK.get(kind, "IQ4_NL"), f"rows of {row} are no multiple of 256"
    if NAMED[kind].block == 32 and row % 32:
        kind, why = "F16", f"rows of {row} are no multiple of 32"
    return kind, why


def substitutions(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Those that did not get what was wanted."""
    return tuple(choice for choice in choices if choice.why)


def found_in(entries: Sequence[tuple[str, tuple[int, ...], str]], precision: str) -> tuple[Choice, ...]:
    """The types libllama chose, from the file it wrote: a type outside the mixture's own is a substitution."""
    return tuple(_recognised(name, shape, kind, precision) for name, shape, kind in entries)


def _recognised(name: str, shape: tuple[int, ...], kind: str, precision: str) -> Choice:
    base = MIXTURES[precision].kind
    plain = Choice(name=name, shape=shape, kind=kind)
    if not is_matrix(name, shape) or NAMED[base].block == 1 or kind == base or shape[-1] % 256 == 0:
        return plain
    wanted = base if kind == "F16" else next((k for k, given in FALLBACK.items() if given == kind and _near(k, base)), "")
    why = fitting(wanted or base, shape[-1])[1]
    return Choice(name=name, shape=shape, kind=kind, wanted=wanted, why=why) if wanted and why else plain


def _near(kind: str, base: str) -> bool:
    """Whether a mixture of that base gives some tensors that kind: its own, or one with more bits."""
    return base == kind or NAMED[kind].bytes >= NAMED[base].bytes or NAMED[base].block == 32


def bits_per_weight(choices: Sequence[Choice]) -> float:
    """Of all tensors together, norms included."""
    weights = 0
    for choice in choices:
        size = 1
        for length in choice.shape:
            size *= length
        weights += size
    return 8 * sum(choice.bytes for choice in choices) / weights if weights else 0.0
