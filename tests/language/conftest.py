"""Language engines that are here and load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tiny_language import tiny_gguf

from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import TextOptions

ENGINES = ("llama_cpp", "xllamacpp")


@cache
def loads(engine: str) -> str:
    """Empty when the engine's package loads and computes here, else why not: wheels are built for certain processors."""
    code = f"import {engine}, sys; getattr({engine}, 'llama_backend_init', lambda: None)()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random llama."""
    return tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine; skipped with its reason where it does not load."""
    name: str = request.param
    if why := loads(name):
        pytest.skip(f"{name} is not here: {why}")
    return name


@pytest.fixture
def session(engine: str, model: Path) -> Iterator[SupervisedSession]:
    """The tiny model, opened in the engine's own process."""
    opened = SupervisedSession(engine, model, TextOptions(context=256, threads=1))
    yield opened
    opened.close()
