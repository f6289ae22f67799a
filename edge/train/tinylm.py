"""`edgekit train tinylm`: from a text to a small llama in a GGUF file.

A demonstration: it has the style of its text and no knowledge. It makes every path of the assistant run without a download.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edgekit import __version__
from edgekit.converters.gguf import forward
from edgekit.converters.gguf.convert import convert
from edgekit.converters.gguf.model import (
    FLOAT32,
    INT32,
    LanguageModel,
    WeightTensor,
    array,
    count,
    in_memory,
    real,
    text,
    truth,
)
from edgekit.core.errors import InputError
from edgekit.core.files import ensure_writable, sha256_bytes, sha256_file, write_atomically
from edgekit.core.gguf_file import STRING, Typed
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.train.tinylm_loop import Kept, TinySettings, parted, trained
from edgekit.train.tinylm_network import EPSILON, Sizes, build
from edgekit.train.tinylm_vocabulary import BEGIN, END, UNKNOWN, Vocabulary, learn

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL, REPORT = "tinylm.gguf", "training.json"
NORMAL, CONTROL, BYTE = 1, 3, 6
LEAST_LETTERS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A text in pieces, and the files it came from with their hashes."""

    vocabulary: Vocabulary
    tokens: Tensor
    files: Mapping[str, str]


def train_tinylm(data: Path, out: Path, settings: TinySettings, *, progress: Progress = silent) -> Mapping[str, Any]:
    """Train on the `.txt` files of `data` (or on one) and write the model and a report into `out`; the report as a dict.

    The same text and settings give the same file, unless the clock ends the run. Raises `InputError` for no or too little text,
    `MissingDependency` without PyTorch.
    """
    torch = need("torch")
    need("gguf")
    ensure_writable(out)
    torch.set_num_threads(settings.threads)
    corpus = corpus_of(data, settings.sizes, progress)
    kept = trained(*parted(corpus.tokens), settings, progress=progress)
    return written(kept, corpus, settings, out)


def export_tinylm(weights: Path, data: Path, out: Path, *, progress: Progress = silent) -> Mapping[str, Any]:
    """The model and the report of weights that were trained elsewhere on the same text. Raises `InputError` for any other text."""
    torch = need("torch")
    need("gguf")
    ensure_writable(out)
    given = torch.load(weights, map_location="cpu", weights_only=True)
    settings = msgspec.convert(given["settings"], TinySettings)
    corpus = corpus_of(data, settings.sizes, progress)
    if corpus.files != given["data"]:
        raise InputError(f"{weights.name!r} was trained on other files than those of {str(data)!r}", ", ".join(given["data"]))
    return written(Kept(**given["kept"]), corpus, settings, out, given["versions"])


def corpus_of(data: Path, sizes: Sizes, progress: Progress = silent) -> Corpus:
    """The text of `data` in pieces that were learnt from it."""
    torch = need("torch")
    whole, files = _text_of(data)
    progress(Event(stage="learn the vocabulary"))
    vocabulary = learn(whole, sizes.vocabulary)
    hashes = {file.name: sha256_file(file) for file in files}
    return Corpus(vocabulary=vocabulary, tokens=torch.tensor(vocabulary.encode(whole)), files=hashes)


def _text_of(data: Path) -> tuple[str, tuple[Path, ...]]:
    files = (data,) if data.is_file() else tuple(sorted(data.glob("*.txt"))) if data.is_dir() else ()
    if not files:
        raise InputError(f"no text at {str(data)!r}", "name a .txt file, or a folder with some")
    whole = "\n".join(file.read_text("utf-8", errors="replace") for file in files).replace("\r\n", "\n")
    if len(whole) < LEAST_LETTERS:
        raise InputError(f"{len(whole)} letters are too few to learn from", f"at least {LEAST_LETTERS}")
    return whole, files


