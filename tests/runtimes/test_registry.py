"""Runtimes are found by their file names, and among what other packages offer."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from edgekit.core.errors import MissingDependency, NotFound
from edgekit.runtimes import registry


def test_the_shipped_runtimes_are_the_files() -> None:
    assert {"dryrun", "edgetpu", "litert", "onnxruntime", "tensorrt"} <= set(registry.built_in())
    assert registry.built_in() == tuple(sorted(registry.built_in()))
    assert not {"base", "face", "registry"} & set(registry.built_in())
    assert not any(name.startswith("_") for name in registry.names())


def test_a_name_nobody_has_gets_the_nearest_one() -> None:
    with pytest.raises(NotFound, match="no runtime named 'onxruntime'") as caught:
        registry.get("onxruntime")
    assert caught.value.hint == "did you mean 'onnxruntime'?"


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(NotFound) as caught:
        registry.get("zzz")
    assert "litert" in caught.value.hint


@pytest.mark.parametrize("name", ["base", "face", "registry", "_ports", "../litert", "", "dry.run"])
def test_other_files_of_the_folder_are_no_runtimes(name: str) -> None:
    with pytest.raises(NotFound):
        registry.get(name)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the path that offers two runtimes: one works, one does not import."""
    information = tmp_path / "plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[edgekit.runtimes]\nworks = edgekit_plugin:runtime\nbroken = edgekit_broken:runtime\n"
    )
    (tmp_path / "edgekit_plugin.py").write_text("from edgekit.runtimes.dryrun import runtime\n")
    (tmp_path / "edgekit_broken.py").write_text("raise OSError('no such driver')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "edgekit_plugin", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_another_package_s_runtime_is_listed_and_loads(plugin: Path) -> None:
    assert "works" in registry.names()
    assert "works" not in registry.built_in()
    assert registry.get("works").probe().ok


def test_another_package_s_broken_runtime_is_an_error_of_ours_that_names_it(plugin: Path) -> None:
    with pytest.raises(MissingDependency, match=r"'broken' .*no such driver"):
        registry.get("broken")
