"""`edgekit train tinylm`: from a text to a small llama in a GGUF file, in minutes on a CPU.

A demonstration: it has the style of its text and no knowledge. It makes every path of the assistant run without a download.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping, Sequence
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
from edgekit.train.tinylm_network import EPSILON, Sizes, build
from edgekit.train.tinylm_vocabulary import BEGIN, END, UNKNOWN, Vocabulary, learn

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL, REPORT = "tinylm.gguf", "training.json"
NORMAL, CONTROL, BYTE = 1, 3, 6
VALIDATION = 0.05
"""Of the text, its end: what the kept loss is measured on."""
LEAST_LETTERS = 20_000


class TinySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the result, beside the text."""

    steps: int = 600
    batch: int = 16
    learning_rate: float = 3e-3
    warm_up: int = 40
    weight_decay: float = 0.1
    seed: int = 1
    threads: int = 2
    precision: str = "q8_0"
    sizes: Sizes = Sizes()


def train_tinylm(data: Path, out: Path, settings: TinySettings, *, progress: Progress = silent) -> Mapping[str, Any]:
    """Train on the `.txt` files of `data` (or on one) and write the model and a report into `out`; the report as a dict.

    The same text and settings give the same file. Raises `InputError` for no or too little text, `MissingDependency` without
    PyTorch.
    """
    torch = need("torch")
    need("gguf")
    ensure_writable(out)
    whole, files = _text_of(data)
    torch.set_num_threads(settings.threads)
    progress(Event(stage="learn the vocabulary"))
    vocabulary = learn(whole, settings.sizes.vocabulary)
    tokens = torch.tensor(vocabulary.encode(whole))
    held = int(len(tokens) * (1 - VALIDATION))
    network = build(settings.sizes, settings.seed)
    started = time.monotonic()
    history = _trained(network, tokens[:held], settings, progress)
    losses = {"train": history[-1], "validation": _loss(network, tokens[held:], settings.sizes.context)}
    return _written(network, vocabulary, settings, out, losses, files, tokens[held:], time.monotonic() - started)


def _text_of(data: Path) -> tuple[str, tuple[Path, ...]]:
    files = (data,) if data.is_file() else tuple(sorted(data.glob("*.txt"))) if data.is_dir() else ()
    if not files:
        raise InputError(f"no text at {str(data)!r}", "name a .txt file, or a folder with some")
    whole = "\n".join(file.read_text("utf-8", errors="replace") for file in files).replace("\r\n", "\n")
    if len(whole) < LEAST_LETTERS:
        raise InputError(f"{len(whole)} letters are too few to learn from", f"at least {LEAST_LETTERS}")
    return whole, files


def _trained(network: nn.Module, tokens: Tensor, settings: TinySettings, progress: Progress) -> list[float]:
    """Train in place; the loss of every step. A step's text is drawn by chance, always the same chance."""
    torch = need("torch")
    chance = torch.Generator().manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, (0.9, 0.95), weight_decay=settings.weight_decay)
    history = []
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _share(step, settings)
        starts = torch.randint(len(tokens) - settings.sizes.context - 1, (settings.batch,), generator=chance)
        rows = torch.stack([tokens[start : start + settings.sizes.context + 1] for start in starts])
        loss = _cross_entropy(network, rows)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        history.append(float(loss.detach()))
        progress(Event(stage="train", done=step + 1, total=settings.steps))
    return history


def _share(step: int, settings: TinySettings) -> float:
    """Of the learning rate: up in a line, down in half a cosine to a tenth."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))


def _cross_entropy(network: nn.Module, rows: Tensor) -> Tensor:
    found: Tensor = need("torch").nn.functional.cross_entropy(network(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
    return found


def _loss(network: nn.Module, tokens: Tensor, context: int) -> float:
    """Mean loss of a token of a text that was not learnt from."""
    torch = need("torch")
    windows = max(1, min(32, (len(tokens) - 1) // context))
    rows = torch.stack([tokens[n * context : n * context + context + 1] for n in range(windows)])
    with torch.no_grad():
        return float(_cross_entropy(network, rows))


def _written(
    network: nn.Module,
    vocabulary: Vocabulary,
    settings: TinySettings,
    out: Path,
    losses: Mapping[str, float],
    files: Sequence[Path],
    held: Tensor,
    seconds: float,
) -> Mapping[str, Any]:
    """The GGUF and the report, after the numpy forward pass was held to PyTorch's answers."""
    model = language_model(network, vocabulary, settings.sizes)
    sample = held[: settings.sizes.context // 2]
    difference = _difference(network, model, sample)
    goal = out / MODEL
    goal.unlink(missing_ok=True)
    written = convert(model, goal, settings.precision)
    report = {
        "model": {
            "sha256": sha256_bytes(goal.read_bytes()),
            "bytes": written.bytes,
            "parameters": sum(tensor.size for tensor in model.tensors),
            "largest_difference_from_torch": difference,
        },
        "loss": {name: round(loss, 4) for name, loss in losses.items()},
        "settings": msgspec.to_builtins(settings),
        "data": {file.name: sha256_file(file) for file in files},
        "versions": {
            "edgekit": __version__,
            "python": platform.python_version(),
            **{name: str(need(name).__version__) for name in ("torch", "numpy")},
        },
        "seconds": round(seconds, 1),
    }
    write_atomically(out / REPORT, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


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
