"""Before a model is loaded: is the file whole, is it for text, and does it fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.core.gguf_file import Header, read_header
from edgekit.core.language import Need, Shape, need_of, shape_of, weights_of
from edgekit.runtimes.machine import usable_memory
from edgekit.runtimes.text import EngineRefused, OutOfMemory, TextModel, TextOptions

FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    25: "IQ4_NL",
    30: "IQ4_XS",
    32: "BF16",
}
"""llama.cpp's numbers for what a file as a whole is called."""
LEAST_CONTEXT = 8
NEEDED = ("tokenizer.ggml.model", "tokenizer.ggml.tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A model that may be loaded: its header, its shape, what it needs, and the options with the context that was settled."""

    header: Header
    shape: Shape
    need: Need
    options: TextOptions

    def model(self, engine: str, threads: int) -> TextModel:
        """What is known of the model without loading it."""
        header, shape = self.header, self.shape
        return TextModel(
            name=str(header.get("general.name") or header.path.stem),
            engine=engine,
            architecture=shape.architecture,
            file_type=FILE_TYPES.get(header.get("general.file_type", -1), ""),
            parameters=sum(tensor.size for tensor in header.tensors),
            bytes=header.bytes,
            context=self.options.context,
            trained_context=shape.context,
            vocabulary=shape.vocabulary,
            embedding_length=shape.embedding,
            kv_bytes_per_token=shape.kv_bytes_per_token,
            threads=threads,
            has_template=bool(header.get("tokenizer.chat_template")),
        )


def preflight(path: Path, options: TextOptions) -> Flight:
    """Raise `InputError` for a file that is no whole GGUF, `EngineRefused` for no text model, `OutOfMemory` for one too large.

    A context beyond what the model was trained for is cut to that: further on it answers nonsense.
    """
    header = read_header(path)
    missing = next((key for key in NEEDED if key not in header.values), "")
    if missing:
        raise EngineRefused(f"{path.name!r} is no language model: it has no {missing}", "is it a projector or an adapter?")
    shape = shape_of(header)
    if options.context < 0 or (0 < options.context < LEAST_CONTEXT):
        raise EngineRefused(f"a context of {options.context} tokens cannot be", f"at least {LEAST_CONTEXT}")
    settled = replace(options, context=min(options.context or shape.context, shape.context))
    # What was asked is judged, not what it was cut to: a context of 2,000,000,000 is a mistake to be told of.
    ensure_fits(path, need_of(shape, weights_of(header), options.context), usable_memory(options.memory_bytes))
    return Flight(header=header, shape=shape, need=need_of(shape, weights_of(header), settled.context), options=settled)


def ensure_fits(path: Path, need: Need, usable: int) -> None:
    """Raise `OutOfMemory` with both numbers when a model needs more than there is."""
    if usable and need.total > usable:
        raise OutOfMemory(
            f"{path.name!r} needs {need.sentence()}; {usable / 1e9:.2f} GB can be used",
            "a smaller context, or a smaller model: edgekit models list",
        )
