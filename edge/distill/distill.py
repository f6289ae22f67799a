"""Prune and teach: the source is cut down, then what is left learns to do what the whole did, on unlabelled pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.conversion.source import SourceModel, open_source
from edgekit.converters.cost import graph_cost
from edgekit.converters.graph import Graph
from edgekit.converters.graph_onnx import to_model
from edgekit.converters.importers.onnx.file import METADATA_KEY
from edgekit.converters.prune import prune
from edgekit.converters.prune.rounds import Gradients
from edgekit.core.errors import ConversionError, InputError, UsageError
from edgekit.core.files import ensure_free, ensure_writable, sha256_bytes, write_atomically
from edgekit.core.optional import need
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Value
from edgekit.distill import checkpoint
from edgekit.distill.agreement import agreement_with
from edgekit.distill.compare import Latency, accuracy_of, latencies
from edgekit.distill.device import chosen
from edgekit.distill.loop import Epoch, Trainer, train
from edgekit.distill.match import matches
from edgekit.distill.pictures import Feed, Samples, prepared
from edgekit.distill.settings import Settings, checked
from edgekit.distill.taylor import taylor
from edgekit.runtimes.onnxruntime import execute

MEASURED_ON = 128
"""Samples that pruning itself looks at; more tell it little."""
SAME = 1e-3
"""How far PyTorch may be from ONNX Runtime on the source, relative to its largest output (or to this), for training to make sense."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for. Either `share` (prune the model first) or `source` (the model was pruned elsewhere)."""

    model: Path
    data: Any
    out: Path
    share: float | None = None
    source: Path | None = None
    evaluate: Path | None = None
    limit: int = 2000
    settings: Settings = field(default_factory=Settings)
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    minutes: float = math.inf
    """No epoch is begun after so many."""
    resume: bool = False
    force: bool = False
    bench_s: float = 2.0


