"""Runs the commands of ```console blocks, in a folder that looks like the checkout but keeps nothing."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

FENCE = re.compile(r"(?<=^```console\n)(?P<body>.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
LEFT_OUT = {".git", ".venv", "build", "dist", "edgekit-demo"}


def in_consoles(text: str, output_of: Callable[[str], str | None]) -> str:
    """`text` with the output under each command of its console blocks replaced by what `output_of` gives (None: unchanged)."""
    return FENCE.sub(lambda match: "".join(_answered(c, shown, output_of) for c, shown in commands(match["body"])), text)


def commands(body: str) -> list[tuple[str, str]]:
    """(command, what is shown under it) of a console block. A block starts with a command."""
    if not body.startswith("$ "):
        raise ValueError(f"a console block starts with '$ ', not {body.splitlines()[:1]}")
    parts = re.split(r"^\$ (.*)\n", body, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _answered(command: str, shown: str, output_of: Callable[[str], str | None]) -> str:
    output = output_of(command)
    return f"$ {command}\n" + (shown if output is None else output)


def is_artifact(path: Path) -> bool:
    """Whether a reader who followed the README has converted something into the checkout."""
    return (path / "manifest.json").is_file()


class Sandbox:
    """A temporary folder with links to what the checkout holds. Commands of one document run in it one after the other."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = tempfile.TemporaryDirectory(prefix="edgekit-docs-")

    def __enter__(self) -> Sandbox:
        for path in self._root.iterdir():
            if path.name not in LEFT_OUT and not is_artifact(path):
                (Path(self._temporary.name) / path.name).symlink_to(path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._temporary.cleanup()

    def output_of(self, command: str) -> str | None:
        """What an `edgekit` command prints (its error when it fails); None for any other command.

        `make demo` is `edgekit demo` after set-up, so it is run as that.
        """
        words = shlex.split("edgekit demo" if command == "make demo" else command, comments=True)
        if words[:1] != ["edgekit"]:
            return None
        done = subprocess.run(
            [sys.executable, "-m", "edgekit", *words[1:]],
            cwd=self._temporary.name,
            env={**os.environ, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        if "Traceback" in done.stderr:
            raise RuntimeError(f"$ {command}\n{done.stderr}")
        return done.stdout + done.stderr[done.stderr.rfind("error:") :]
