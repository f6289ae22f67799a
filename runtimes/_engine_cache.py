"""Where built TensorRT engines are kept, and under which names: other models, plans, versions, GPUs and power modes never meet."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from edgekit.core.errors import EdgekitError
from edgekit.core.files import sha256_bytes, write_atomically

log = logging.getLogger(__name__)


def engine_name(model_sha256: str, plan: str, version: str, gpu: str, power_mode: str = "") -> str:
    """File name of a cached engine. Tactics are chosen by timing, so what a power mode leaves of the GPU is part of it."""
    slug = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-") or "gpu"
    mode = f"-{power_mode}" if power_mode else ""
    return f"{model_sha256[:16]}-{plan}-trt{version}-{slug}{mode}.engine"


def timing_name(version: str, gpu: str, power_mode: str = "") -> str:
    """File name of the timings that all builds on one GPU share."""
    return engine_name("timing", "cache", version, gpu, power_mode).removesuffix(".engine") + ".timing"


def cache_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Where engines are kept between runs: the user's cache, never the artifact."""
    base = environment.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else home / ".cache") / "edgekit" / "tensorrt"


def power_mode(root: Path = Path("/")) -> str:
    """The Jetson's power mode as nvpmodel keeps it (`pm2`); empty where there is none. The number is the board's own."""
    try:
        found = re.search(r"pmode:(\d+)", (root / "var/lib/nvpmodel/status").read_text("utf-8", errors="replace"))
    except OSError:
        return ""
    return f"pm{int(found[1])}" if found else ""


def keep(file: Path, data: bytes) -> None:
    """Keep what took minutes to make. A full disk costs the next start those minutes again, not this one its engine."""
    try:
        write_atomically(file, data)
    except EdgekitError as error:
        log.warning("the engine runs, but cannot be kept for the next time: %s", error.message)


def keep_engine(file: Path, engine: bytes) -> None:
    """Keep an engine with its hash beside it: TensorRT may crash on a damaged one, so that is found out before it sees it."""
    keep(file, engine)
    keep(hash_file(file), f"{sha256_bytes(engine)}\n".encode())


def kept_engine(file: Path) -> bytes:
    """The engine that was kept, whole; nothing where there is none, or it is not what was written."""
    engine, said = kept(file), kept(hash_file(file)).decode("ascii", errors="replace").strip()
    if engine and sha256_bytes(engine) != said:
        log.warning("the engine kept as %s is damaged and of no use any more", file.name)
        return b""
    return engine


def hash_file(engine: Path) -> Path:
    """Where the hash of a kept engine stands."""
    return engine.with_name(f"{engine.name}.sha256")


def kept(file: Path) -> bytes:
    """What was kept, or nothing."""
    try:
        return file.read_bytes()
    except OSError:
        return b""
