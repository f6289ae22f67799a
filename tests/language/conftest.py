"""Language engines that are here and load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_language import loads, tiny_gguf

from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.text import TextOptions

ENGINES = ("llama_cpp", "xllamacpp")


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