def written(
    kept: Kept, corpus: Corpus, settings: TinySettings, out: Path, trained_with: Mapping[str, str] | None = None
) -> Mapping[str, Any]:
    """The GGUF and the report, after the numpy forward pass was held to PyTorch's answers."""
    network = build(settings.sizes, settings.seed)
    network.load_state_dict(kept.weights)
    model = language_model(network.eval(), corpus.vocabulary, settings.sizes)
    _, held = parted(corpus.tokens)
    difference = _difference(network, model, held[: settings.sizes.context // 2])
    goal = out / MODEL
    goal.unlink(missing_ok=True)
    made = convert(model, goal, settings.precision)
    report = {
        "model": {
            "sha256": sha256_bytes(goal.read_bytes()),
            "bytes": made.bytes,
            "parameters": sum(tensor.size for tensor in model.tensors),
            "largest_difference_from_torch": difference,
        },
        "loss": kept.losses,
        "steps": kept.steps,
        "kept_at_step": kept.kept_at_step,
        "settings": asdict(settings),
        "data": corpus.files,
        "versions": {"edgekit": __version__, **(trained_with or versions())},
        "seconds": round(kept.seconds, 1),
    }
    write_atomically(out / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


def versions() -> dict[str, str]:
    """Of what computed it."""
    return {"python": platform.python_version(), **{name: str(need(name).__version__) for name in ("torch", "numpy")}}


def _difference(network: nn.Module, model: LanguageModel, sample: Tensor) -> float:
    with need("torch").no_grad():
        wanted = network(sample[None])[0].numpy()
    return float(np.abs(forward.logits(model, sample.tolist()) - wanted).max())


def language_model(network: nn.Module, vocabulary: Vocabulary, sizes: Sizes) -> LanguageModel:
    """The network as what the converters write. Embedding and output layer are one table."""
    tensors: list[WeightTensor] = [
        in_memory(name, weight.detach().numpy().copy()) for name, weight in network.state_dict().items()
    ]
    return LanguageModel(
        path=Path("tinylm"), framework="edgekit", values={**_sizes(sizes), **_pieces(vocabulary)}, tensors=tuple(tensors)
    )


def _sizes(sizes: Sizes) -> dict[str, Typed]:
    numbers = {
        "context_length": sizes.context,
        "embedding_length": sizes.dim,
        "block_count": sizes.layers,
        "feed_forward_length": sizes.feed_forward,
        "attention.head_count": sizes.heads,
        "attention.head_count_kv": sizes.kv_heads,
        "rope.dimension_count": sizes.dim // sizes.heads,
        "vocab_size": sizes.vocabulary,
    }
    return {
        "general.architecture": text("llama"),
        "general.name": text("tinylm"),
        "general.license": text("apache-2.0"),
        **{f"llama.{key}": count(value) for key, value in numbers.items()},
        "llama.attention.layer_norm_rms_epsilon": real(EPSILON),
        "llama.rope.freq_base": real(10000.0),
    }


def _pieces(vocabulary: Vocabulary) -> dict[str, Typed]:
    merged = {piece.encode(): -float(rank + 1) for piece, rank in vocabulary.ranks.items()}
    last = -float(len(merged) + 1)
    kinds = [2, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (len(vocabulary.pieces) - 259)]
    return {
        "tokenizer.ggml.model": text("llama"),
        "tokenizer.ggml.tokens": array(vocabulary.pieces, STRING),
        "tokenizer.ggml.scores": array([0.0] * 259 + [merged.get(p, last) for p in vocabulary.pieces[259:]], FLOAT32),
        "tokenizer.ggml.token_type": array(kinds, INT32),
        "tokenizer.ggml.unknown_token_id": count(UNKNOWN),
        "tokenizer.ggml.bos_token_id": count(BEGIN),
        "tokenizer.ggml.eos_token_id": count(END),
        "tokenizer.ggml.add_bos_token": truth(True),
        "tokenizer.ggml.add_space_prefix": truth(True),
    }
