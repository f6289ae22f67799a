"""libllama's work on files, each piece in a process of its own: what kills it there is an error here."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import EdgekitError
from edgekit.runtimes.language._process import Process
from edgekit.runtimes.language._wire import Call, raised
from edgekit.runtimes.text import EngineLost, EngineRefused

LOOK_S = 0.1
log = logging.getLogger(__name__)


def quantize(
    source: Path, goal: Path, file_type: int, importance: Mapping[str, NDArray[Any]], *, seconds: float = 7200
) -> None:
    """libllama's quantizing, in a process of its own: what kills it there is an error here, and leaves no half file."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "importance.npz"
        if importance:
            np.savez(matrix, **{name: np.asarray(row) for name, row in importance.items()})  # type: ignore[arg-type]
        process = Process("llama_cpp")
        call = Call(
            name="quantize", path=str(source), goal=str(goal), text=str(file_type), model=str(matrix) if importance else ""
        )
        try:
            _awaited(process, call, seconds)
        except EngineRefused as refused:
            said = process.last_words()
            raise EngineRefused(refused.message + (f": {said}" if said else ""), refused.hint) from refused
        except EngineLost:
            goal.unlink(missing_ok=True)
            raise
        finally:
            process.close()


def library_works(seconds: float = 60) -> bool:
    """Whether libllama loads here and answers; one built for another processor ends its process at once."""
    process = Process("llama_cpp")
    try:
        _awaited(process, Call(name="check"), seconds)
    except EdgekitError as why:
        log.info("libllama does not work here: %s", why)
        return False
    finally:
        process.close()
    return True


def _awaited(process: Process, call: Call, seconds: float) -> None:
    until = time.monotonic() + seconds
    for answer in process.answers(process.send(call), LOOK_S):
        if answer is not None and answer.error:
            raise raised(answer)
        if answer is None and time.monotonic() >= until:
            raise EngineLost(f"{call.name} was not done after {seconds:g} s")
