"""PDF and Word files are read in a process of their own, with bounds on its memory and time: a document may not stop a server."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec

from edgekit.apps.assistant.documents.limits import MEMORY_BYTES, READING_S
from edgekit.apps.assistant.documents.text import Text
from edgekit.core.errors import EdgekitError, InputError, MissingDependency
from edgekit.core.process import run


def read(path: Path, kind: str) -> Text:
    """What `documents/KIND.py` makes of the file. Raises what it raised, or `InputError` when it died of the file."""
    argv = [sys.executable, "-m", __name__, kind, str(path)]
    try:
        said = run(argv, timeout_s=READING_S).stdout
    except MissingDependency:
        raise
    except EdgekitError as exc:
        raise InputError(f"{path.name!r} could not be read: its reader {_ending(exc)}", "leave it out of the folder") from exc
    return _answer(said)


def _answer(said: str) -> Text:
    answer = json.loads(said)
    if "text" in answer:
        return msgspec.convert(answer["text"], Text)
    kind = MissingDependency if answer["missing"] else InputError
    raise kind(answer["error"], answer["hint"])


def _ending(exc: EdgekitError) -> str:
    return exc.message.partition(" ")[2]


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # systems without such limits read without them
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _main(kind: str, path: str) -> None:
    _limit_memory()
    try:
        text = import_module(f"edgekit.apps.assistant.documents.{kind}").read(Path(path))
        answer = {"text": msgspec.to_builtins(text)}
    except MemoryError:
        answer = _complaint(InputError(f"{Path(path).name!r} needs more memory than {MEMORY_BYTES:,} bytes to be read"))
    except EdgekitError as exc:
        answer = _complaint(exc)
    sys.stdout.write(json.dumps(answer))


def _complaint(exc: EdgekitError) -> dict[str, object]:
    return {"error": exc.message, "hint": exc.hint, "missing": isinstance(exc, MissingDependency)}


if __name__ == "__main__":
    _main(*sys.argv[1:])
