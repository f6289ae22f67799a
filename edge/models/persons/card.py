"""The model card, written from the run's report and the measured scores: no figure in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEMPLATE = """\
# edgekit persons

Finds people. {parameters:,} parameters, {bytes:,} bytes of ONNX, {int8_bytes:,} bytes as an int8 artifact, Apache-2.0.

| | |
|---|---|
| input | `images`, float32 [1, 3, {height}, {width}]: blue, green, red of 0..255; letterboxed to the upper left, padded with 114 |
| output | `output`, float32 [1, {cells}, 6]: YOLOX's head (x, y, w, h, objectness, person), decoded by `edge/tasks/heads/yolox.py` |
| sha256 of `persons.onnx` | `{sha256}` |

## Where it comes from

The layout is that of YOLOX-Nano (Ge et al., arXiv:2107.08430; Megvii, Apache-2.0) with one class and a strided convolution in place
of the slices in front. **It is a student that began as its teacher**: with the weights of YOLOX-Nano, which its makers trained on COCO,
and of whose 80 classes the person's was kept.

{training}

## What it scores

| | this, float | this, int8 | before training, float | YOLOX-Nano, its teacher, 416 x 416 |
|---|---|---|---|---|
{scores}

AP50 is on the 44 people of 19 COCO photographs that neither training nor calibration saw; differences under about 0.05 mean
nothing there, and YOLOX-Nano was trained on some of them by its makers. {counts}
Measured: {conditions}.

## Limits

A picture that is not 5:4 uses only part of the input, an upright one little of it, and small people are lost there. It knows one class.
It tells nobody from anybody: it is no face or person recognition.

## How to make it again

```
edgekit train persons --data PICTURES... --without coco_eval/images --teacher yolox_nano.onnx {budget} --batch {batch} --seed {seed}
```

{steps:,} steps in {seconds:.0f} s on "{device}"; PyTorch {torch}. `card.json` holds every setting.
"""


def _training(report: Mapping[str, Any]) -> str:
    """What training changed, in figures, and on what."""
    held, recipe = report["held_back"], report["recipe"]
    changes = "; ".join(
        f"{name} {held['before'][name]:.4f} before, {held['after'][name]:.4f} after" for name in held["before"] or {}
    )
    figures = {"steps": report["steps"], "held": held["pictures"], "changes": changes, "pictures": report["pictures"]}
    if not report["steps"]:
        return UNTAUGHT
    text = LEARNT if report["kept"] == "trained" else UNTAUGHT + UNKEPT
    whole = {when: _weighed(held[when], recipe) for when in ("before", "after")}
    return text.format(
        **figures, whole=whole, batch=recipe["batch"], sharpness=recipe["sharpness"], clean=recipe["limits"]["clean_share"]
    )


def _weighed(losses: Mapping[str, float], recipe: Mapping[str, Any]) -> float:
    """The sum that training makes smaller."""
    return losses["scores"] + float(recipe["boxes"]) * losses["boxes"] + float(recipe["likeness"]) * losses["likeness"]


def _row(detectors: Mapping[str, Mapping[str, Any]], figure: str, form: str) -> list[str]:
    """A figure of each detector; one that was not measured says so."""
    known = [detectors.get(name, {}).get(figure) for name in ("float", "int8", "beginning", "teacher")]
    return ["not measured" if value is None else form.format(value) for value in known]


COUNTS = "Counts are detections from a score of {threshold} on {frames} frames counted by eye."
LEARNT = """\
What training added is small: {steps:,} steps of {batch} scenes, put together from the pictures below, {clean:.0%} seen as they are and the others by bad cameras (dark, pale,
blurred, noisy). Each is drawn to what the teacher says of the same scene seen well, and of the scene drawn {sharpness:g} times larger, where small
people are plainer. Nothing was labelled by hand, and the teacher's mistakes stayed. Losses on {held} scenes held back (the ends of the
clips), seen by the same cameras: {changes}. What grew got worse; the run was kept because the sum,
weighed as in training, went from {whole[before]:.4f} to {whole[after]:.4f}.

## Data

{pictures:,} pictures and frames; the last third of every clip was held back. Stills: COCO photographs under CC BY 2.0, photographs of Coral's
test data (CC BY 2.0 and public domain), 96 x 96 crops of Visual Wake Words (CC BY 2.0). Clips: GMDCSA24 (MIT), Intel's sample
videos (CC BY 4.0), OpenCV's vtest (Apache-2.0). Pictures called like one of the evaluation set were left out, three of the
crops among them. No picture ships with edgekit. **The clips that are counted below were trained on** (their first two thirds, with the
teacher's word, not the counts)."""
UNTAUGHT = """\
**It was not trained any further**: these are the teacher's own weights, at a smaller picture, for one class."""
UNKEPT = """
{steps:,} steps of {batch} scenes were taken and not kept: they took it farther from its teacher on {held} scenes held back ({changes})."""


def render(report: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """The card of the run `report` (`card.json`) with what `benchmarks/persons.py` measured (`scores.json`), as Markdown."""
    recipe, detectors = report["recipe"], scores["detectors"]
    rows = {
        "AP50 of people on coco_eval": _row(detectors, "ap50", "{:.3f}"),
        "mean error of the count, people a frame": _row(detectors, "count_error", "{:.2f}"),
        "visits counted of 6": _row(detectors, "visits", "{}"),
        "ms a frame, one thread": _row(detectors, "ms", "{:.1f}"),
    }
    cells = sum((recipe["height"] // stride) * (recipe["width"] // stride) for stride in (8, 16, 32))
    return TEMPLATE.format(
        **report["model"],
        height=recipe["height"],
        width=recipe["width"],
        cells=cells,
        int8_bytes=scores["int8_bytes"],
        training=_training(report),
        scores="\n".join(f"| {name} | {' | '.join(values)} |" for name, values in rows.items()),
        counts=COUNTS.format(**scores) if scores["frames"] else "Nothing was counted on clips.",
        conditions=", ".join(f"{name} {value}" for name, value in scores["conditions"].items()),
        budget=f"--seconds {recipe['seconds']:g}" if recipe["seconds"] else f"--steps {recipe['steps']}",
        batch=recipe["batch"],
        seed=recipe["seed"],
        steps=report["steps"],
        seconds=report["seconds"],
        device=report["device"],
        torch=report["versions"]["torch"],
    )
