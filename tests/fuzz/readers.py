"""A long fuzz of the readers of what comes from outside, with atheris (coverage-guided): `make fuzz`, or by hand

    python tests/fuzz/readers.py artifact|profile [SECONDS]

An EdgekitError is an answer; anything else is a find, and atheris keeps the input in the current folder.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "builders"))
with atheris.instrument_imports(include=["edgekit", "msgspec", "yaml"]):
    from tiny import tiny_artifact

    from edgekit import artifact
    from edgekit.core import profiles
    from edgekit.core.errors import EdgekitError

SECONDS = 300


def artifact_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever stands in the manifest of an artifact that is otherwise whole."""
    made = tiny_artifact(folder, "onnx").path

    def read(data: bytes) -> object:
        (made / artifact.MANIFEST).write_bytes(data)
        return artifact.read(made)

    return read


def profile_reader(folder: Path) -> Callable[[bytes], object]:
    """Whatever stands in a hardware profile."""
    file = folder / "mine.yaml"

    def read(data: bytes) -> object:
        file.write_bytes(data)
        return profiles.read(file)

    return read


READERS = {"artifact": artifact_reader, "profile": profile_reader}


def main(name: str, seconds: int) -> None:
    """Fuzz one reader, from the real files as a beginning."""
    folder = Path(tempfile.mkdtemp())
    seeds = folder / "seeds"
    seeds.mkdir()
    for index, path in enumerate((*profiles.shipped_folder().glob("*.yaml"), *Path("edge/models").glob("**/manifest.json"))):
        if (path.suffix == ".json") == (name == "artifact"):
            (seeds / str(index)).write_bytes(path.read_bytes())
    read = READERS[name](folder)

    def one(data: bytes) -> None:
        try:
            read(data)
        except EdgekitError as error:
            assert error.message

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS)
