"""What an accelerator would take: an Edge TPU file by the published tables, a TensorRT file by its parser's list."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgekit
from edgekit import artifact as artifacts
from edgekit.core.schema import Artifact
from edgekit.emulate import family_rules
from edgekit.emulate.gate import runtimes_for
from edgekit.models import digits

pytest.importorskip("onnx", reason="converting needs edgekit[convert]")
SAMPLES = Path(digits.__file__).parent / "samples"


def converted(target: str, folder: Path) -> Artifact:
    return artifacts.read(
        edgekit.convert(digits.model_path(), target=target, calibration=SAMPLES, precision="int8", output=folder).path
    )


@pytest.fixture(scope="module")
def coral(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return converted("coral", tmp_path_factory.mktemp("coral"))


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return converted("jetson", tmp_path_factory.mktemp("jetson"))


def test_an_edge_tpu_file_is_checked_by_its_operators_and_runs_in_litert(coral: Artifact) -> None:
    (check,) = family_rules.checks(coral)
    assert check.ok and "11 of 11 operators map onto the Edge TPU" in check.said
    assert runtimes_for(coral) == ("litert",)


def test_a_tensorrt_file_is_checked_by_its_parser_and_runs_in_onnx_runtime(jetson: Artifact) -> None:
    (check,) = family_rules.checks(jetson)
    assert check.ok and "its parser documents all" in check.said, check.said
    assert runtimes_for(jetson) == ("onnxruntime",)


def test_what_runs_on_the_processor_alone_has_no_such_rules() -> None:
    for path in digits.artifacts():
        assert family_rules.checks(artifacts.read(path)) == ()
