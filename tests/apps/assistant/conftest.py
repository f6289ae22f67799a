"""A real server in a process of its own, with the engine that needs nothing, over a small folder of documents."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the assistant's server needs the extra web")
pytest.importorskip("nicegui", reason="the assistant's server needs the extra web")

from documents import write_documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    url: str
    token: str
    pid: int
    folder: Path


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write_documents(tmp_path / "documents")


@contextmanager
def _serving(folder: Path, *options: str) -> Iterator[Server]:
    from edgekit.apps.web.security.accounts import Accounts

    with closing(Accounts(folder / "state")) as accounts:
        accounts.add("tester", "a long enough password", "admin")
        token = accounts.new_token("tester", "tests")
    with running(folder, *options) as (url, pid):
        yield Server(url=url, token=token, pid=pid, folder=folder)


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[Server]]:
    """`serve(folder, *options)`: a server of one's own, with a token."""
    return _serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with _serving(folder, "--runtime", "parrot", "--documents", str(write_documents(folder / "documents"))) as one:
        yield one


class running:  # noqa: N801  (reads as a verb: with running(...) as (url, pid))
    """`edgekit run assistant` until the block ends."""

    def __init__(self, folder: Path, *options: str) -> None:
        paths = ("--state", str(folder / "state"), "--data", str(folder / "data"), "--port", "0")
        self._argv = [sys.executable, "-m", "edgekit", "run", "assistant", *paths, *options]

    def __enter__(self) -> tuple[str, int]:
        self._process = subprocess.Popen(self._argv, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if found := re.search(r"Assistant: (http://\S+)", line):
                return found[1], self._process.pid
        raise AssertionError("".join(said))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process.wait(30)
