"""How long edgekit takes before it works: imports, commands, and loading an artifact. Writes results/startup.json.

Commands run beside an empty Python, in turns. Loading is `edgekit.load`, beside the same engine's own call on the same file
plus the SHA-256 of the artifact's files, in turns, in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from statistics import median
from typing import Any

from common import conditions, write

from edgekit import load
from edgekit.calibration.artifacts import made
from edgekit.calibration.calibrate import targets_here
from edgekit.calibration.models import build
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact
from edgekit.runtimes import registry

ROUNDS = 41
COMMANDS = {
    "python": ("-c", "pass"),
    "import": ("-c", "import edgekit"),
    "help": ("-m", "edgekit", "--help"),
    "devices": ("-m", "edgekit", "devices"),
}
LOADED = ("mobile-1", 2.0)
"""A calibration network of some megabytes, as models on boards have."""


def main() -> int:
    """Run everything in turns, so that what else the machine does falls on all alike."""
    medians = {f"{name}_ms": round(ms, 1) for name, ms in in_turns({name: command(argv) for name, argv in COMMANDS.items()})}
    over = {
        f"{name}_over_python_ms": round(medians[f"{name}_ms"] - medians["python_ms"], 1)
        for name in COMMANDS
        if name != "python"
    }
    name, width = LOADED
    with made({name: build(name, width)}, targets_here(find("host"))) as artifacts:
        rows = [loading(artifact) for artifact in artifacts[name]]
    write("startup", {"conditions": conditions("edgekit"), "rounds": ROUNDS, **medians, **over, "loading": rows})
    return 0


def loading(artifact: Artifact) -> dict[str, Any]:
    """Loading one artifact, and what its engine and its hashes take by themselves."""
    target = artifact.manifest.target

    def ours() -> None:
        load(artifact.path, runtime=target.runtime, threads=1).close()

    def engine() -> None:
        for file in artifact.manifest.files:
            sha256((artifact.path / file.name).read_bytes()).hexdigest()
        registry.get(target.runtime).load(artifact, threads=1).close()

    found = dict(in_turns({"ours": ours, "engine": engine}))
    return {
        "runtime": target.runtime,
        "precision": target.precision,
        "bytes": sum(file.bytes for file in artifact.manifest.files),
        "engine_and_hash_ms": round(found["engine"], 3),
        "load_ms": round(found["ours"], 3),
        "ratio": round(found["ours"] / found["engine"], 3),
    }


def command(arguments: tuple[str, ...]) -> Callable[[], object]:
    """One process of this Python, which keeps what it compiles as an installation does: the first run is that of nobody."""
    keeping = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=keeping)

    run()
    return run


def in_turns(calls: dict[str, Callable[[], object]]) -> list[tuple[str, float]]:
    """The median milliseconds of each."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - began))
    return [(name, median(values)) for name, values in taken.items()]


if __name__ == "__main__":
    raise SystemExit(main())
