"""The trained checkpoint of 260,000 weights: its text, its numbers, and what quantizing costs it."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tiny_language import loads

from edgekit.converters.gguf import convert, forward, gguf_source, llama2c
from edgekit.converters.gguf.model import LanguageModel
from edgekit.converters.gguf.types import bits_per_weight, substitutions
from edgekit.core.errors import InputError, NotFound
from edgekit.core.gguf_file import read_header
from edgekit.core.language import need_of, read_per_token, shape_of, weights_of
from edgekit.language_parity import perplexity
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import Piece, Sampling, TextOptions, TextRequest


@pytest.fixture(scope="module")
def checkpoint(shared_data: Path) -> Path:
    return shared_data / "llm" / "stories260K.bin"


@pytest.fixture(scope="module")
def published(shared_data: Path) -> str:
    return (shared_data / "llm" / "stories260K.greedy.txt").read_text().strip()


def split(model: LanguageModel, text: str) -> list[int]:
    """The tokens of a text as sentencepiece splits it: of all neighbours, those with the highest score are merged first."""
    pieces, scores = (model.values[f"tokenizer.ggml.{key}"].value for key in ("tokens", "scores"))
    numbers = {piece.decode(): index for index, piece in enumerate(pieces) if index > 2}
    parts = list("\u2581" + text.replace(" ", "\u2581"))
    while True:
        joined = [(scores[numbers[a + b]], -at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in numbers]
        if not joined:
            break
        at = -max(joined)[1]
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [1, *(numbers.get(part, numbers.get(f"<0x{ord(part[0]):02X}>", 0)) for part in parts)]


def test_the_greedy_text_is_the_published_one_to_the_last_character(checkpoint: Path, published: str, tmp_path: Path) -> None:
    """At every place of the published text its next token is the likeliest: so greedy decoding writes that text."""
    written = convert.convert(llama2c.load(checkpoint), tmp_path / "model.gguf", "fp32")
    model = gguf_source.load(written.path)
    tokens = split(model, published)
    assert len(tokens) > 250
    assert forward.logits(model, tokens)[:-1].argmax(axis=1).tolist() == tokens[1:]


def test_perplexity_on_the_published_text_stays_within_its_bounds(checkpoint: Path, published: str, tmp_path: Path) -> None:
    source = llama2c.load(checkpoint)
    tokens = split(source, published)
    for precision, bound in (("fp32", 1.581), ("q8_0", 1.59), ("q4_0", 1.70)):
        written = convert.convert(source, tmp_path / f"{precision}.gguf", precision)
        assert perplexity(tokens, forward.logits(gguf_source.load(written.path), tokens)) <= bound, precision


@pytest.mark.parametrize("engine", ["llama_cpp", "xllamacpp"])
def test_an_engine_writes_the_published_text_character_for_character(
    engine: str, checkpoint: Path, published: str, tmp_path: Path
) -> None:
    if why := loads(engine):
        pytest.skip(f"{engine} is not here: {why}")
    written = convert.convert(llama2c.load(checkpoint), tmp_path / "model.gguf", "fp32")
    session = SupervisedSession(engine, written.path, TextOptions(context=512, threads=1))
    sampling = Sampling(max_tokens=256, temperature=0.0)
    events = list(session.generate(TextRequest(sampling=sampling)))
    session.close()
    assert "".join(event.text for event in events if isinstance(event, Piece)).strip() == published


def test_what_it_costs_is_said_in_numbers(checkpoint: Path, tmp_path: Path) -> None:
    written = convert.convert(llama2c.load(checkpoint), tmp_path / "model.gguf", "q8_0")
    header = read_header(written.path)
    shape = shape_of(header)
    assert shape.kv_bytes_per_token == 2 * 2 * 5 * 4 * 8
    assert round(bits_per_weight(written.choices), 2) == 9.97
    assert [choice.kind for choice in substitutions(written.choices)] == ["F16"] * 5
    assert substitutions(written.choices)[0].why == "rows of 172 are no multiple of 32"
    assert need_of(shape, weights_of(header), 512).conversation == 512 * 640
    assert read_per_token(header.tensors) < weights_of(header)
    assert 0 < max(written.errors.values()) < 0.02


def test_a_cut_or_foreign_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(checkpoint.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"no whole llama2\.c checkpoint"):
        llama2c.load(cut)
    assert not llama2c.is_llama2c(cut)
    cut.write_bytes(b"MZ" * 100)
    with pytest.raises(InputError, match="describe no model"):
        llama2c.load(cut)


def test_a_checkpoint_needs_its_own_tokenizer(checkpoint: Path, tmp_path: Path) -> None:
    alone = tmp_path / "model.bin"
    alone.write_bytes(checkpoint.read_bytes())
    with pytest.raises(NotFound, match=r"tok512\.bin"):
        llama2c.load(alone)
    (tmp_path / "tokenizer.bin").write_bytes(struct.pack("<I", 5) + struct.pack("<fi", 0.0, 1 << 30))
    with pytest.raises(InputError, match="would have 1073741824 bytes"):
        llama2c.load(alone)


def test_untied_checkpoints_have_an_output_layer_of_their_own(tmp_path: Path) -> None:
    """A made-up checkpoint whose vocabulary is given as negative: llama2.c's sign for an output layer of its own."""
    sizes = (32, 64, 1, 2, 1, 40, 16)
    floats = 40 * 32 + 32 + 32 * 32 + 2 * 16 * 32 + 32 * 32 + 32 + 3 * 64 * 32 + 32 + 16 * 16 + 40 * 32
    path = tmp_path / "model.bin"
    values = np.random.default_rng(0).normal(size=floats).astype("<f4")
    path.write_bytes(struct.pack("<7i", 32, 64, 1, 2, 1, -40, 16) + values.tobytes())
    (tmp_path / "tok40.bin").write_bytes(struct.pack("<I", 1) + b"".join(struct.pack("<fi", 0.0, 1) + b"a" for _ in range(40)))
    model = llama2c.load(path)
    output = model.tensor("output.weight")
    assert output is not None and np.array_equal(output.values().ravel(), values[-40 * 32 :])
    assert model.number("embedding_length") == sizes[0]
