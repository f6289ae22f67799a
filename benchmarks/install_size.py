"""How much disk a fresh `pip install edgekit[convert]` takes. Writes results/install_size.json."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import ROOT, conditions, run, write


def main() -> int:
    """Install into two new environments, count what that added."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = {name: installed(Path(folder) / name, wanted) for name, wanted in (("convert", "[convert]"), ("core", ""))}
    write("install_size", {"conditions": conditions("edgekit"), "bytes": sizes["convert"], "core_bytes": sizes["core"]})
    return 0


def installed(venv: Path, extras: str) -> int:
    """Bytes that installing edgekit with these extras adds to an empty environment, compiled modules included."""
    run([sys.executable, "-m", "venv", str(venv)])
    before = size(venv)
    done = run([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{built_wheel(venv.parent)}{extras}"])
    if done.returncode:
        raise SystemExit("pip failed")
    return size(venv) - before


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout's HEAD, built from a clean clone."""
    if not list(folder.glob("*.whl")):
        run(["git", "clone", "--quiet", str(ROOT), str(folder / "clone")])
        run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(folder / "clone")])
    return next(folder.glob("*.whl"))


def size(folder: Path) -> int:
    """Bytes of all files in a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    raise SystemExit(main())
