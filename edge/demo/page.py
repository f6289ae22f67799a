"""The demo's page: what happened, in words, a picture, a table, and what is still to be proven."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edgekit import pages
from edgekit.core.schema import Parity
from edgekit.demo.flow import flow
from edgekit.demo.result import Demo, Made, Picture, agreement
from edgekit.pages import Html, Section, paragraph, tag
from edgekit.tasks.pictures.images import read_image

INK = "#0b4f96"
"""Of what is written on the drawn picture, which is light whatever the page is."""


def page(demo: Demo, picture: Path) -> str:
    """The whole page, self-contained; `picture` is the drawn number that was read."""
    sections = [
        *([Section(title="What failed", body=_failures(demo))] if demo.failed else []),
        Section(title="What happened", body=_story(demo)),
        Section(title="The artifacts", body=_table(demo)),
        *([Section(title="One of them reads a picture", body=_reading(demo.picture, picture))] if demo.picture else []),
        Section(title="What this does not prove", body=_unproven()),
        Section(title="Next", body=_next(demo)),
    ]
    return pages.page(
        "edgekit demo",
        sections,
        lead="A trained network, converted for each kind of board; every file compared with the original, timed and run.",
        footer=f"Written by edgekit demo in {demo.seconds:.1f} s. This page asks nothing of the network.",
        data=msgspec.json.encode(demo).decode(),
    )


def _story(demo: Demo) -> Html:
    """Five sentences and the flow."""
    made = len(demo.artifacts)
    sentences = (
        f"edgekit took {demo.model}, a small network that reads handwritten digits, as its training left it: "
        f"an ONNX file of {_kilobytes(demo.model_bytes)}.",
        f"It imported and cleaned the network, ran drawn digits through it to learn the range of every tensor, and wrote "
        f"{made} {'artifact' if made == 1 else 'artifacts'}: for each board the kind of file, number format and operators "
        "that the board's engine takes.",
        "Before an artifact was written it was loaded in an engine of this machine and its outputs were compared with the "
        "original's; afterwards it was read back from the disk, every hash checked, and compared once more.",
        "Each artifact was then timed in a fresh process on this machine.",
        _reading_sentence(demo.picture),
    )
    return pages.join(
        [paragraph(" ".join(sentences)), pages.figure(flow(), "From one trained model to a proven file per board.")]
    )


def _reading_sentence(picture: Picture | None) -> str:
    if picture is None:
        return "No artifact read the picture; see what failed."
    return f"Last, the artifact for {picture.target} read the number {picture.read} in a picture drawn by edgekit."


def _failures(demo: Demo) -> Html:
    texts = (f"{one.step}: {one.error}" + (f" (try: {one.hint})" if one.hint else "") for one in demo.failed)
    return pages.join(pages.notice(text, kind="warning") for text in texts)


def _table(demo: Demo) -> Html:
    header = ("for", "engine there", "precision", "file", "agrees with the source", "one inference here")
    rows = [_row(one, demo.model_bytes) for one in demo.artifacts]
    conditions = (
        f"Latency is the median of one inference, one after the other, measured on this machine ({demo.host}), in the engine "
        "named under it. It says nothing about the board. Bounds hold with at least 95 % confidence."
    )
    return pages.join([pages.table(header, rows, text_columns=3), pages.notice(conditions, kind="note")])


def _row(made: Made, source_bytes: int) -> tuple[str, ...]:
    size = pages.join([_kilobytes(made.bytes), tag("small", f"{made.bytes / source_bytes:.0%} of the source")])
    return (
        pages.join([made.device, tag("small", Path(made.path).name)]),
        pages.join([made.runtime, tag("small", made.format)]),
        made.precision,
        size,
        _parity(made.parity),
        _latency(made),
    )


def _parity(found: Parity) -> Html:
    limit = f"at least {found.tolerance:g} dB" if found.metric == "sqnr_db" else f"at most {found.tolerance:.0e}"
    return pages.join([agreement(found), tag("small", f"needed: {limit}")])


def _latency(made: Made) -> Html:
    timing = made.timing
    if timing is None:
        return pages.html("not measured")
    bounds = f"{timing.lower_ms:.3f} to {timing.upper_ms:.3f}, n = {timing.samples}"
    return pages.join([f"{timing.median_ms:.3f} ms", tag("small", bounds), tag("small", timing.runtime)])


def _reading(found: Picture, picture: Path) -> Html:
    caption = (
        f"Drawn: {found.drawn}. Read by the artifact for {found.target}: {found.read}. The least certain digit scored "
        f"{min(one.score for one in found.digits):.3f} of 1."
    )
    return pages.figure(_annotated(found, picture), caption)


def _annotated(found: Picture, picture: Path) -> Html:
    """The picture with a box and the digit read on each place."""
    height, width = read_image(picture).shape[:2]
    data = base64.b64encode(picture.read_bytes()).decode()
    unit = max(width, height) / 100
    bottom = max(height, *(one.box[3] + 5 * unit for one in found.digits))
    parts = [
        tag("title", f"A picture of the number {found.drawn}, each digit boxed and labelled with what was read."),
        tag("image", href=f"data:image/png;base64,{data}", width=f"{width}", height=f"{height}"),
        *(part for one in found.digits for part in _mark(one.box, str(one.digit), unit)),
    ]
    return tag("svg", *parts, class_="chart", viewBox=f"0 0 {width} {bottom:g}", role="img")


def _mark(box: tuple[float, float, float, float], text: str, unit: float) -> Iterator[Html]:
    x1, y1, x2, y2 = box
    size = {"x": f"{x1:g}", "y": f"{y1:g}", "width": f"{x2 - x1:g}", "height": f"{y2 - y1:g}"}
    yield tag("rect", class_="line s0", fill="none", stroke_width=f"{unit / 3:g}", **size)
    place = {"x": f"{(x1 + x2) / 2:g}", "y": f"{y2 + 4 * unit:g}", "text_anchor": "middle"}
    yield tag("text", text, style=f"font-size:{4 * unit:g}px;font-weight:600;fill:{INK}", **place)


def _unproven() -> Html:
    points = (
        "No board took part. Speed, power, heat and memory on a Jetson, a Coral or a Raspberry Pi are not known from this page.",
        "The file for the Jetson is what TensorRT builds its engine from; that happens on the board, and TensorRT chooses "
        "its own kernels. Its numbers were compared here in ONNX Runtime.",
        "The file for the Coral is compared before the Edge TPU compiler maps it; the compiled file needs the device to run.",
        "Digits are an easy task. Your own model, calibrated on your own pictures, is the test that counts: "
        "--evaluate and --max-drop make it a gate.",
    )
    return tag("ul", *(tag("li", point) for point in points))


def _next(demo: Demo) -> Html:
    some = next((one.path for one in reversed(demo.artifacts) if one.format == "tflite"), "ARTIFACT")
    commands = (
        ("your own model", "edgekit convert model.onnx --target rpi,coral,jetson --calibration pictures/"),
        ("look inside an artifact", f"edgekit inspect {some}"),
        ("check it again, here or on the board", f"edgekit verify {some}"),
        ("time it properly", f"edgekit bench {some} -o report.html"),
        ("see what runs on this machine, and why not", "edgekit doctor"),
    )
    return pages.table(("to", "type"), ((name, tag("code", command)) for name, command in commands), text_columns=2)


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
