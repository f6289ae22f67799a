"""A GGUF file, alone or in an artifact, is looked into without any engine, and without onnx."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="a GGUF file is written with the package gguf")

from tiny_language import tiny_gguf

from edgekit.cli import main
from edgekit.core.errors import InputError, NotFound
from edgekit.inspect_language import inspect_language, is_language


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf")


def test_a_language_model_says_its_shape_memory_and_speed_on_a_board(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model), "--target", "rpi5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"] == [] and found["params"] > 0
    language = found["language"]
    assert language["architecture"] == "llama" and language["fits"] is True and language["tokens_per_s"] > 0
    assert language["need"]["total"] == found["memory_bytes"]


def test_the_page_says_whether_it_fits(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model), "-t", "rpi5"]) == 0
    page = capsys.readouterr().out
    assert "fits rpi5" in page and "tokens/s" in page and "bits each" in page


def test_a_file_that_only_claims_to_be_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_text("<html>not found</html>")
    assert is_language(tmp_path / "page.gguf")
    with pytest.raises(InputError, match=r"page\.gguf"):
        inspect_language(tmp_path / "page.gguf")


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"none\.gguf"):
        inspect_language(tmp_path / "none.gguf")
