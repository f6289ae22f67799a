"""All that docs/converters.md and README say of the converters beside others, measured again by one command, then written there.

    python benchmarks/converters.py [--work FOLDER] [STEP...]

What is absent is skipped with the reason, and its table stays as it was measured. What was made is kept in the work folder (build/benchmarks
unless told otherwise; several GB with the peers' environments), so that a stopped run goes on where it was: the whole takes hours.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, SHARED, run
from peer_environments import found_python312

DOCUMENTS = ("README.md", "docs/converters.md")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A program of this folder. `keeps` says whether it takes `--work`; `lacks` what it cannot do without and is not here, or nothing."""

    program: str
    lacks: Callable[[], str]
    keeps: bool = True


def real_models() -> str:
    """Why there are no real models, if so."""
    return "" if SHARED.is_dir() else f"the real models are not here: {SHARED} (EDGEKIT_SHARED says where)"


def zoo_and_peers() -> str:
    """Why the zoo cannot be measured beside the peers, if so."""
    if not (SHARED.parent / "zoo").is_dir():
        return f"the zoo is not here: {SHARED.parent / 'zoo'} (EDGEKIT_SHARED says where)"
    return no_python312()


def real_models_and_peers() -> str:
    """Why real models cannot be measured beside the peers, if so."""
    return real_models() or no_python312()


def no_python312() -> str:
    """Why there can be no peers, if so."""
    return "" if found_python312() else "the peers need Python 3.12 or 3.13, and there is none here"


STEPS: Mapping[str, Step] = {
    "zoo": Step(program="zoo.py", lacks=zoo_and_peers),
    "accuracy": Step(program="accuracy.py", lacks=real_models),
    "mobilenet": Step(program="mobilenet.py", lacks=lambda: zoo_and_peers() or real_models()),
    "peers": Step(program="peers.py", lacks=real_models_and_peers),
    "spine": Step(program="spine.py", lacks=real_models, keeps=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Every step, then the documents, then one line for each step; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all unless told otherwise")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "build" / "benchmarks", help="keep what is made here and go on from it"
    )
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.steps if name not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]!r}: {', '.join(STEPS)}")
    os.environ.setdefault("PEERS_HOME", str(arguments.work.resolve() / "environments"))
    ends = {name: end_of(name, arguments.work) for name in arguments.steps or STEPS}
    if "measured" in ends.values():
        run([sys.executable, str(ROOT / "docs" / "generate.py"), *(str(ROOT / name) for name in DOCUMENTS)])
    for name, end in ends.items():
        print(f"{name:10} {end}")
    return 1 if any(end.startswith("failed") for end in ends.values()) else 0


def end_of(name: str, work: Path) -> str:
    """Run a step; in a few words what became of it."""
    step = STEPS[name]
    reason = step.lacks()
    if reason:
        return f"skipped: {reason}"
    folder = work.resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    options = ("--work", str(folder)) if step.keeps else ()
    done = run([sys.executable, str(ROOT / "benchmarks" / step.program), *options])
    return f"failed with status {done.returncode}: {done.stdout[-300:].strip()}" if done.returncode else "measured"


if __name__ == "__main__":
    raise SystemExit(main())
