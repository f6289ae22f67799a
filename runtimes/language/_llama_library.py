"""What libllama does without a session: quantizing files, and showing that it computes here at all.

What it does not like ends the process: `apart` calls these in one of their own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.runtimes.machine import compute_threads
from edgekit.runtimes.text import EngineRefused

NAME = "llama_cpp"


def quantize(source: Path, goal: Path, file_type: int, importance: Mapping[str, NDArray[Any]], threads: int = 0) -> None:
    """libllama's own quantizing of a float file into a new one. Raises `EngineRefused`; in place it would end the process."""
    if goal.exists():
        raise InputError(f"{str(goal)!r} exists already", "libllama writes new files only")
    c = need("llama_cpp")
    settings = c.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = file_type, compute_threads(threads)
    kept = [(name.encode(), np.ascontiguousarray(row, np.float32)) for name, row in importance.items()]
    if kept:
        pointer = ctypes.POINTER(ctypes.c_float)
        entries = [c.llama_model_imatrix_data(name, row.ctypes.data_as(pointer), row.size) for name, row in kept]
        settings.imatrix = (c.llama_model_imatrix_data * (len(entries) + 1))(*entries)
    status = c.llama_model_quantize(os.fsencode(source), os.fsencode(goal), ctypes.byref(settings))
    if status:
        goal.unlink(missing_ok=True)
        raise EngineRefused(f"{NAME} could not quantize {source.name!r} (it answered {status})", "the engine's log says why")


def check() -> None:
    """Load the library and quantize a few numbers: one built for another processor ends the process here."""
    package = need("llama_cpp")
    package.llama_backend_init()
    base = ctypes.CDLL(str(Path(str(package.__file__)).parent / "lib" / "libggml-base.so"))
    numbers, blocks = (ctypes.c_float * 256)(*map(float, range(256))), ctypes.create_string_buffer(8 * 34)
    wide = ctypes.c_int64
    base.ggml_quantize_chunk(8, numbers, blocks, wide(0), wide(1), wide(256), None)
