"""Reads of `/proc`, `/sys` and `/dev` under any root. What is absent, vanishes or refuses to be read reads as nothing."""

from __future__ import annotations

from pathlib import Path

LIMIT_BYTES = 4 << 20
"""The largest of these files, /proc/cpuinfo of a server with hundreds of cores, has one."""


def data(root: Path, name: str) -> bytes:
    """The first 4 MiB of a file, or nothing."""
    try:
        path = root / name
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(LIMIT_BYTES)
    except (OSError, ValueError):
        return b""


def text(root: Path, name: str) -> str:
    """A file as one text without its final line break and NULs."""
    return data(root, name).decode("utf-8", errors="replace").replace("\0", "").strip()


def line(root: Path, name: str) -> str:
    """The first line of a file, without what a terminal would act on."""
    return printable(text(root, name).partition("\n")[0])


def strings(root: Path, name: str) -> tuple[str, ...]:
    """A device-tree property that holds several texts."""
    return tuple(printable(part.decode("utf-8", errors="replace")) for part in data(root, name).split(b"\0") if part)


def printable(said: str) -> str:
    """`said` with `?` for every character that does not print."""
    return "".join(sign if sign.isprintable() else "?" for sign in said).strip()


def integer(root: Path, name: str, base: int = 10) -> int | None:
    """The whole number a file holds, or None."""
    try:
        return int(text(root, name), base)
    except ValueError:
        return None


def found(root: Path, pattern: str) -> tuple[str, ...]:
    """Names under `root` that fit a shell pattern, in order; none when a folder refuses."""
    try:
        return tuple(sorted(str(path.relative_to(root)) for path in root.glob(pattern)))
    except (OSError, ValueError):
        return ()
