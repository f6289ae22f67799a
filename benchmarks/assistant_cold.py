"""How long `edgekit run assistant` takes from nothing to the first word of the model in the box. Writes results/assistant_cold.json.

    python benchmarks/assistant_cold.py [--rounds N]

The command is started as a person starts it, with a question waiting at its input; the clock stops at the first character of the
answer. Each round is a new process that loads the model anew; the files are in the system's memory from the round before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from statistics import median

from common import ROOT, conditions, write

BOXED = ROOT / "edge" / "models" / "tinylm" / "tinylm.gguf"
ENGINES = ("xllamacpp", "llama_cpp")


def main() -> int:
    """Every engine, in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken = [(engine, first_token_s(engine)) for _ in range(rounds + 1) for engine in ENGINES][len(ENGINES) :]
    found = {engine: sorted(seconds for name, seconds in taken if name == engine) for engine in ENGINES}
    told = {
        engine: {"median_s": round(median(each), 2), "least_s": round(each[0], 2), "most_s": round(each[-1], 2)}
        for engine, each in found.items()
    }
    packages = conditions("edgekit", "xllamacpp", "llama-cpp-python")
    write("assistant_cold", {"conditions": packages, "rounds": rounds, "bytes": BOXED.stat().st_size, "engines": told})
    return 0


def first_token_s(engine: str) -> float:
    """Seconds from the command to the first character of its answer."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "edgekit", "run", "assistant", "--terminal", "--data", folder, "--no-log"]
        began = time.perf_counter()
        with subprocess.Popen(
            [*argv, "--artifact", str(BOXED), "--runtime", engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(b"The king\n")
            process.stdin.close()
            while process.stdout.read(1) != b"\n":  # what may be typed is said first
                pass
            first = process.stdout.read(1)
            seconds = time.perf_counter() - began
            process.kill()
    assert first, f"{engine} said nothing"
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
