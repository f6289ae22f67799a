"""The task metric of anything that runs: a source model, an artifact in its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Postprocess, Preprocess
from edgekit.tasks.classification import classify
from edgekit.tasks.detection import detect
from edgekit.tasks.head import EVERY_CLASS
from edgekit.tasks.labels import is_unnamed
from edgekit.tasks.metrics import Judged, average_precision50, top1
from edgekit.tasks.preprocess import Placement, prepare
from edgekit.tasks.samples import Dataset, Sample

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]
Answer = tuple[Sample, Arrays, Placement]

SCORE_FLOOR = 0.01
STAGE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric in 0..1 over so many pictures; `by_label` has it for each class, `notes` what was left out."""

    metric: Literal["top1", "ap50"]
    value: float
    samples: int
    by_label: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def evaluate(
    run: Run, dataset: Dataset, preprocess: Preprocess, postprocess: Postprocess, *, progress: Progress = silent
) -> Score:
    """Run every picture of `dataset` and compare with the truth: top-1 accuracy or AP at IoU 0.5 (score floor 0.01).

    `run` takes and gives arrays by the source model's names. Classes are matched by name; a model whose classes have no names
    is matched by position when the numbers fit. Raises `InputError` when data and model do not fit together.
    """
    if dataset.task != postprocess.task:
        raise InputError(
            f"the model does {postprocess.task}, the data is labelled for {dataset.task}",
            "detection needs COCO JSON, classification one folder per class or MNIST idx files",
        )
    ids = match_labels(dataset.labels, postprocess.labels)
    notes = dataset.notes + _left_out(dataset.labels, ids)
    exam = _Exam(dataset=dataset, preprocess=preprocess, postprocess=postprocess, ids=ids, notes=notes)
    answers = _answers(run, dataset, preprocess, progress)
    return _top1(exam, answers) if postprocess.task == "classification" else _ap50(exam, answers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exam:
    """What is asked and how it is marked; `ids` has the model's class for each label of the data, or None."""

    dataset: Dataset
    preprocess: Preprocess
    postprocess: Postprocess
    ids: Sequence[int | None]
    notes: tuple[str, ...]


def match_labels(data: Sequence[str], model: Sequence[str]) -> tuple[int | None, ...]:
    """For each label of the data its class in the model, or None.

    By name (case, blanks, `_` and `-` do not matter); numbers in the data mean positions when the model has no such names;
    a model without names is matched by position when it has as many classes. Raises `InputError` when nothing fits.
    """
    known = {_plain(label): index for index, label in enumerate(model)}
    ids = tuple(known.get(_plain(label)) for label in data)
    if not any(index is not None for index in ids):
        ids = _by_position(data, model)
    if not any(index is not None for index in ids):
        raise InputError(
            f"none of the {len(data)} labels of the data ({_few(data)}) is one of the model's {len(model)} ({_few(model)})",
            "rename the data's classes to the model's labels",
        )
    return ids


def _by_position(data: Sequence[str], model: Sequence[str]) -> tuple[int | None, ...]:
    if all(label.isdecimal() for label in data):
        return tuple(int(label) if int(label) < len(model) else None for label in data)
    same = is_unnamed(tuple(model)) and len(data) == len(model)
    return tuple(range(len(data))) if same else (None,) * len(data)


def _plain(label: str) -> str:
    return "".join(label.casefold().replace("_", " ").replace("-", " ").split())


def _few(labels: Sequence[str]) -> str:
    return ", ".join(labels[:3]) + (", …" if len(labels) > 3 else "")


def _left_out(labels: Sequence[str], ids: Sequence[int | None]) -> tuple[str, ...]:
    unknown = [label for label, index in zip(labels, ids, strict=True) if index is None]
    return (f"left out: {len(unknown)} classes that the model does not know ({_few(unknown)})",) if unknown else ()


def _top1(exam: _Exam, answers: Iterable[Answer]) -> Score:
    predicted, truth = [], []
    for sample, outputs, _ in answers:
        wanted = exam.ids[sample.class_ids[0]]
        if wanted is not None:
            predicted.append(int(classify(outputs, exam.postprocess, exam.preprocess).argmax()))
            truth.append(wanted)
    hits = {label: [p == t for p, t in zip(predicted, truth, strict=True) if t == label] for label in sorted(set(truth))}
    return Score(
        metric="top1",
        value=top1(predicted, truth),
        samples=len(truth),
        by_label={exam.postprocess.labels[label]: float(np.mean(right)) for label, right in hits.items()},
        notes=exam.notes,
    )


def _ap50(exam: _Exam, answers: Iterable[Answer]) -> Score:
    parameters = {**exam.postprocess.parameters, EVERY_CLASS: 1.0}
    sensitive = msgspec.structs.replace(exam.postprocess, score_threshold=SCORE_FLOOR, parameters=parameters)
    precision = average_precision50(_judged(replace(exam, postprocess=sensitive), *answer) for answer in answers)
    return Score(
        metric="ap50",
        value=precision.mean,
        samples=len(exam.dataset),
        by_label={exam.postprocess.labels[class_id]: value for class_id, value in precision.by_class.items()},
        notes=exam.notes,
    )


def _answers(run: Run, dataset: Dataset, preprocess: Preprocess, progress: Progress) -> Iterator[Answer]:
    total = len(dataset)
    progress(Event(stage=STAGE, total=total))
    for done, sample in enumerate(dataset, start=1):
        prepared = prepare(sample.image, preprocess)
        yield sample, run({preprocess.input: prepared.array}), prepared.placement
        progress(Event(stage=STAGE, done=done, total=total))


def _judged(exam: _Exam, sample: Sample, outputs: Arrays, placement: Placement) -> Judged:
    """The detections beside the true boxes of classes the model knows, both with the model's class ids."""
    if sample.boxes is None or sample.crowd is None:
        raise InputError(f"sample {sample.name!r} has no boxes", "detection needs labelled boxes")
    found = detect(outputs, exam.postprocess, exam.preprocess, placement)
    known = _known(sample.class_ids, exam.ids)
    return Judged(
        boxes=found.boxes,
        scores=found.scores,
        class_ids=found.class_ids,
        true_boxes=sample.boxes[known],
        true_class_ids=np.array([exam.ids[index] for index in sample.class_ids[known]], dtype=np.int64),
        true_crowd=sample.crowd[known],
    )


def _known(class_ids: Iterable[int], ids: Sequence[int | None]) -> NDArray[np.intp]:
    return np.array([row for row, index in enumerate(class_ids) if ids[index] is not None], dtype=np.intp)
