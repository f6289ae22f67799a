"""Wheels for a board that is not this machine: pip itself chooses among wheels made here, of which some fit and some do not."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgekit.cli import main
from edgekit.core import profiles
from edgekit.core.errors import InputError, NotFound, Unsupported
from edgekit.flash import source
from edgekit.flash.systems import platforms, system_of, systems
from edgekit.flash.wheelhouse import MANIFEST, Where, make, read

PI = profiles.find("rpi5")


def wheel(folder: Path, name: str, tags: str = "py3-none-any", version: str = "1.0", requires: tuple[str, ...] = ()) -> Path:
    """A wheel with nothing in it but its name and what it needs."""
    file = folder / f"{name.replace('-', '_')}-{version}-{tags}.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    wheel(folder, "pip", version="26.0")
    wheel(folder, "enginelib", "cp313-cp313-manylinux_2_28_aarch64")
    wheel(folder, "enginelib", "cp313-cp313-manylinux_2_28_x86_64")
    wheel(folder, "enginelib", "cp311-cp311-manylinux_2_28_aarch64")
    wheel(folder, "newlib", "cp313-cp313-manylinux_2_39_aarch64")
    wheel(folder, "pc-only", "cp313-cp313-manylinux_2_28_x86_64")
    wheel(folder, "llama-cpp-python", "py3-none-manylinux_2_28_x86_64")
    return folder


def own(folder: Path, *requires: str) -> Path:
    return wheel(folder, "edgekit", version="0.1.0", requires=requires)


def test_the_wheels_of_the_boards_python_and_machine_are_taken(index: Path, tmp_path: Path) -> None:
    where = Where(find_links=(str(index),), no_index=True)
    made = make(PI, tmp_path / "out", system="trixie", edgekit_wheel=own(tmp_path, "enginelib"), where=where)
    assert [each.name for each in made.wheels] == [
        "edgekit-0.1.0-py3-none-any.whl",
        "enginelib-1.0-cp313-cp313-manylinux_2_28_aarch64.whl",
        "pip-26.0-py3-none-any.whl",
    ]
    assert (made.python, made.machine) == ("3.13", "aarch64")
    assert read(tmp_path / "out") == made


def test_another_system_gets_another_wheel(index: Path, tmp_path: Path) -> None:
    where = Where(find_links=(str(index),), no_index=True)
    made = make(PI, tmp_path / "out", system="bookworm", edgekit_wheel=own(tmp_path, "enginelib"), where=where)
    assert "enginelib-1.0-cp311-cp311-manylinux_2_28_aarch64.whl" in [each.name for each in made.wheels]


def test_every_package_without_a_wheel_is_named_with_what_to_do_and_nothing_is_left(index: Path, tmp_path: Path) -> None:
    where = Where(find_links=(str(index),), no_index=True)
    wanted = ("pc-only", "llama-cpp-python", "enginelib")
    with pytest.raises(Unsupported, match=r"aarch64, Python 3.13, Debian 13: .*pc-only.*llama-cpp-python") as refusal:
        make(PI, tmp_path / "out", system="trixie", edgekit_wheel=own(tmp_path), packages=wanted, where=where)
    assert "xllamacpp" in refusal.value.hint and "pc-only: build one" in refusal.value.hint
    assert "enginelib" not in refusal.value.message
    assert not (tmp_path / "out").exists()


BACKEND = """
import zipfile
NAME, TAG = "{name}", "{tag}"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    file = f"{{NAME}}-1.0-{{TAG}}.whl"
    with zipfile.ZipFile(f"{{folder}}/{{file}}", "w") as archive:
        archive.writestr(f"{{NAME}}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: 1.0\\n")
        archive.writestr(f"{{NAME}}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {{TAG}}\\n")
        archive.writestr(f"{{NAME}}-1.0.dist-info/RECORD", "")
    return file
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def source_of(folder: Path, name: str, tag: str = "py3-none-any", **more: str) -> Path:
    """A package's source, which builds itself, and needs nothing for that."""
    texts = {"pyproject.toml": PROJECT, "backend.py": BACKEND.format(name=name, tag=tag), **more}
    texts["PKG-INFO"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    file = folder / f"{name}-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for path, text in texts.items():
            info = tarfile.TarInfo(f"{name}-1.0/{path}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return file


def test_what_is_published_as_source_alone_with_nothing_to_compile_is_built_here(index: Path, tmp_path: Path) -> None:
    source_of(index, "plain")
    where = Where(find_links=(str(index),), no_index=True)
    needs = own(tmp_path, "plain", "enginelib")
    made = make(PI, tmp_path / "out", system="trixie", edgekit_wheel=needs, where=where)
    assert {"plain-1.0-py3-none-any.whl", "enginelib-1.0-cp313-cp313-manylinux_2_28_aarch64.whl"} <= {
        each.name for each in made.wheels
    }


def test_what_has_something_to_compile_or_builds_for_this_machine_alone_is_not_taken(tmp_path: Path) -> None:
    source_of(tmp_path, "compiled", **{"core.c": "int main() {}"})
    source_of(tmp_path, "native", tag="cp313-cp313-linux_x86_64")
    where = Where(find_links=(str(tmp_path),), no_index=True)
    assert source.built(("compiled", "native", "absent"), tmp_path / "out", where.options) == ()
    assert not list((tmp_path / "out").glob("*.whl"))


def test_a_wheel_for_a_newer_c_library_does_not_fit(index: Path, tmp_path: Path) -> None:
    where = Where(find_links=(str(index),), no_index=True)
    jammy = "jammy"
    wheel(index, "newlib", "cp310-cp310-manylinux_2_39_aarch64")
    with pytest.raises(Unsupported, match="newlib"):
        make(PI, tmp_path / "out", system=jammy, edgekit_wheel=own(tmp_path, "newlib"), where=where)
    made = make(PI, tmp_path / "out", system="trixie", edgekit_wheel=own(tmp_path, "newlib"), where=where)
    assert any(each.name.startswith("newlib") for each in made.wheels)


def test_a_wheel_that_changed_since_is_refused(index: Path, tmp_path: Path) -> None:
    where = Where(find_links=(str(index),), no_index=True)
    make(PI, tmp_path / "out", system="trixie", edgekit_wheel=own(tmp_path), where=where)
    (tmp_path / "out" / "pip-26.0-py3-none-any.whl").write_bytes(b"another")
    with pytest.raises(InputError, match="is not the one that was put there"):
        read(tmp_path / "out")
    (tmp_path / "out" / "pip-26.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match="is not in"):
        read(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "out")
    with pytest.raises(NotFound, match="no wheelhouse"):
        read(tmp_path)


# Systems


def test_a_jetsons_system_is_in_its_profile_a_pis_is_asked_for() -> None:
    assert system_of(profiles.find("jetson-orin-nano")).name == "jammy"
    with pytest.raises(InputError, match="not in its profile") as refusal:
        system_of(PI)
    assert "bookworm (Debian 12)" in refusal.value.hint
    with pytest.raises(NotFound, match="trixy") as unknown:
        system_of(PI, "trixy")
    assert "trixie" in unknown.value.hint


def test_a_python_too_old_for_edgekit_is_said_at_once() -> None:
    with pytest.raises(Unsupported, match=r"Ubuntu 18.04 comes with Python 3.6, edgekit needs 3.10"):
        system_of(profiles.find("jetson-nano"))


@pytest.mark.parametrize("system", systems(), ids=lambda system: system.name)
def test_platform_tags_begin_at_the_systems_own_c_library_and_end_at_the_oldest(system: object) -> None:
    from edgekit.flash.systems import System

    assert isinstance(system, System)
    tags = platforms(system, "aarch64")
    assert tags[0] == f"manylinux_{system.glibc[0]}_{system.glibc[1]}_aarch64"
    assert tags[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")


def test_the_command_says_what_it_downloaded(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["wheelhouse", "-t", "rpi5", "--system", "trixie", "--no-index", "--find-links", str(index), "--json"]
    command += ["--edgekit", str(own(tmp_path)), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["system"] == "trixie" and len(said["wheels"]) == 2
    assert main(command) == 1, "a folder that is there is not replaced unasked"
