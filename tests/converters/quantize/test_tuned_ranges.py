"""Ranges of least error tensor by tensor, or whole ones: what is heard at the outputs decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.converters.graph import Graph
from edgekit.converters.quantize.assign import STANDARD, assign
from edgekit.converters.quantize.mend.probe import Probe, held_back
from edgekit.converters.quantize.mend.tuned import tuned
from edgekit.converters.quantize.observe.calibrate import calibrate
from edgekit.converters.quantize.parameters import Quantization
from edgekit.runtimes.onnxruntime import execute

Build = Callable[..., Graph]
Feed = Mapping[str, NDArray[Any]]
DEPTH = 6


def deep(build: Build, *, skewed: float) -> Graph:
    """Layers behind one another whose channels are far apart where `skewed` is large."""
    random = np.random.default_rng(3)
    constants, nodes, last = {}, [], "x"
    for layer in range(DEPTH):
        scales = np.exp(random.normal(size=(8, 1, 1, 1)) * skewed)
        constants[f"w{layer}"] = (random.normal(size=(8, 8, 3, 3)) * scales / 8).astype(np.float32)
        nodes += [
            ("Conv", [last, f"w{layer}"], [f"c{layer}"], {"pads": [1, 1, 1, 1]}),
            ("Relu", [f"c{layer}"], [f"r{layer}"], {}),
        ]
        last = f"r{layer}"
    return build(nodes, inputs={"x": (1, 8, 12, 12)}, outputs=[last], constants=constants)


def feeds(tail: float) -> list[Feed]:
    """Samples with few values far out where `tail` is large."""
    random = np.random.default_rng(7)
    return [
        {"x": (random.normal(size=(1, 8, 12, 12)) * np.exp(random.normal(size=(1, 8, 12, 12)) * tail)).astype(np.float32)}
        for _ in range(12)
    ]


@pytest.mark.parametrize("tail", [0.0, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("skewed", [0.0, 1.0])
def test_the_quieter_ranges_are_taken(build: Build, tail: float, skewed: float) -> None:
    graph, samples = deep(build, skewed=skewed), feeds(tail)
    calibration = calibrate(graph, samples, execute)
    clipped = assign(graph, calibration, scheme="tflite")
    whole = assign(graph, calibration, scheme="tflite", style=replace(STANDARD, clip=False))
    probe = Probe(graph=graph, quantization=clipped, samples=held_back(samples)[1], execute=execute)
    loud = {name: probe.noise(one.activations, one.weights) for name, one in (("clipped", clipped), ("whole", whole))}

    found = tuned(graph, calibration, samples, execute, scheme="tflite")

    heard = probe.noise(found.quantization.activations, found.quantization.weights, graph=found.graph)
    assert heard <= min(loud.values())
    assert scales(found.quantization) in (scales(clipped), scales(whole))
    assert loud["whole"] < loud["clipped"] or scales(found.quantization) == scales(clipped)


def scales(quantization: Quantization) -> Mapping[str, float]:
    """The step of every activation."""
    return {name: float(params.scale[0]) for name, params in quantization.activations.items()}
