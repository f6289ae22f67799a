"""How long `edgekit --help` and `import edgekit` take, beside an empty Python, in turns. Writes results/startup.json."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from common import conditions, write

ROUNDS = 41
COMMANDS = {
    "python": ("-c", "pass"),
    "import": ("-c", "import edgekit"),
    "help": ("-m", "edgekit", "--help"),
}


def main() -> int:
    """Run the commands in turns, so that what else the machine does falls on all of them alike."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            taken[name].append(milliseconds(arguments))
    medians = {f"{name}_ms": round(median(values), 1) for name, values in taken.items()}
    write("startup", {"conditions": conditions("edgekit"), "rounds": ROUNDS, **medians})
    return 0


def milliseconds(arguments: tuple[str, ...]) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - started)


if __name__ == "__main__":
    raise SystemExit(main())
