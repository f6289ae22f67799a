"""Runs `edgetpu_compiler` where it is installed (x86-64 Linux) and reads what it said.

Options and log: https://coral.ai/docs/edgetpu/compiler/; the log's wording as in the issues of google-coral/edgetpu.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit.core import process
from edgekit.core.errors import ConversionError, EdgekitError, MissingDependency

PROGRAM = "edgetpu_compiler"
RUNTIME = 14
"""The current Edge TPU runtime version, and the compiler's default."""
PIECE_S = 180
"""The compiler's own limit for its search; ours leaves it time to write."""
MAPPED = "Mapped to Edge TPU"
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True, kw_only=True)
class LogRow:
    """One line of the compiler's table: so many operators of a kind, and their fate."""

    op: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether these run on the Edge TPU."""
        return self.status == MAPPED


@dataclass(frozen=True, kw_only=True)
class CompilerLog:
    """What the compiler said. Sizes are as it rounds them; zero where it said nothing."""

    version: str
    cached_bytes: int
    free_bytes: int
    streamed_bytes: int
    subgraphs: int
    operators: int
    rows: tuple[LogRow, ...]

    @property
    def on_cpu(self) -> int:
        """How many operators stay on the CPU."""
        return sum(row.count for row in self.rows if not row.mapped)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A model for the Edge TPU, by file name: one file, or its segments in order; and the compiler's account of it."""

    files: Mapping[str, bytes]
    text: str
    log: CompilerLog


def available() -> bool:
    """Whether the compiler is on the PATH."""
    return process.which(PROGRAM) is not None


def compile_argv(model: Path, folder: Path, *, runtime: int = RUNTIME, segments: int = 1) -> tuple[str, ...]:
    """The command that compiles `model` into `folder`, for so many Edge TPUs one after another."""
    options = ("--show_operations", "--min_runtime_version", str(runtime), "--timeout_sec", str(PIECE_S))
    spread = ("--num_segments", str(segments)) if segments > 1 else ()
    return (PROGRAM, *options, *spread, "--out_dir", str(folder), str(model))


def compiled_names(stem: str, segments: int = 1) -> tuple[str, ...]:
    """What the compiler calls the files that it makes of `stem`.tflite."""
    if segments == 1:
        return (f"{stem}_edgetpu.tflite",)
    return tuple(f"{stem}_segment_{number}_of_{segments}_edgetpu.tflite" for number in range(segments))


def compile_for_edgetpu(path: Path, *, segments: int = 1) -> Compiled:
    """Compile a full-integer TFLite file, whole or in `segments` for as many accelerators.

    Raises `MissingDependency` when the compiler is not installed and `ConversionError` with its words when it gives up.
    """
    if not available():
        hint = "it is a free download for x86-64 Linux: https://coral.ai/docs/edgetpu/compiler/"
        raise MissingDependency(f"{PROGRAM} is not on this machine", hint)
    with tempfile.TemporaryDirectory(prefix="edgekit-edgetpu-") as name:
        folder = Path(name)
        said = _run(path, folder, segments)
        text = said.stdout + said.stderr
        written = [folder / one for one in compiled_names(path.stem, segments)]
        if not all(file.is_file() for file in written):
            what = "no model" if segments == 1 else f"no {segments} segments"
            raise ConversionError(f"{PROGRAM} wrote {what} for {path.name!r}: {_complaint(text)}", _HINT)
        return Compiled(files={file.name: file.read_bytes() for file in written}, text=text, log=parse_log(text))


def _run(path: Path, folder: Path, segments: int) -> process.Finished:
    try:
        return process.run(compile_argv(path.resolve(), folder, segments=segments), timeout_s=2 * PIECE_S)
    except EdgekitError as exc:
        raise ConversionError(f"{path.name!r} was not compiled: {exc.message}", _HINT) from exc


def parse_log(text: str) -> CompilerLog:
    """What the text says; nothing in it is required, since the compiler words it for people."""
    fields = _fields(text)
    return CompilerLog(
        version=_after(text, "Edge TPU Compiler version "),
        cached_bytes=_size(fields.get("On-chip memory used for caching model parameters", "")),
        free_bytes=_size(fields.get("On-chip memory remaining for caching model parameters", "")),
        streamed_bytes=_size(fields.get("Off-chip memory used for streaming uncached model parameters", "")),
        subgraphs=_count(fields.get("Number of Edge TPU subgraphs", "")),
        operators=_count(fields.get("Total number of operations", "")),
        rows=tuple(
            LogRow(op=op, count=int(count), status=status)
            for op, count, status in re.findall(
                r"^([A-Z][A-Z0-9_]*|[\w-]+)[ \t]+([0-9]{1,9})[ \t]{2,}(\S.*?)[ \t]*$", text, re.MULTILINE
            )
        ),
    )


def _fields(text: str) -> Mapping[str, str]:
    """Lines of the form `name: value`."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _size(text: str) -> int:
    """`6.15MiB` -> bytes."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(B|KiB|MiB|GiB)", text)
    return round(float(found[1]) * UNITS[found[2]]) if found else 0


def _count(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _after(text: str, marker: str) -> str:
    return next((line.partition(marker)[2].strip() for line in text.splitlines() if marker in line), "")


def _complaint(text: str) -> str:
    """The last line that the compiler said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


_HINT = "edgekit inspect FILE --target coral shows which operators it cannot map"
