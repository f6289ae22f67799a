"""FastAPI, imported without what answering does not need: on a small board's core that is seconds of every start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edgekit.core.optional import ensure_installed, need

PYDANTIC_1 = "pydantic.v1"


def import_fastapi() -> None:
    """Import FastAPI. Three things that it would do meanwhile are left:

    - building some forty models of OpenAPI, which only the interface's description needs: they are built when it is asked for;
    - reading the metadata of every package here for plugins of pydantic, unless `PYDANTIC_DISABLE_PLUGINS` says otherwise;
    - importing the whole of pydantic 1, to find out that no model of ours is one of its: it counts as absent.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    ensure_installed("fastapi")
    with _unbuilt_models():
        need("fastapi")
    if PYDANTIC_1 not in sys.modules:
        sys.modules[PYDANTIC_1] = None  # type: ignore[assignment]  # Python's own word for what cannot be imported


@contextmanager
def _unbuilt_models() -> Iterator[None]:
    """Models that are made within the block are built when they are first used."""
    from pydantic import BaseModel

    config = BaseModel.model_config
    before = config.get("defer_build", False)
    config["defer_build"] = True
    try:
        yield
    finally:
        config["defer_build"] = before
