"""What setup.cfg says is what the tree holds: a forgotten folder or data file fails here, not at a user's."""

from __future__ import annotations

from configparser import ConfigParser
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules

import pytest

import edgekit

ROOT = Path(__file__).resolve().parent.parent
NOT_SHIPPED = {".pyc", ".pyo"}

pytestmark = pytest.mark.skipif(not (ROOT / "setup.cfg").is_file(), reason="runs from a checkout")


def _settings() -> ConfigParser:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    return settings


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _mapping() -> dict[str, Path]:
    """Import name -> the folder it is mapped to."""
    pairs = (line.split("=") for line in _lines(_settings()["options"]["package_dir"]))
    return {name.strip(): ROOT / folder.strip() for name, folder in pairs}


def _packages_in_tree() -> list[str]:
    found = []
    for name, folder in _mapping().items():
        for init in folder.rglob("__init__.py"):
            found.append(".".join((name, *init.parent.relative_to(folder).parts)))
    return sorted(found)


def _folder_of(package: str) -> Path:
    prefix = max((name for name in _mapping() if package == name or package.startswith(f"{name}.")), key=len)
    return _mapping()[prefix].joinpath(*package.removeprefix(prefix).strip(".").split("."))


def test_setup_cfg_lists_every_package_of_the_tree_and_no_other() -> None:
    assert sorted(_lines(_settings()["options"]["packages"])) == _packages_in_tree()


def test_every_folder_with_code_is_a_package() -> None:
    bare = {
        str(path.parent.relative_to(ROOT))
        for folder in _mapping().values()
        for path in folder.rglob("*.py")
        if not (path.parent / "__init__.py").is_file()
    }
    assert bare == set()


def _data_files() -> list[tuple[str, str]]:
    """(package, path inside it) of every file that is not code, the nearest enclosing package given."""
    found = []
    for name, folder in _mapping().items():
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix not in {".py", *NOT_SHIPPED} and "__pycache__" not in path.parts:
                home = next(parent for parent in path.parents if (parent / "__init__.py").is_file())
                package = ".".join((name, *home.relative_to(folder).parts))
                found.append((package, str(path.relative_to(home))))
    return sorted(found)


@pytest.mark.parametrize(("package", "name"), _data_files())
def test_data_beside_the_code_is_found_through_the_installed_package(package: str, name: str) -> None:
    found = files(package).joinpath(*Path(name).parts)
    assert found.is_file(), f"{package}: {name} is missing from [options.package_data] in setup.cfg"
    assert found.read_bytes() == (_folder_of(package) / name).read_bytes()


def test_the_installed_modules_are_those_of_the_tree() -> None:
    """After a file was added or removed, `make setup` installs again; a stale link or a stale build shows here."""
    for package in _packages_in_tree():
        here = {info.name for info in iter_modules([str(_folder_of(package))]) if not info.ispkg}
        installed = {info.name for info in iter_modules([str(files(package))]) if not info.ispkg}
        assert here == installed, package


def test_the_extra_all_covers_every_extra_that_running_or_converting_needs() -> None:
    extras = _settings()["options.extras_require"]
    frameworks = {"keras", "sklearn", "torch", "train", "trees"}
    others = {"llama", "mediapipe", "opencv", "supervision", "vectors"}
    # compiled where it is installed; brings an OpenCV that overwrites ours; the last resort; another's data types; large, for few
    named = set(extras) - {"all", "dev"} - frameworks - others
    (line,) = _lines(extras["all"])
    assert set(line.removeprefix("edgekit[").removesuffix("]").split(",")) == named


def test_every_extra_that_an_error_names_exists() -> None:
    from edgekit.core.optional import EXTRAS

    extras = set(_settings()["options.extras_require"])
    assert {extra for extra in EXTRAS.values() if extra} <= extras


def test_the_version_is_the_one_installed() -> None:
    from importlib.metadata import version

    assert version("edgekit") == edgekit.__version__


def test_the_checkout_is_not_importable_under_its_folder_names() -> None:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", "import edge"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "import 'edgekit', not 'edge'" in done.stderr
