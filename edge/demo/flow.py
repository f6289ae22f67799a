"""The one picture of edgekit: a trained model goes in, a proven artifact per board comes out. Drawn here, as SVG."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.pages import Html, tag

WIDTH, HEIGHT = 760, 258
_ROW, _TOP, _BOX = 56, 22, 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One family of boards: what is written for it, and which engine runs that."""

    board: str
    file: str
    engine: str


LANES = (
    Lane(board="Jetson", file="ONNX with Q/DQ", engine="TensorRT"),
    Lane(board="Coral", file="full-int8 TFLite", engine="Edge TPU"),
    Lane(board="Raspberry Pi", file="int8 TFLite", engine="LiteRT"),
    Lane(board="any computer", file="ONNX", engine="ONNX Runtime"),
)


def flow() -> Html:
    """The picture, with its own colours for light and dark pages."""
    middle = _TOP + _ROW * (len(LANES) - 1) / 2
    parts = [
        tag("title", DESCRIPTION),
        Html(f"<style>{_STYLE}</style>"),
        _box(8, middle, 118, "trained model", "model.onnx", "start"),
        _arrow(126, middle + _BOX / 2, 150, middle + _BOX / 2),
        _box(150, middle, 132, "understand once", "clean, calibrate", "step"),
        *(part for index, lane in enumerate(LANES) for part in _lane(lane, _TOP + index * _ROW, middle + _BOX / 2)),
    ]
    return tag("svg", *parts, xmlns="http://www.w3.org/2000/svg", class_="flow", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")


DESCRIPTION = (
    "A trained model is imported, cleaned and calibrated once; for each board it becomes a file of that board's own kind; "
    "every file is loaded and compared with the trained model; then it runs on the board's engine."
)


def _lane(lane: Lane, y: float, middle: float) -> list[Html]:
    centre = y + _BOX / 2
    return [
        _curve(282, middle, 318, centre),
        _box(318, y, 132, lane.file, f"for {lane.board}", "file"),
        _arrow(450, centre, 474, centre),
        _box(474, y, 122, "compare", "with the source", "check"),
        _arrow(596, centre, 620, centre),
        _box(620, y, 132, lane.engine, "run, bench", "end"),
    ]


def _box(x: float, y: float, width: float, title: str, detail: str, kind: str) -> Html:
    frame = tag("rect", class_=f"box {kind}", x=f"{x:g}", y=f"{y:g}", width=f"{width:g}", height=f"{_BOX}", rx="7")
    words = [_words(x + width / 2, y + 19, title, "name"), _words(x + width / 2, y + 35, detail, "detail")]
    return tag("g", frame, *words)


def _words(x: float, y: float, text: str, kind: str) -> Html:
    return tag("text", text, class_=kind, x=f"{x:g}", y=f"{y:g}", text_anchor="middle")


def _arrow(x1: float, y1: float, x2: float, y2: float) -> Html:
    line = tag("path", class_="wire", d=f"M{x1:g} {y1:g}H{x2 - 5:g}")
    return tag("g", line, _head(x2, y2))


def _curve(x1: float, y1: float, x2: float, y2: float) -> Html:
    bend = (x1 + x2) / 2
    line = tag("path", class_="wire", d=f"M{x1:g} {y1:g}C{bend:g} {y1:g} {bend:g} {y2:g} {x2 - 5:g} {y2:g}")
    return tag("g", line, _head(x2, y2))


def _head(x: float, y: float) -> Html:
    return tag("path", class_="head", d=f"M{x - 7:g} {y - 4:g}L{x:g} {y:g}L{x - 7:g} {y + 4:g}Z")


_STYLE = """
.flow { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; }
.flow .box { fill: #f5f7f9; stroke: #c5ccd4; } .flow .start { fill: #0b6bcb; stroke: none; } .flow .check { fill: #e9f5ee; stroke: #8cc5a4; }
.flow .name { fill: #1b1f24; font-weight: 600; } .flow .detail { fill: #5b6570; font-size: 11px; }
.flow .start ~ .name { fill: #fff; } .flow .start ~ .detail { fill: #d7e8fa; }
.flow .wire { fill: none; stroke: #8a94a0; stroke-width: 1.5; } .flow .head { fill: #8a94a0; }
@media (prefers-color-scheme: dark) { .flow .box { fill: #1c2126; stroke: #3a424b; } .flow .start { fill: #2472c0; }
  .flow .check { fill: #17291f; stroke: #35684c; } .flow .name { fill: #e6e9ec; } .flow .detail { fill: #98a2ad; } }
"""
