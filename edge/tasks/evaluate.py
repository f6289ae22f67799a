"""The task metric of anything that runs: a source model, an artifact in its engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgekit.core.errors import InputError
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Postprocess, Preprocess, TensorSpec
from edgekit.tasks.classification import classify
from edgekit.tasks.data.feeds import Prepared, feed_of
from edgekit.tasks.data.samples import Dataset, Sample
from edgekit.tasks.data.unlabelled import LabelledBy
from edgekit.tasks.decoding.head import EVERY_CLASS
from edgekit.tasks.detection import Detections, detect
from edgekit.tasks.labels import is_unnamed
from edgekit.tasks.metrics import DETECTIONS_PER_CLASS, Judged, average_precision50, top1

Arrays = Mapping[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]
Answer = tuple[Sample, Prepared, Arrays]

SCORE_FLOOR = 0.01
HALF_SEEN = 0.5
STAGE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """Something that runs, by the source model's names, and how it is fed and read as far as that is known."""

    run: Run
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: Preprocess | None
    postprocess: Postprocess | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric in 0..1 over so many samples; `by_label` has it for each class, `notes` what was left out.

    "agreement" is top-1 or AP50 with another model's answers for the truth. `data_sha256` is the hash of the data.
    """

    metric: Literal["top1", "ap50", "agreement"]
    value: float
    samples: int
    by_label: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    data_sha256: str = ""


def evaluate(examinee: Examinee, dataset: Dataset, *, progress: Progress = silent) -> Score:
    """Run every sample of `dataset` and compare with the truth: top-1 accuracy or AP at IoU 0.5 (score floor 0.01).

    Classes are matched by name; a model whose classes have no names is matched by position when the numbers fit. Raises
    `InputError` when data and model do not fit together, or when the data has no labels (see `labelled_by`).
    """
    exam = _exam_of(examinee, dataset)
    answers = _answers(examinee, dataset, progress)
    score = _top1(exam, answers) if exam.postprocess.task == "classification" else _ap50(exam, answers)
    metric = "agreement" if isinstance(dataset, LabelledBy) else score.metric
    return replace(score, metric=metric, data_sha256=dataset.sha256)


def judged_pictures(examinee: Examinee, dataset: Dataset) -> Iterator[Judged]:
    """Of a detector, what AP at IoU 0.5 is made from, picture by picture: to say how much of a difference is chance.

    Raises `InputError` as `evaluate` does, and when a picture has no labelled boxes.
    """
    exam = _sensitive(_exam_of(examinee, dataset))
    return (_judged(exam, *answer) for answer in _answers(examinee, dataset, silent))


def _exam_of(examinee: Examinee, dataset: Dataset) -> _Exam:
    postprocess = reading_of(examinee, dataset)
    if dataset.task != postprocess.task:
        raise InputError(
            f"the model does {postprocess.task}, the data is labelled for {dataset.task}"
            if dataset.task != "unlabelled"
            else f"the data holds {len(dataset)} pictures without labels",
            "detection needs COCO JSON, classification one folder per class, MNIST idx files, a CSV or an .npz",
        )
    ids = match_labels(dataset.labels, postprocess.labels)
    notes = dataset.notes + _left_out(dataset.labels, ids)
    return _Exam(dataset=dataset, preprocess=examinee.preprocess, postprocess=postprocess, ids=ids, notes=notes)


def reading_of(examinee: Examinee, dataset: Dataset) -> Postprocess:
    """How the outputs are read: as recorded, or as scores where classes are asked for and there is one row of them."""
    if examinee.postprocess is not None:
        return examinee.postprocess
    sizes = [tuple(size for size in spec.shape if size != 1) for spec in examinee.outputs]
    if dataset.task == "classification" and len(sizes) == 1 and len(sizes[0]) == 1 and sizes[0][0] > 1:
        labels = tuple(f"class {index}" for index in range(sizes[0][0]))
        return Postprocess(task="classification", head="classification", labels=labels)
    raise InputError(
        "what the model's outputs mean is not known, so accuracy cannot be measured",
        "leave out --evaluate: parity is still checked",
    )


def labelled_by(reference: Examinee, pictures: Dataset) -> LabelledBy:
    """`pictures` with the answers of `reference` for the truth: its best class, or its boxes at its own score threshold.

    Boxes that it gives less, but at least `HALF_SEEN` of the threshold, neither help nor harm: a score that rounding lifts over the
    threshold is no invention.
    """
    postprocess = reading_of(reference, pictures)
    wide = msgspec.structs.replace(postprocess, score_threshold=HALF_SEEN * postprocess.score_threshold)

    def label(sample: Sample) -> Sample:
        prepared = feed_of(sample, reference.preprocess, reference.inputs)
        outputs = reference.run(prepared.feed)
        if postprocess.task == "classification":
            best = int(classify(outputs, postprocess, reference.preprocess).argmax())
            return replace(sample, class_ids=np.array([best], dtype=np.int64))
        found = _found(outputs, wide, reference.preprocess, prepared)
        return replace(sample, class_ids=found.class_ids, boxes=found.boxes, crowd=found.scores < postprocess.score_threshold)

    return LabelledBy(pictures=pictures, label=label, labels=postprocess.labels, task=postprocess.task)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exam:
    """What is asked and how it is marked; `ids` has the model's class for each label of the data, or None."""

    dataset: Dataset
    preprocess: Preprocess | None
    postprocess: Postprocess
    ids: Sequence[int | None]
    notes: tuple[str, ...]


