"""Boards for deploying to: a folder, a stand-in for systemctl, and an app of another package that behaves as its artifact is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from boards import APP, MakeBoard, MakeNamed, Place, executable, free_port

from edgekit import artifact as artifacts
from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import Layout
from edgekit.deploy.board.units import units
from edgekit.models import digits

BUILDERS = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other package, as installed: a module, and metadata with its entry point."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "sentinel_app.py").write_text(APP)
    info = folder / "sentinel-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sentinel\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgekit.apps]\nsentinel = sentinel_app\n")
    return folder


@pytest.fixture
def make_board(tmp_path: Path, sentinel: Path) -> Iterator[MakeBoard]:
    """Boards by name; their services end with the test. A `whole` one runs `edgekit run`, others an app that starts at once."""
    made: list[Place] = []

    def make(name: str, *, whole: bool = False) -> Place:
        root, services, programs = (tmp_path / name / part for part in ("edgekit", "services", "bin"))
        (root / "venv/bin").mkdir(parents=True)
        services.mkdir()
        programs.mkdir()
        quick = f'[ "$2" != edgekit.deploy.board.start ] || exec {sys.executable} -S -E {BUILDERS / "quick_app.py"} "$3"\n'
        python = f'PYTHONPATH={sentinel} exec {sys.executable} "$@"'
        executable(root / "venv/bin/python", python if whole else quick + python)
        executable(programs / "systemctl", f'exec sh {BUILDERS / "systemctl.sh"} {services} "$@"')
        for unit, text in units(root).items():
            (services / unit).write_text(text)
        made.append(Place(layout=Layout(root), services=services, port=free_port(), path=f"{programs}:{os.environ['PATH']}"))
        return made[-1]

    yield make
    for place in made:
        subprocess.run(["systemctl", "stop", "edgekit-app.service"], env={**os.environ, "PATH": place.path}, check=True)


@pytest.fixture
def board(make_board: MakeBoard, monkeypatch: pytest.MonkeyPatch) -> Place:
    """One board, which this process is on."""
    place = make_board("board")
    monkeypatch.setenv("PATH", place.path)
    return place


@pytest.fixture
def whole_board(make_board: MakeBoard, monkeypatch: pytest.MonkeyPatch) -> Place:
    """One whose service is edgekit's own, with an app of another package."""
    place = make_board("board", whole=True)
    monkeypatch.setenv("PATH", place.path)
    return place


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeNamed:
    """Copies of a shipped artifact under other names, which is what the app of these tests goes by."""

    def make(name: str, folder: str = "") -> Artifact:
        shipped = next(path for path in digits.artifacts() if path.name.endswith("int8"))
        place = shutil.copytree(shipped, tmp_path / "made" / (folder or name))
        manifest = msgspec.structs.replace(artifacts.read(place).manifest, name=name)
        (place / artifacts.MANIFEST).write_bytes(artifacts.encode(manifest))
        return artifacts.read(place)

    return make
