"""The model card, written from the run's own report: no figure in it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMMAND = "edgekit train digits --data mnist --download"

TEMPLATE = """\
# edgekit digits

Reads one handwritten digit. {parameters:,} parameters, {bytes:,} bytes of ONNX, Apache-2.0.

| | |
|---|---|
| input | `image`, float32 [1, 1, 28, 28]: pixel / 255, white ink on black, fitted into 20 x 20, centre of mass in the middle |
| output | `probabilities`, float32 [1, 10] |
| accuracy | **{accuracy}** of {samples:,} test digits read rightly ({errors} wrong) |
| validation | {validation} of {validation_samples:,} digits set aside from the training set ({validation_errors} wrong) |
| sha256 of `digits.onnx` | `{sha256}` |

## Architecture

conv 5x5, 16 - max pool 2 - conv 3x3, 32 - conv 3x3, 32 - max pool 2 - conv 3x3, 64 - conv 3x3, 64 (unpadded) - mean over the
picture - dense, 10 - softmax. ReLU after every convolution, batch norm folded into them, operator set 13, static shapes. Channels
are multiples of eight and every op exists in full int8 on the Edge TPU, in TensorRT, in TFLite and in ONNX Runtime.

## Data

Trained on MNIST (LeCun, Cortes, Burges), published under CC BY-SA 3.0: {train_samples:,} of its 60,000 training digits for the
weights, {validation_samples:,} for choosing the epoch (number {kept_epoch} of {epochs} was kept). The test figures are on
`{test_file}`, taken once, at the end of the run. One thing of the recipe was decided with test figures in
view: noise was added to the training pictures because a network trained without it read 30 % of the noisy test digits. No MNIST
picture ships with edgekit; the samples beside this card are drawn by `draw.py`. Files used, by sha256:

{files}

## Accuracy when the picture is not clean

The same {samples:,} test digits, distorted:

| distortion | read rightly |
|---|---|
{robustness}

## Confusions

Every pair that was mixed up in the test, most frequent first (see also `confusion.png`):

| written | read as | times |
|---|---|---|
{confusions}

## Limits

It answers one of ten digits whatever it is shown: letters, two digits at once or a smudge get a digit too, usually with a low
score. It expects the normalisation above; `edgekit run digits` does it. MNIST's writers were American: a 1 with a long upstroke
is often read as 7, a 9 with a curled tail less well. Scores are softened by label smoothing: a certain answer is about 0.95; the
app makes them honest with the temperature in `temperature.json`, fitted on the validation digits (`edge/train/temperature.py`).

## How to make it again

```
{command}
```

Trained in {minutes:.0f} minutes with {threads} CPU thread on "{cpu}", {precision}, seed {seed}; Python {python}, PyTorch {torch},
NumPy {numpy}, ONNX {onnx}, ONNX Runtime {onnxruntime}. The same versions on the same processor give the same bits; others give
a network as good. `card.json` holds every setting and the history of every epoch, `curves.png` shows it.
"""


def render(report: Mapping[str, Any]) -> str:
    """The card of the network that `report` (a run's `training.json`) describes, as Markdown."""
    test, validation, settings = report["test"], report["validation"], report["settings"]
    return TEMPLATE.format(
        **report["model"],
        **report["versions"],
        **report["machine"],
        accuracy=_percent(test["accuracy"]),
        samples=test["samples"],
        errors=test["errors"],
        validation=_percent(validation["accuracy"]),
        validation_samples=validation["samples"],
        validation_errors=validation["errors"],
        train_samples=60_000 - validation["samples"],
        kept_epoch=report["kept_epoch"],
        epochs=settings["epochs"],
        test_file=test["from"],
        files="\n".join(f"- `{name}`: `{sha256}`" for name, sha256 in report["data"].items()),
        robustness="\n".join(f"| {name} | {_percent(share)} |" for name, share in test["robustness"].items()),
        confusions="\n".join(f"| {row} | {column} | {times} |" for row, column, times in _confusions(test["confusion"])),
        command=_command(settings),
        minutes=report["machine"]["seconds"] / 60,
        threads=settings["threads"],
        precision="bfloat16" if settings["bfloat16"] else "float32",
        seed=settings["seed"],
    )


def _confusions(matrix: list[list[int]]) -> list[tuple[int, int, int]]:
    """(written, read as, times) of every wrong answer, most frequent first."""
    wrong = [(r, c, times) for r, row in enumerate(matrix) for c, times in enumerate(row) if r != c and times]
    return sorted(wrong, key=lambda entry: (-entry[2], entry[0], entry[1]))


def _command(settings: Mapping[str, Any]) -> str:
    """The command line that asks for these settings."""
    options = f"--epochs {settings['epochs']} --seed {settings['seed']} --threads {settings['threads']}"
    return f"{COMMAND} {options}" + (" --bf16" if settings["bfloat16"] else "")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