def match_labels(data: Sequence[str], model: Sequence[str]) -> tuple[int | None, ...]:
    """For each label of the data its class in the model, or None.

    By name (case, blanks, `_` and `-` do not matter); numbers in the data mean positions when the model has no such names;
    a model without names is matched by position when it has as many classes. Raises `InputError` when nothing fits, or when
    a label of the data is the name of several of the model's classes (ImageNet has two cranes).
    """
    if tuple(data) == tuple(model):
        return tuple(range(len(model)))
    known = {_plain(label): index for index, label in enumerate(model)}
    _refuse_ambiguous(data, model)
    ids = tuple(known.get(_plain(label)) for label in data)
    if not any(index is not None for index in ids):
        ids = _by_position(data, model)
    if not any(index is not None for index in ids):
        raise InputError(
            f"none of the {len(data)} labels of the data ({_few(data)}) is one of the model's {len(model)} ({_few(model)})",
            "rename the data's classes to the model's labels",
        )
    return ids


def _refuse_ambiguous(data: Sequence[str], model: Sequence[str]) -> None:
    several = {label for label, count in Counter(_plain(label) for label in model).items() if count > 1}
    unclear = [label for label in data if _plain(label) in several]
    if unclear:
        raise InputError(
            f"several of the model's classes are called {unclear[0]!r}", "call the data's classes by their numbers"
        )


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
    hits: dict[int, list[bool]] = {}
    for sample, _, outputs in answers:
        wanted = exam.ids[sample.class_ids[0]]
        if wanted is not None:
            best = int(classify(outputs, exam.postprocess, exam.preprocess).argmax())
            hits.setdefault(wanted, []).append(best == wanted)
    right = [hit for answers_of_class in hits.values() for hit in answers_of_class]
    return Score(
        metric="top1",
        value=top1(right, [True] * len(right)),
        samples=len(right),
        by_label={exam.postprocess.labels[label]: float(np.mean(hits[label])) for label in sorted(hits)},
        notes=exam.notes,
    )


def _sensitive(exam: _Exam) -> _Exam:
    """The same with every candidate of a score that counts, of every class."""
    parameters = {**exam.postprocess.parameters, EVERY_CLASS: 1.0}
    return replace(
        exam, postprocess=msgspec.structs.replace(exam.postprocess, score_threshold=SCORE_FLOOR, parameters=parameters)
    )


def _ap50(exam: _Exam, answers: Iterable[Answer]) -> Score:
    seen = _sensitive(exam)
    precision = average_precision50(_judged(seen, *answer) for answer in answers)
    return Score(
        metric="ap50",
        value=precision.mean,
        samples=len(exam.dataset),
        by_label={exam.postprocess.labels[class_id]: value for class_id, value in precision.by_class.items()},
        notes=exam.notes,
    )


def _answers(examinee: Examinee, dataset: Dataset, progress: Progress) -> Iterator[Answer]:
    total = len(dataset)
    progress(Event(stage=STAGE, total=total))
    for done, sample in enumerate(dataset, start=1):
        prepared = feed_of(sample, examinee.preprocess, examinee.inputs)
        yield sample, prepared, examinee.run(prepared.feed)
        progress(Event(stage=STAGE, done=done, total=total))


def _judged(exam: _Exam, sample: Sample, prepared: Prepared, outputs: Arrays) -> Judged:
    """The detections beside the true boxes of classes the model knows, both with the model's class ids."""
    if sample.boxes is None or sample.crowd is None:
        raise InputError(f"sample {sample.name!r} has no boxes", "detection needs labelled boxes")
    found = _found(outputs, exam.postprocess, exam.preprocess, prepared)
    known = _known(sample.class_ids, exam.ids)
    return Judged(
        boxes=found.boxes,
        scores=found.scores,
        class_ids=found.class_ids,
        true_boxes=sample.boxes[known],
        true_class_ids=np.array([exam.ids[index] for index in sample.class_ids[known]], dtype=np.int64),
        true_crowd=sample.crowd[known],
    )


def _found(outputs: Arrays, postprocess: Postprocess, preprocess: Preprocess | None, prepared: Prepared) -> Detections:
    if preprocess is None or prepared.placement is None:
        raise InputError("boxes are found in pictures, and the data holds none", "give pictures")
    return detect(outputs, postprocess, preprocess, prepared.placement, most=DETECTIONS_PER_CLASS)


def _known(class_ids: Iterable[int], ids: Sequence[int | None]) -> NDArray[np.intp]:
    return np.array([row for row, index in enumerate(class_ids) if ids[index] is not None], dtype=np.intp)
