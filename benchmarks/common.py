"""What every benchmark here shares: conditions, child processes with their cost, and where results go."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SHARED = Path(os.environ.get("EDGEKIT_SHARED", ROOT.parent / "shared")) / "data"
DOT_PRODUCTS = {"avx512_vnni": "AVX-512 VNNI", "avx_vnni": "AVX VNNI", "i8mm": "I8MM", "asimddp": "SDOT", "avx2": "AVX2"}
"""What a processor multiplies int8 with, the best first, by its flag in /proc/cpuinfo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a child process said and cost. `peak_rss_bytes` is its own high-water mark, from the kernel."""

    stdout: str
    returncode: int
    seconds: float
    peak_rss_bytes: int


def run(argv: Sequence[str], cwd: Path | None = None) -> Finished:
    """Run a program to its end, its stderr shown."""
    started = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=cwd) as child:
        stdout = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return Finished(
        stdout=stdout,
        returncode=child.returncode,
        seconds=time.perf_counter() - started,
        peak_rss_bytes=usage.ru_maxrss * 1024,
    )


def edgekit(*arguments: str) -> Finished:
    """Run `edgekit ARGUMENTS` in this Python."""
    return run([sys.executable, "-m", "edgekit", *arguments])


def conditions(*packages: str) -> dict[str, str]:
    """The machine and the versions: without them a number is not written."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{_cpu()}, {len(os.sched_getaffinity(0))} cores",
        "load_average": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        **{package.replace("-", "_"): version(package) for package in packages},
    }


def write(name: str, result: Mapping[str, Any]) -> None:
    """Print the result and keep it in `results/NAME.json`."""
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text, "utf-8")
    print(text, end="")


def kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file holds; it is written where there is none."""
    if not file.exists():
        file.write_text(json.dumps(make()), "utf-8")
    return dict(json.loads(file.read_text("utf-8")))


def digest(told: str, *files: Path) -> str:
    """A name for all that something comes of."""
    found = hashlib.sha256(told.encode())
    for path in files:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def sources(*folders: str) -> tuple[Path, ...]:
    """The Python files of these folders of the checkout."""
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


def _cpu() -> str:
    """The processor's name, and the widest of the instructions that int8 kernels live by: a hypervisor's name tells no generation."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = about.get("flags", about.get("Features", "")).split()
    widest = next((told for flag, told in DOT_PRODUCTS.items() if flag in flags), "")
    return about.get("model name", platform.machine()) + (f" with {widest}" if widest else "")
