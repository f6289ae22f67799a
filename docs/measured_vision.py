"""The tables of docs/vision.md, from the results that its benchmarks wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tables import conditions, result, table

PAPER = "inverted, photographed on paper"


def pipeline() -> str:
    """The whole way beside the bare model and beside others' loops, a row for each detector, number of threads and clip."""
    rows = sorted(result("pipeline")["loops"], key=lambda row: (row["detector"], row["threads"]))
    header = (
        "detector",
        "threads",
        "clip",
        "bare",
        "decoder",
        "edgekit",
        "of bare",
        "at most",
        "of `supervision` with `trackers`",
        "of a `cv2` loop",
    )
    loads = sorted(float(row["conditions"]["load_average"]) for row in rows)
    same = {name: value for name, value in rows[0]["conditions"].items() if name != "load_average"}
    told = f"Frames a second, medians of rounds in turns. {conditions(same)} Load average {loads[0]:g} to {loads[-1]:g}."
    return f"{table(header, map(_pipeline_row, rows))}\n\n{told}"


def scenes() -> str:
    """What the shipped rules find in recordings whose content is known."""
    falls, loitering, visits, soak = (result(name) for name in ("falls", "loitering", "visits", "soak"))
    rows = [
        _fall_row(falls),
        _loitering_row(loitering),
        *(row for found in visits["detectors"] for row in _count_rows(found, visits["conditions"])),
        _soak_row(soak),
        _tracker_row(result("pipeline")),
    ]
    return table(("what", "found", "asked", "detector", "how"), rows)


def eyes() -> str:
    """What the cameras and the digits reach beside what was asked, for the README."""
    falls, loitering, visits, pipe, soak, read = (
        result(name) for name in ("falls", "loitering", "visits", "pipeline", "soak", "digits")
    )
    boxed = next(found for found in visits["detectors"] if found["detector"].startswith("persons"))
    rows = [
        _fall_row(falls),
        _loitering_row(loitering),
        *_count_rows(boxed, visits["conditions"]),
        _live_row(pipe),
        *_share_rows(pipe["loops"]),
        _tracker_row(pipe),
        _soak_row(soak),
        *_digit_rows(read),
    ]
    told = ((what, got, asked, how.replace("benchmarks/", "")) for what, got, asked, _, how in rows)
    return (
        f"{table(('what', 'measured', 'asked', 'program of `benchmarks/`, day'), told)}\n\nOn {falls['conditions']['machine']}."
    )


def _live_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    live = found["live"]
    what = f"{live['cameras']} cameras at {live['fps']} frames a second for {live['seconds']:.0f} s, motion gate on"
    got = f"{sum(live['frames_dropped'])} frames and {live['events_dropped']} events dropped"
    return what, got, "no event", live["detector"], _how("pipeline.py", found["conditions"])


def _share_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """From a recording to events, over all detectors, threads and clips."""
    how = _how("pipeline.py", max((row["conditions"] for row in rows), key=lambda each: str(each["date"])))
    for name, what, goal in (
        ("bare", "the whole way to events, of the bare model's rate", 0.9),
        ("supervision", "over a loop of `supervision` and `trackers`", 1.3),
        ("loop", "over a loop of `cv2.VideoCapture`", 1.3),
    ):
        found = [row["edgekit_of"][name] for row in rows]
        reached = sum(share >= goal for share in found)
        got = f"{min(found):.2f} to {max(found):.2f}; {reached} of {len(found)} rows reach it"
        yield what, got, f"{goal:.2f}", "", how


def _digit_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Clean, spoiled, and through the whole app, of each artifact."""
    how, artifacts = _how("digits.py", found["conditions"]), found["artifacts"]
    spoiled = {name: min(each["network"].values(), key=_accuracy)["accuracy"] for name, each in artifacts.items()}
    ways: tuple[tuple[str, Mapping[str, float], str], ...] = (
        ("clean", {name: each["network"]["clean"]["accuracy"] for name, each in artifacts.items()}, "99.5 %, 0.05 apart"),
        ("turned, moved, scaled, thick, thin or noisy, the worst", spoiled, "98 %"),
        ("photographed on paper, through the app", {name: each["app"][PAPER] for name, each in artifacts.items()}, "98 %"),
    )
    for way, scores, asked in ways:
        got = ", ".join(f"{name.rpartition('.')[2]} {score:.2f} %" for name, score in scores.items())
        yield f"digits read rightly: {way}", got, asked, "", how


def _accuracy(scores: Mapping[str, float]) -> float:
    return scores["accuracy"]


def _fall_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    what = f"falls: {found['falls']} acted ones, {found['daily']} daily activities (GMDCSA24)"
    got = f"{found['found']} of {found['falls']}, {found['false_alarms']} false alarms"
    return (what, got, "7 of 8, none", f"{found['detector']}, {found['pose']}", _how("falls.py DIR", found["conditions"]))


def _loitering_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    what = f"loitering: AUC on {found['tracks']:,} labelled tracks (RS-WACV24)"
    got = (
        f"{found['auc_cross_validated']:.3f} over five random folds, {found['auc_cross_validated_by_scene']:.3f} over neighbouring "
        f"ones; dwell by extent {found['auc_dwell_by_extent']:.3f}, dwell alone {found['auc_dwell']:.3f}"
    )
    return (what, got, "0.87", "", _how("loitering.py FILE", found["conditions"]))


def _count_rows(found: Mapping[str, Any], measured: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    how, counted, by_eye = _how("visits.py", measured), found["vtest_counted"], found["vtest_by_eye"]
    visits = f"{found['visits_counted']} of {found['visits_by_eye']}"
    yield "visits, by a line (one-by-one-person-detection)", visits, "exactly 6", found["detector"], how
    people = ", ".join(str(counted[frame]) for frame in by_eye)
    eye = ", ".join(map(str, by_eye.values()))
    got = f"{people}: {found['vtest_mean_error']:.2f} off on average"
    yield f"people in {len(by_eye)} frames of vtest", got, eye, found["detector"], how


def _soak_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    files = found["open_files"]
    what = f"{found['simulated_hours']:.2f} hours of watching, in {found['real_seconds'] / 60:.0f} minutes"
    got = f"{found['memory_slope_mb_per_hour']:.2f} MB more an hour, {files['first']} open files before, {files['last']} after"
    return (what, got, "1 MB, none more", found["detector"], _how("soak.py", found["conditions"]))


def _tracker_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    got = f"{found['tracker_20_objects_ms']:.2f} ms"
    return ("one update of the tracker with 20 things", got, "0.5 ms", "", _how("pipeline.py", found["conditions"]))


def _how(program: str, measured: Mapping[str, Any]) -> str:
    return f"`benchmarks/{program}`, {measured['date']}"


def _pipeline_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    fps, share = row["fps"], row["edgekit_of"]
    of = [f"{share[name]:.2f}" for name in ("bare", "supervision", "loop")]
    of.insert(1, f"{row['at_most']:.2f}" if "at_most" in row else "")
    decoder = f"{1000 / row['decode_ms']:.0f}" if "decode_ms" in row else ""
    return (row["detector"], str(row["threads"]), row["size"], f"{fps['bare']:.1f}", decoder, f"{fps['edgekit']:.1f}", *of)
