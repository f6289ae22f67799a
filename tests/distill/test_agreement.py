"""Weights are kept when they answer more like the source: measured by its own answers, never by a loss alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.conversion.pipeline import source_for
from edgekit.conversion.request import Request
from edgekit.converters.ends import LAYERS
from edgekit.converters.graph import Graph
from edgekit.distill.agreement import agreement_with
from edgekit.models.digits import draw, model_path


@pytest.fixture(scope="module")
def pictures() -> list[dict[str, Any]]:
    images, _ = draw.small_digits(60, seed=3)
    return [{"image": image[None, None].astype(np.float32) / np.float32(255)} for image in images]


def blurred(graph: Graph, share: float) -> Graph:
    """Noise on every kernel, in proportion to its size."""
    rng = np.random.RandomState(0)
    kernels = [node.inputs[1] for node in graph.nodes if node.op in LAYERS]
    noisy = {
        name: graph.constants[name] + share * graph.constants[name].std() * rng.normal(size=graph.shape(name))
        for name in kernels
    }
    return graph.with_nodes(graph.nodes, constants={name: value.astype(np.float32) for name, value in noisy.items()})


def test_a_source_agrees_with_itself_and_less_the_more_it_is_changed(pictures: list[dict[str, Any]]) -> None:
    source = source_for(model_path(), Request())
    agreement = agreement_with(source, pictures)
    assert agreement is not None
    told = [agreement.of(blurred(source.graph, share), threads=1) for share in (0.0, 1.0, 4.0)]
    assert told[0] == 1.0
    assert told[0] >= told[1] > told[2]


def test_what_agrees_less_than_at_the_start_is_not_kept_although_its_loss_is_less() -> None:
    pytest.importorskip("torch", reason="distillation needs PyTorch")
    from edgekit.distill.loop import HeldOut

    begun = HeldOut(loss=0.3, agreement=0.8)
    assert HeldOut(loss=0.2, agreement=0.81).better_than(begun, 0.8)
    assert not HeldOut(loss=0.2, agreement=0.79).better_than(begun, 0.8)
    assert not HeldOut(loss=0.4, agreement=0.9).better_than(begun, 0.8)
    assert HeldOut(loss=0.2, agreement=None).better_than(HeldOut(loss=0.3, agreement=None), None)


def test_without_a_way_to_read_answers_there_is_nothing_to_agree_with(pictures: list[dict[str, Any]]) -> None:
    from dataclasses import replace

    source = replace(source_for(model_path(), Request()), postprocess=None)
    assert agreement_with(source, pictures) is None


def test_boxes_are_agreed_on_by_what_the_source_finds(shared_data: Path) -> None:
    from edgekit.models.persons import model_path as persons

    source = source_for(persons(), Request(calibration=shared_data / "images_coral"))
    agreement = agreement_with(source, list(source.samples or ()))
    assert agreement is not None
    assert agreement.of(source.graph, threads=1) == pytest.approx(1, abs=1e-3)
    assert agreement.of(blurred(source.graph, 2.0), threads=1) < 0.5


def test_a_source_that_finds_nothing_has_no_answers_to_agree_with() -> None:
    from edgekit.models.persons import model_path as persons

    source = source_for(persons(), Request())
    (spec,) = source.graph.inputs
    assert agreement_with(source, [{spec.name: np.zeros(spec.shape, np.float32)}]) is None
