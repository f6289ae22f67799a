"""A source model made ready: imported, cleaned, its use recognised, its calibration samples at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from edgekit.converters.graph import Array, Graph
from edgekit.converters.graph_onnx import to_bytes
from edgekit.converters.importers.base import Imported
from edgekit.converters.optimise import optimise
from edgekit.converters.prune import PruneReport
from edgekit.converters.quantize.assign import assign
from edgekit.converters.quantize.channels.equalise import equalise
from edgekit.converters.quantize.channels.reach import Spread, last_reaches, spreads
from edgekit.converters.quantize.channels.smooth import smooth
from edgekit.converters.quantize.mend.probe import LOOKED_AT, Probe
from edgekit.converters.quantize.observe.calibrate import ENOUGH, FEW, calibrate
from edgekit.converters.quantize.observe.calibration import Calibration
from edgekit.converters.quantize.parameters import Quantization, QuantParams
from edgekit.converters.quantize.recorded.grids import reals
from edgekit.converters.quantize.recorded.undress import undress, with_ranges
from edgekit.core.files import sha256_bytes
from edgekit.core.progress import Event, Progress, silent, staged
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.formats import Effort, Run, import_model, source_run
from edgekit.parity import Golden, golden_of, parity, synthetic_samples
from edgekit.runtimes.onnxruntime import execute, simulate
from edgekit.tasks.calibration.samples import calibration_samples
from edgekit.tasks.data.datasets import Dataset
from edgekit.tasks.evaluate import Examinee, Score, evaluate
from edgekit.tasks.use import overridden, use_by_shape
from edgekit.verify import judging_data

Feed = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class SourceModel:
    """What every target's conversion of one model shares. Calibrations are kept by graph, since targets share graphs."""

    path: Path
    imported: Imported
    graph: Graph
    preprocess: Preprocess | None
    postprocess: Postprocess | None
    samples: Iterable[Feed] | None
    pruned: PruneReport | None = None
    """What was taken out of `graph` before anything else, when the user asked for it."""
    recorded: Mapping[str, QuantParams] = field(default_factory=dict)
    """Grids of a source that came quantized, by tensor of `graph`; empty when it came in float."""
    _calibrations: dict[str, Calibration] = field(default_factory=dict)
    _equalised: dict[str, Graph] = field(default_factory=dict)
    _scores: dict[Path, Score] = field(default_factory=dict)
    _data: dict[Path, Dataset] = field(default_factory=dict)

    @cached_property
    def run(self) -> Run:
        """The model file itself, as it came, in its own engine: what accuracy is compared with."""
        return source_run(self.path, self.imported)

    def reference(self, effort: Effort = "all") -> Run:
        """What every artifact must agree with: the file itself, or what pruning left of it."""
        if self.pruned is not None:
            return execute(to_bytes(self.graph), optimisation=effort)
        return self.run if effort == "all" else source_run(self.path, self.imported, effort)

    @property
    def asked(self) -> Iterable[Feed]:
        """Calibration samples, or seeded ones when there are none."""
        return self.samples if self.samples is not None else synthetic_samples(self.graph.inputs, self.preprocess)

    @cached_property
    def golden(self) -> Golden:
        """Samples with the reference's own answers."""
        return golden_of(self.reference(), self.asked)

    @property
    def calibratable(self) -> bool:
        """Whether ranges can be known: from samples, or because the source records its own."""
        return self.samples is not None or bool(self.recorded)

    @cached_property
    def examinee(self) -> Examinee:
        """The model, to be judged on data."""
        graph = self.imported.graph
        return Examinee(
            run=self.run, inputs=graph.inputs, outputs=graph.outputs, preprocess=self.preprocess, postprocess=self.postprocess
        )

    @cached_property
    def rounding(self) -> float:
        """How far the reference's own engine is from itself with its optimisations off: what the order of sums is worth."""
        return parity(self.golden, self.reference("none"), "fp32").value

    def score(self, labelled: Path, progress: Progress = silent) -> Score:
        """The model's own task metric on labelled data; measured once."""
        if labelled not in self._scores:
            shown = staged(progress, f"evaluate {self.path.name}")
            self._scores[labelled] = evaluate(self.examinee, self.data(labelled), progress=shown)
        return self._scores[labelled]

    def data(self, path: Path) -> Dataset:
        """The data to judge on; pictures without labels get this model's own answers for the truth. Opened once."""
        if path not in self._data:
            self._data[path] = judging_data(path, self.examinee)
        return self._data[path]

    def calibrated(self, graph: Graph, progress: Progress = silent) -> Calibration:
        """The calibration of `graph` (a form of this model) on the samples; measured once per distinct graph.

        A source that came quantized has its own ranges; those of what lies between are measured, without samples on seeded inputs.
        """
        key = sha256_bytes(to_bytes(graph))
        if key not in self._calibrations:
            found = calibrate(graph, self.asked if self.recorded else self.samples or (), execute, progress=progress)
            own = {name: reals(params) for name, params in self.recorded.items()}
            self._calibrations[key] = with_ranges(found, own) if own else found
        return self._calibrations[key]

    def equalised(self, progress: Progress = silent) -> Graph:
        """The cleaned graph with its channels brought to like size and smoothed: what every integer dialect starts from. Found once per graph.

        A source with ranges of its own stays as it is, for they hold for its channels as they are.
        """
        if self.recorded:
            return self.graph
        key = sha256_bytes(to_bytes(self.graph))
        if key not in self._equalised:
            even = equalise(self.graph, self._spreads(progress), self._noises(progress)).graph
            self._equalised[key] = self._smoothed(even, progress)
        return self._equalised[key]

    def _smoothed(self, graph: Graph, progress: Progress) -> Graph:
        """The graph with what normalisations give smoothed, where the outputs gain by it."""

        def noise_of(candidate: Graph) -> float:
            few = tuple(islice(self.samples or (), FEW))
            found = assign(candidate, calibrate(candidate, few, execute, progress=progress, whole=False), scheme="tflite")
            return self.probe(candidate, found).noise(found.activations, found.weights)

        few = tuple(islice(self.samples or (), FEW))
        return smooth(graph, lambda names: last_reaches(graph, names, few, execute), noise_of).graph

    def _spreads(self, progress: Progress) -> Callable[[Sequence[str]], Mapping[str, Spread]]:
        """How the channels of tensors spread over the samples, as many as tell that."""
        some = tuple(islice(self.samples or (), ENOUGH))
        return lambda names: spreads(self.graph, names, some, execute, progress=progress)

    def _noises(self, progress: Progress) -> Callable[[Sequence[tuple[str, str]]], Sequence[float]]:
        """What rounding a few tensors does, for each of several pairs. Ranges of a few samples tell that."""

        def noises_of(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            few, asked = tuple(islice(self.samples or (), FEW)), frozenset(chain.from_iterable(pairs))
            calibration = calibrate(self.graph, few, execute, progress=progress, whole=False, counted=asked)
            probe = self.probe(self.graph, assign(self.graph, calibration, scheme="tflite", searched=asked))
            return [probe.noise_of(pair) for pair in pairs]

        return noises_of

    def probe(self, graph: Graph, quantization: Quantization) -> Probe:
        """Ears at the heads of `graph` (a form of this model) for what a quantization does."""
        few = tuple(islice(self.samples or (), LOOKED_AT))
        return Probe(graph=graph, quantization=quantization, samples=few, execute=simulate)


def open_source(
    path: Path,
    *,
    input_shapes: Mapping[str, tuple[int, ...]],
    preprocess: Mapping[str, Any],
    calibration: Any,
    limit: int,
    progress: Progress = silent,
) -> SourceModel:
    """Import and clean a model file; `calibration` is anything that `calibration_samples` takes, or None."""
    progress(Event(stage=f"import {path.name}"))
    return source_of(path, import_model(path, input_shapes), preprocess=preprocess, calibration=calibration, limit=limit)


def source_of(path: Path, imported: Imported, *, preprocess: Mapping[str, Any], calibration: Any, limit: int) -> SourceModel:
    """Clean what was imported. `path` names it, and is the file itself unless `imported.model` stands for it."""
    picture, answer = use_of(imported, preprocess)
    samples = calibration_samples(calibration, picture, imported.graph.inputs, limit=limit) if calibration is not None else None
    bare = undress(imported.graph)
    return SourceModel(
        path=path,
        imported=imported,
        graph=optimise(bare.graph),
        preprocess=picture,
        postprocess=answer,
        samples=samples,
        recorded=bare.grids,
    )


def use_of(imported: Imported, overrides: Mapping[str, Any]) -> tuple[Preprocess | None, Postprocess | None]:
    """How pictures go in and answers come out: what the model says, else what its outputs look like, with the user's changes."""
    graph = imported.graph
    if imported.preprocess is None and imported.postprocess is None:
        return use_by_shape(graph.inputs, graph.outputs, overrides, imported.labels)
    return overridden(imported.preprocess, graph.inputs, overrides), imported.postprocess
