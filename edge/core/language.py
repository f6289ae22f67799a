"""What a language model costs on a board: memory for weights and conversation, and the speed that memory allows."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.core.errors import InputError
from edgekit.core.gguf_file import Header, TensorEntry

KV_BYTES = 2
"""Half precision, the engines' default."""
OVERHEAD = 0.2
"""Of weights and conversation together, for what the engine computes in."""
SMALLEST_OVERHEAD_BYTES = 64 << 20
MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a model that decide what it costs."""

    architecture: str
    layers: int
    embedding: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_length: int
    vocabulary: int
    context: int
    """Tokens it was trained for."""

    @property
    def kv_bytes_per_token(self) -> int:
        """What one token of a conversation keeps in memory."""
        return 2 * KV_BYTES * self.layers * self.kv_heads * self.head_length


def shape_of(header: Header) -> Shape:
    """The shape a GGUF header states. Raises `InputError` for one that states none, or one that cannot be."""
    architecture = header.get("general.architecture", "")
    if not isinstance(architecture, str) or not architecture:
        raise InputError(f"{header.path.name!r} does not say which architecture it is", "convert the model again")
    read = _Reader(header, architecture)
    heads, embedding = read.number("attention.head_count"), read.number("embedding_length")
    return Shape(
        architecture=architecture,
        layers=read.number("block_count", most=MOST_LAYERS),
        embedding=embedding,
        feed_forward=read.number("feed_forward_length", embedding),
        heads=heads,
        kv_heads=read.number("attention.head_count_kv", heads),
        head_length=read.number("attention.key_length", max(1, embedding // heads)),
        vocabulary=read.vocabulary(),
        context=read.number("context_length"),
    )


class _Reader:
    def __init__(self, header: Header, architecture: str) -> None:
        self._header = header
        self._architecture = architecture

    def number(self, key: str, default: int | None = None, most: int = 1 << 31) -> int:
        """A size under the architecture's name; the largest where it differs between layers."""
        full = f"{self._architecture}.{key}"
        found = self._header.get(full, default)
        found = max(found, default=None) if isinstance(found, tuple) else found
        if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= most:
            said = "is missing" if found is None else f"is {found!r}"
            raise InputError(f"{self._header.path.name!r}: {full} {said}, and must be 1 to {most}", "convert the model again")
        return found

    def vocabulary(self) -> int:
        tokens = self._header.count("tokenizer.ggml.tokens")
        return tokens or self.number("vocab_size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes a model takes in memory with a context of that many tokens."""

    context: int
    weights: int
    conversation: int
    overhead: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.conversation + self.overhead

    def sentence(self) -> str:
        """`1.42 GB (weights 1.10, 2048 tokens of conversation 0.07, working space 0.25)`."""
        parts = [f"{part / 1e9:.2f}" for part in (self.weights, self.conversation, self.overhead)]
        return (
            f"{self.total / 1e9:.2f} GB (weights {parts[0]}, {self.context} tokens of conversation {parts[1]}, "
            f"working space {parts[2]})"
        )


def need_of(shape: Shape, weights: int, context: int) -> Need:
    """What a model with `weights` bytes of tensors takes; a `context` of 0 is what it was trained for."""
    tokens = context or shape.context
    conversation = tokens * shape.kv_bytes_per_token
    overhead = max(SMALLEST_OVERHEAD_BYTES, int(OVERHEAD * (weights + conversation)))
    return Need(context=tokens, weights=weights, conversation=conversation, overhead=overhead)


def read_per_token(tensors: tuple[TensorEntry, ...]) -> int:
    """Bytes of weights that one token makes the engine read: all but the embedding table, of which it reads one row.

    Where there is no `output.weight`, the embedding table is also the output layer and is read whole.
    """
    tied = not any(tensor.name == "output.weight" for tensor in tensors)
    return sum(tensor.bytes for tensor in tensors if tied or tensor.name != "token_embd.weight")


def weights_of(header: Header) -> int:
    """Bytes of all tensors."""
    return sum(tensor.bytes for tensor in header.tensors)
