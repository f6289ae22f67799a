"""Which of the readers a language model is for."""

from __future__ import annotations

from pathlib import Path

from edgekit.converters.gguf import gguf_source, huggingface, llama2c
from edgekit.converters.gguf.model import LanguageModel
from edgekit.core.errors import InputError
from edgekit.core.gguf_file import is_gguf


def is_language_model(path: Path) -> bool:
    """Whether one of the readers is for it: by content, and by the name for a file that claims to be a GGUF and is none."""
    if path.is_dir():
        return huggingface.is_model_folder(path)
    return path.suffix.lower() == ".gguf" or is_gguf(path) or llama2c.is_llama2c(path)


def load(path: Path) -> LanguageModel:
    """The model at `path`. Raises `InputError`, `NotFound`, `Unsupported`."""
    if path.is_dir():
        return huggingface.load(path)
    if path.suffix.lower() == ".gguf" or is_gguf(path):
        return gguf_source.load(path)
    if llama2c.is_llama2c(path):
        return llama2c.load(path)
    raise InputError(
        f"{path.name!r} is no language model that can be read", "GGUF, a llama2.c checkpoint, a Hugging Face folder"
    )