class Accuracies(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The task metric on the labelled data: before, right after pruning, after training."""

    metric: str
    source: float
    pruned: float
    distilled: float
    samples: int


class Distilled(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that a distillation found out."""

    out: str
    sha256: str
    macs_before: int
    macs_after: int
    params_before: int
    params_after: int
    pruning: str
    pictures: int
    batch: int
    kept_epoch: int
    loss_before: float
    loss_after: float
    agreement_before: float | None
    """With the source's own answers on the pictures held out; None where it is not known how they are read."""
    agreement_after: float | None
    accuracy: Accuracies | None
    latency: tuple[Latency, ...]
    settings: Settings
    history: tuple[Epoch, ...]
    notes: tuple[str, ...]


def distill(request: Request, progress: Progress = silent) -> Distilled:
    """Prune, train, export, compare; writes `request.out` and, after every epoch, a checkpoint beside it.

    No label is read in training; the epoch that is kept is chosen on pictures held out, by how far they are from the source's
    answers. Raises `InputError` for data or a checkpoint that do not fit, `Unsupported` naming an operator that cannot be trained,
    `MissingDependency` without PyTorch.
    """
    need("torch")
    settings = checked(request.settings)
    if (request.share is None) == (request.source is None):
        raise UsageError("either prune a model or name the source it was pruned from", "--prune 30%, or --source ORIGINAL.onnx")
    ensure_free(request.out, replace=request.force or request.resume)
    ensure_writable(request.out.parent)
    source = _opened(request, progress)
    with prepared(source.samples or (), source.graph.inputs, request.limit, progress) as samples:
        return _taught(request, settings, source, samples, progress)


def _opened(request: Request, progress: Progress) -> SourceModel:
    return open_source(
        request.source or request.model,
        input_shapes=request.input_shapes,
        preprocess=request.preprocess,
        calibration=request.data,
        limit=request.limit,
        progress=progress,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Start:
    """A pruned graph, the channels it kept, a sentence about it, and the run to go on with, if there is one."""

    graph: Graph
    kept: Mapping[str, NDArray[np.int64]]
    said: str
    begun: checkpoint.Begun | None = None


def _taught(request: Request, settings: Settings, source: SourceModel, samples: Samples, progress: Progress) -> Distilled:
    order = checkpoint.Order(
        source_sha256=source.imported.source.sha256,
        data_sha256=sha256_bytes(
            b"".join(np.ascontiguousarray(samples.arrays[name]).tobytes() for name in sorted(samples.arrays))
        ),
        share=request.share,
        settings=msgspec.json.encode(msgspec.structs.replace(settings, threads=1, device="auto")).decode(),
    )
    path = checkpoint.checkpoint_path(request.out)
    if path.exists() and not request.resume and not request.force:
        raise InputError(f"{str(path)!r} already holds a run", "--resume to go on with it, or --force to begin again")
    start = _resumed(path, order) if request.resume else _started(request, source, samples, progress)
    _same_in_torch(source, samples)
    found = matches(source.graph, start.graph, start.kept, settings.features)
    trainer = Trainer(source.graph, start.graph, found, samples, settings, lambda feeds: agreement_with(source, feeds))
    if start.begun is not None and start.begun.history:
        _restore(trainer, start.begun, path)
    else:
        checkpoint.save(path, order, trainer, start.kept, start.said)
    train(trainer, lambda epoch: checkpoint.save(path, order, trainer, start.kept, start.said), progress, request.minutes)
    return _finished(request, source, samples, start, trainer, progress)


def _started(request: Request, source: SourceModel, samples: Samples, progress: Progress) -> _Start:
    """Prune the source, or take the graph that was pruned elsewhere."""
    if request.share is None:
        given = open_source(request.model, input_shapes=request.input_shapes, preprocess={}, calibration=None, limit=1)
        return _Start(graph=given.graph, kept={}, said=f"pruned elsewhere: {request.model.name}")
    settings = request.settings
    pruned = prune(
        source.graph,
        share=request.share,
        samples=_Some(samples),
        execute=execute,
        multiple=settings.multiple,
        importance=settings.importance,
        gradients=_gradients(source, samples, settings, progress) if settings.importance == "taylor" else None,
        progress=progress,
    )
    return _Start(graph=pruned.graph, kept=pruned.kept, said=pruned.report.sentence())


def _gradients(source: SourceModel, samples: Samples, settings: Settings, progress: Progress) -> Gradients:
    device = chosen(settings.device)
    return lambda read: taylor(source.graph, read, _Some(samples), device=device, progress=progress)


class _Some:
    """At most `MEASURED_ON` of the samples, evenly spread, as often as wanted."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return min(self._samples.count, MEASURED_ON)

    def __iter__(self) -> Iterator[Feed]:
        for place in np.linspace(0, self._samples.count - 1, len(self)).astype(np.int64):
            yield self._samples.single(int(place))


def _resumed(path: Path, order: checkpoint.Order) -> _Start:
    begun = checkpoint.load(path, order)
    return _Start(graph=begun.pruned, kept=begun.kept, said=begun.report, begun=begun)


def _restore(trainer: Trainer, begun: checkpoint.Begun, path: Path) -> None:
    try:
        trainer.restore(begun.state, begun.history)
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as exc:
        raise InputError(f"{str(path)!r} holds weights of another graph", checkpoint.HINT) from exc


def _same_in_torch(source: SourceModel, samples: Samples) -> None:
    """Raise `ConversionError` unless PyTorch computes the source as ONNX Runtime does."""
    from edgekit.gradients.interpreter import torch_graph

    torch = need("torch")
    feed = samples.single(0)
    with torch.no_grad():
        made = torch_graph(source.graph, trained=False).run(
            {name: torch.from_numpy(np.array(value)) for name, value in feed.items()}
        )
    for name, right in execute(onnx_bytes(source.graph))(feed).items():
        largest = float(np.abs(made[name].numpy().astype(np.float64) - right).max(initial=0))
        if not largest <= SAME * max(float(np.abs(right).max(initial=0)), SAME):
            raise ConversionError(f"in PyTorch {name!r} differs by {largest:.2g} from ONNX Runtime", "please report this model")


def _finished(
    request: Request, source: SourceModel, samples: Samples, start: _Start, trainer: Trainer, progress: Progress
) -> Distilled:
    """Write the result, then measure what it is worth."""
    graph = trainer.kept()
    data = onnx_bytes(graph, source)
    write_atomically(request.out, data)
    progress(Event(stage="compare"))
    timed, notes = ((), ()) if request.bench_s <= 0 else _timed(request, source, progress)
    old, new = graph_cost(source.graph), graph_cost(graph)
    return Distilled(
        out=str(request.out),
        sha256=sha256_bytes(data),
        macs_before=old.macs,
        macs_after=new.macs,
        params_before=old.params,
        params_after=new.params,
        pruning=start.said,
        pictures=samples.count,
        batch=trainer.batch,
        kept_epoch=trainer.best_epoch,
        loss_before=trainer.before.loss,
        loss_after=trainer.best_score.loss,
        agreement_before=trainer.before.agreement,
        agreement_after=trainer.best_score.agreement,
        accuracy=_accuracies(request, source, start.graph, graph, progress),
        latency=timed,
        settings=trainer.settings,
        history=trainer.history,
        notes=(*notes, *_notes(trainer)),
    )


def _notes(trainer: Trainer) -> Iterator[str]:
    """What did not go as it was asked."""
    done, asked = len(trainer.history), trainer.settings.epochs
    if done < asked:
        yield f"stopped after {done} of {asked} epochs: --resume goes on"
    if trainer.best_epoch == 0:
        yield "no epoch was better than the pruned model as it was: that one is written"
    if trainer.batch != trainer.settings.batch:
        yield f"this graph takes one picture at a time: trained in batches of 1, not {trainer.settings.batch}"


def _timed(request: Request, source: SourceModel, progress: Progress) -> tuple[tuple[Latency, ...], tuple[str, ...]]:
    return latencies(source.path, request.out, request.input_shapes, duration_s=request.bench_s, progress=progress)


def _accuracies(
    request: Request, source: SourceModel, pruned: Graph, distilled: Graph, progress: Progress
) -> Accuracies | None:
    if request.evaluate is None:
        return None
    reference = source.score(request.evaluate, progress)
    return Accuracies(
        metric=reference.metric,
        source=reference.value,
        pruned=accuracy_of(source, pruned, request.evaluate, progress),
        distilled=accuracy_of(source, distilled, request.evaluate, progress),
        samples=reference.samples,
    )


def onnx_bytes(graph: Graph, source: SourceModel | None = None) -> bytes:
    """The graph as an ONNX file that says how to feed and read it, as far as its source was known to."""
    model = to_model(graph)
    if source is not None:
        use = {"preprocess": source.preprocess, "postprocess": source.postprocess, "licence": source.imported.source.licence}
        known = {name: value for name, value in use.items() if value}
        need("onnx").helper.set_model_props(model, {METADATA_KEY: msgspec.json.encode(known, order="deterministic").decode()})
    return bytes(model.SerializeToString(deterministic=True))
