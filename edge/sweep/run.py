"""The sweep itself: plan the cells, take those that are there, work on the others, time what was made, write the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from edgekit.conversion.request import Request
from edgekit.core.errors import EdgekitError, UsageError
from edgekit.core.files import ensure_writable, write_atomically
from edgekit.core.names import did_you_mean
from edgekit.core.profiles import find
from edgekit.core.progress import Event, Progress, silent
from edgekit.core.schema import Device
from edgekit.sweep.backends import BACKENDS, Crew, outcomes
from edgekit.sweep.cell import RECORD_VERSION, Failed, Record, Row, Sweep, Wish
from edgekit.sweep.keys import cell_key, pruned_key, source_key
from edgekit.sweep.page import page
from edgekit.sweep.pareto import on_front
from edgekit.sweep.store import found, keep, kept
from edgekit.sweep.text import markdown
from edgekit.sweep.timing import here, timed
from edgekit.sweep.work import Opening, Task

EVERY = "auto"
ALONE = Crew()


def sweep(
    models: Sequence[str | Path],
    targets: Sequence[str],
    *,
    output: str | Path,
    request: Request | None = None,
    precisions: Sequence[str] = (EVERY,),
    prunes: Sequence[float] = (0.0,),
    crew: Crew = ALONE,
    progress: Progress = silent,
) -> Sweep:
    """Every model for every target in every precision, pruned by every share; precision "auto" is all that a target runs.

    The cells are kept in `output` by the hash of what they are made from: a second call makes only what is missing, damaged or
    changed. Writes `sweep.json`, `sweep.md` and `sweep.html` there. A cell that fails is in the result with its reason. Raises
    `NotFound` for a target that does not exist and `UsageError` for nothing to do or a backend nobody knows.
    """
    folder, asked = Path(output), request or Request()
    _check(models, targets, crew)
    ensure_writable(folder)
    devices = list({device.name: device for device in (find(target.strip()) for target in targets)}.values())
    records: dict[str, Record] = {}
    tasks: list[Task] = []
    for model in dict.fromkeys(Path(model) for model in models):
        progress(Event(stage=f"plan {model.name}"))
        for one in _planned(model, devices, precisions, asked, prunes):
            if isinstance(one, Record):
                records[one.key] = one
            elif (known := found(folder, one.key)) is not None:
                records[one.key] = known
            else:
                records[one.key] = _waiting(one)
                tasks.append(one)
    fresh = _worked(folder, tasks, crew, progress)
    records |= fresh
    rows = _rows(list(_with_latency(folder, records.values(), progress)), made_now=fresh)
    return _written(folder, Sweep(folder=str(folder), rows=rows))


def _check(models: Sequence[str | Path], targets: Sequence[str], crew: Crew) -> None:
    if not models or not targets:
        raise UsageError("a sweep needs a model and a target", "edgekit convert MODEL... --target T[,T] --sweep")
    if crew.jobs == 0:
        raise UsageError("a sweep with 0 jobs does nothing", "--jobs 1 or more; -1: as many as there are cores")
    if crew.backend not in BACKENDS:
        raise UsageError(
            f"no backend {crew.backend!r} of joblib is known",
            did_you_mean(crew.backend, BACKENDS, f"there are: {', '.join(BACKENDS)}"),
        )


def _planned(
    model: Path, devices: Sequence[Device], precisions: Sequence[str], request: Request, prunes: Sequence[float] = (0.0,)
) -> Iterator[Task | Record]:
    """A task for each cell, or a record of failure for each when the model cannot even be read."""
    wishes = [
        Wish(model=str(model), target=device.name, precision=precision, prune=prune)
        for prune in dict.fromkeys(prunes)
        for device in devices
        for precision in _precisions(device, precisions)
    ]
    try:
        key = source_key(model, request)
    except UsageError:
        raise
    except EdgekitError as error:
        failed = Failed(error=error.message, hint=error.hint, exit_code=error.exit_code, lasting=False)
        yield from (_unread(model, wish, failed) for wish in wishes)
        return
    for wish in wishes:
        recipe = msgspec.structs.replace(request.recipe, precision=wish.precision)
        own = replace(request, recipe=recipe, prune=wish.prune or None)
        pruning = own.pruning((find(wish.target),))
        opening = Opening(key=pruned_key(key, pruning), model=model, target=wish.target, request=own)
        yield Task(key=cell_key(opening.key, own, wish.target), wish=wish, opening=opening, request=own)


def _precisions(device: Device, asked: Sequence[str]) -> tuple[str, ...]:
    """The precisions asked for; "auto" is every one that an engine of the board has, the fastest first."""
    all_of_them = dict.fromkeys(precision for engine in device.engines for precision in engine.precisions)
    return tuple(dict.fromkeys(one for word in asked for one in (all_of_them if word == EVERY else (word,))))


def _unread(model: Path, wish: Wish, failed: Failed) -> Record:
    return Record(
        version=RECORD_VERSION,
        key=f"{model}:{wish.target}:{wish.precision}:{wish.prune}",
        wish=wish,
        seconds=0.0,
        failed=failed,
    )


def _waiting(task: Task) -> Record:
    """What a cell's record says until its worker has answered."""
    stopped = Failed(error="the worker gave no answer", hint="run the sweep again", exit_code=1, lasting=False)
    return Record(version=RECORD_VERSION, key=task.key, wish=task.wish, seconds=0.0, failed=stopped)


def _worked(folder: Path, tasks: Sequence[Task], crew: Crew, progress: Progress) -> Mapping[str, Record]:
    """The records of the cells that were worked on, each written as soon as its outcome is known."""
    by_key = {task.key: task for task in tasks}
    records: dict[str, Record] = {}
    for outcome in outcomes(by_key.values(), crew):
        records[outcome.key] = kept(folder, by_key[outcome.key], outcome)
        progress(Event(stage="sweep", done=len(records), total=len(by_key)))
    return records


def _with_latency(folder: Path, records: Iterable[Record], progress: Progress) -> Iterator[Record]:
    """The records with the latency on this machine, measured where it is not known yet."""
    machine = here()
    for record in records:
        known = record.latency is not None and record.latency.machine == machine and record.latency.median_ms is not None
        if record.made is None or known:
            yield record
        else:
            progress(Event(stage=f"time {record.made.folder}"))
            yield keep(folder, msgspec.structs.replace(record, latency=timed(folder / record.made.folder)))


def _rows(records: Sequence[Record], made_now: Mapping[str, Record]) -> tuple[Row, ...]:
    return tuple(
        Row(
            record=record,
            status="failed" if record.failed else "made" if record.key in made_now else "cached",
            pareto=best,
        )
        for record, best in zip(records, on_front(records), strict=True)
    )


def _written(folder: Path, result: Sweep) -> Sweep:
    """The result beside its cells, for programs, for a terminal and for people."""
    text = msgspec.json.format(msgspec.json.encode(result)) + b"\n"
    for name, data in (("sweep.json", text), ("sweep.md", markdown(result).encode()), ("sweep.html", page(result).encode())):
        write_atomically(folder / name, data)
    return result
