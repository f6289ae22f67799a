"""Set-up on a stranger's machine: which Python is taken, and the sentence when there is none that will do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FINDER = Path(__file__).resolve().parent.parent / ".ci" / "find-python"
pytestmark = pytest.mark.skipif(not FINDER.is_file(), reason="runs from a checkout")

NO_ENSUREPIP = "import sys; sys.modules['ensurepip'] = None"
OLD = "import sys; sys.version_info = (3, 9, 2)"


def _find(folder: Path, *versions: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder), "HOME": str(folder)}
    return subprocess.run([str(FINDER), *versions], env=environment, capture_output=True, text=True, check=False)


def _python(folder: Path, name: str, first: str = "") -> None:
    """A `name` that is this Python, told something `first`."""
    script = folder / name
    script.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && exec {sys.executable} "$1"\nexec {sys.executable} "$1" "{first or "pass"}\n$2"\n'
    )
    script.chmod(0o755)


def test_a_python_that_fits_is_taken(tmp_path: Path) -> None:
    _python(tmp_path, "python3")
    found = _find(tmp_path)
    assert found.returncode == 0
    assert Path(found.stdout.strip()).samefile(Path(sys.executable).resolve())


def test_a_second_one_is_taken_when_the_first_cannot_make_environments(tmp_path: Path) -> None:
    _python(tmp_path, "python3", NO_ENSUREPIP)
    _python(tmp_path, "python3.11")
    assert _find(tmp_path).returncode == 0


def test_a_python_without_venv_names_the_package_that_has_it(tmp_path: Path) -> None:
    _python(tmp_path, "python3", NO_ENSUREPIP)
    found = _find(tmp_path)
    assert found.returncode == 1
    assert found.stdout == ""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found.stderr.endswith(f"(no venv or ensurepip)\n  try: sudo apt install python{version}-venv\n")


def test_only_an_old_python_is_said_with_the_versions_that_fit(tmp_path: Path) -> None:
    _python(tmp_path, "python3", OLD)
    found = _find(tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith("error: edgekit needs Python 3.10 to 3.13; found Python 3.")


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    found = _find(tmp_path)
    assert found.returncode == 1
    assert "found no Python 3 at all" in found.stderr
    assert "try: sudo apt install python3 python3-venv" in found.stderr


def test_asked_for_versions_it_leaves_out_those_that_are_not_here(tmp_path: Path) -> None:
    _python(tmp_path, "python3.12")
    found = _find(tmp_path, "3.10", "3.12")
    assert found.stdout.count("\n") == 1
    assert found.stderr == "python3.10 is not here; left out\n"
