"""The language model that comes with edgekit: small, the one its training says, and for every engine that is here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tiny_language import loads

from edgekit.core.gguf_file import read_header
from edgekit.core.language import shape_of
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.text import Done, Piece, Sampling, TextOptions, TextRequest

FOLDER = Path(__file__).resolve().parents[2] / "edge" / "models" / "tinylm"
BOXED = FOLDER / "tinylm.gguf"
pytestmark = pytest.mark.skipif(not BOXED.is_file(), reason="runs from a checkout")


def test_it_is_smaller_than_3_mb_and_the_file_that_its_training_describes() -> None:
    data = BOXED.read_bytes()
    told = json.loads((FOLDER / "training.json").read_text())["model"]
    assert len(data) == told["bytes"] < 3_000_000
    assert hashlib.sha256(data).hexdigest() == told["sha256"]
    assert "demonstration" in (FOLDER / "MODEL_CARD.md").read_text("utf-8")
    assert shape_of(read_header(BOXED)).architecture == "llama"


@pytest.mark.parametrize("engine", ["llama_cpp", "xllamacpp"])
def test_it_ends_a_sentence_in_words(engine: str) -> None:
    if why := loads(engine):
        pytest.skip(f"{engine} is not here: {why}")
    session = open_text(BOXED, engine=engine, options=TextOptions(context=128, threads=1))
    asked = TextRequest(prompt="And the king said unto", sampling=Sampling(max_tokens=24, temperature=0.0))
    *pieces, done = session.generate(asked)
    session.close()
    said = "".join(piece.text for piece in pieces if isinstance(piece, Piece))
    assert isinstance(done, Done) and len([word for word in said.split() if word.strip(",.;:").isalpha()]) > 5
