"""The script that a card's first boot runs: tried here with packages that were really unpacked and compiled, below another root folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgekit.core.errors import InputError
from edgekit.core.files import sha256_file
from edgekit.deploy.board.layout import INSTALLED, Layout, name_of
from edgekit.deploy.board.receiving import lacking
from edgekit.deploy.push import proposal_of
from edgekit.flash import environment
from edgekit.flash.firstboot import APP_FOLDER
from edgekit.flash.install import Install, files, install_of, release_of
from edgekit.flash.systems import systems
from edgekit.flash.wheelhouse import BOARDS_PYTHON, MANIFEST
from edgekit.models import digits

STAND_INS = ("useradd", "usermod", "systemctl")
"""Programs that change the machine: here they write down what they were asked."""
VERIFY = """
import sys
from pathlib import Path
folder = Path(sys.argv[2])
sys.exit(0 if (folder / "manifest.json").is_file() and not (folder.parents[2] / "refuse").exists() else 4)
"""
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
OWN = next(system for system in systems() if system.python == sys.version_info[:2])
"""A system with this very Python, since the script is run by it."""


@dataclass(frozen=True)
class Card:
    """A boot partition as the board sees it, the root folder that the script fills, and what it is run with."""

    boot: Path
    root: Path
    units: Path
    install: Install
    environment: Mapping[str, str]

    def run(self) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(self.boot / APP_FOLDER / "install.sh")]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)

    @property
    def asked(self) -> str:
        return (self.root.parent / "asked").read_text()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheelhouse with one wheel, which is called edgekit and can verify."""
    folder = tmp_path_factory.mktemp("wheels")
    own = "edgekit-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / own, "w") as archive:
        archive.writestr("edgekit/__init__.py", "def main(): ...")
        archive.writestr("edgekit/__main__.py", VERIFY)
        archive.writestr("edgekit-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: edgekit\nVersion: 0.1.0\n")
        archive.writestr("edgekit-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("edgekit-0.1.0.dist-info/entry_points.txt", "[console_scripts]\nedgekit = edgekit:main\n")
        archive.writestr("edgekit-0.1.0.dist-info/RECORD", "")
    environment.pack([folder / own], OWN, "aarch64", BOARDS_PYTHON, folder / environment.NAME)
    wheel, packed = (
        {"name": name, "sha256": sha256_file(folder / name), "bytes": (folder / name).stat().st_size}
        for name in (own, environment.NAME)
    )
    about = {"device": "rpi5", "system": OWN.name, "python": VERSION, "machine": "aarch64", "requirements": ["edgekit"]}
    (folder / MANIFEST).write_text(json.dumps({**about, "wheels": [wheel], "environment": packed}))
    return folder


@pytest.fixture
def card(tmp_path: Path, wheels: Path) -> Card:
    artifact = next(path for path in digits.artifacts() if path.name.endswith("int8"))
    install = install_of("digits", artifact, wheels, ("--port", "80"))
    boot, root, units, programs = (tmp_path / name for name in ("boot", "opt", "units", "bin"))
    for folder in (boot, units, programs):
        folder.mkdir()
    for name, content in files(install).items():
        target = boot / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    script = boot / APP_FOLDER / "install.sh"
    script.write_text(script.read_text().replace("/opt/edgekit", str(root)).replace("/etc/systemd/system", str(units)))
    script.write_text(script.read_text().replace(f"/usr/bin/python{VERSION}", str(programs / "python")))
    for name in STAND_INS:
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/asked\n')
        (programs / name).chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    return Card(boot=boot, root=root, units=units, install=install, environment=environment)


def test_it_installs_packages_release_and_units_and_switches_to_the_release(card: Card) -> None:
    done = card.run()
    assert done.returncode == 0, done.stderr
    layout = Layout(card.root)
    assert layout.running() == name_of(release_of(card.install)), "the very release that deploying would make"
    assert layout.release(layout.running()).arguments == ("--port", "80")
    assert {path.name for path in card.units.iterdir()} == {"edgekit-app.service", "edgekit-settle.service"}
    assert "systemctl enable edgekit-app.service edgekit-settle.service" in card.asked
    assert (card.root / INSTALLED).exists()
    installed = subprocess.run(
        [card.root / "venv/bin/python", "-c", "import edgekit; print(edgekit.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(card.root) in installed.stdout


def test_packages_come_compiled_for_where_they_will_lie_and_programs_with_the_boards_python(card: Card) -> None:
    assert card.run().returncode == 0
    venv = card.root / "venv"
    assert (venv / "bin/edgekit").read_text().startswith(f"#!{BOARDS_PYTHON}\n")
    (bytecode,) = (venv / f"lib/python{VERSION}/site-packages/edgekit/__pycache__").glob("__main__.*.pyc")
    compiled_here = environment.native_python(VERSION) != ""  # else the board did it, where this card lies
    assert str(BOARDS_PYTHON.parents[1] if compiled_here else venv).encode() in bytecode.read_bytes()


def test_a_board_whose_python_is_another_is_told_so_and_left_as_it_was(card: Card) -> None:
    (card.root.parent / "bin/python").unlink()
    done = card.run()
    assert done.returncode == 1 and "which this system does not have" in done.stderr
    assert not card.root.exists()


def test_wheels_without_the_packed_packages_make_no_card(wheels: Path, tmp_path: Path) -> None:
    described = json.loads((wheels / MANIFEST).read_text())
    del described["environment"]
    (tmp_path / MANIFEST).write_text(json.dumps({**described, "wheels": []}))
    with pytest.raises(InputError, match=r"no environment.tar.gz"):
        install_of("digits", digits.artifacts()[0], tmp_path)


def test_a_deployment_sends_no_file_that_came_with_the_card(card: Card) -> None:
    assert card.run().returncode == 0
    assert card.run().returncode == 0
    proposal = proposal_of(card.install.artifact, release_of(card.install))
    assert len(proposal.parts) > 1
    assert lacking(Layout(card.root), proposal) == ()


def test_it_may_run_again_and_leaves_a_release_that_was_deployed_since(card: Card) -> None:
    assert card.run().returncode == 0
    layout = Layout(card.root)
    (layout.releases / "newer").mkdir()
    layout.point_to("newer")
    before = (card.root / "venv/.done").stat().st_mtime_ns
    assert card.run().returncode == 0
    assert layout.running() == "newer"
    assert (card.root / "venv/.done").stat().st_mtime_ns == before, "what is installed is not installed again"


def test_after_a_cut_it_begins_again_with_what_was_not_finished(card: Card) -> None:
    (card.root / "venv/bin").mkdir(parents=True)
    (card.root / "venv/bin/python").write_text("half of one")
    name = name_of(release_of(card.install))
    (card.root / "releases" / name).mkdir(parents=True)
    assert card.run().returncode == 0
    assert (card.root / "releases" / name / "artifact/manifest.json").is_file()


def test_an_artifact_that_does_not_hold_there_is_not_switched_to(card: Card) -> None:
    card.root.mkdir()
    (card.root / "refuse").touch()
    assert card.run().returncode != 0
    assert not (card.root / INSTALLED).exists(), "so that the next start tries again"
    assert Layout(card.root).running() == ""
    assert Layout(card.root).known() == (), "half a release is none"
