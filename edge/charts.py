"""Small SVG charts for pages: drawn here, coloured by the page's style sheet, readable without colour.

All functions are pure: numbers in, markup out. Every chart has a text for those who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from edgekit.pages import Html, tag

WIDTH = 760
LEFT, RIGHT = 56, 48
UNIT = 7
PARTS = 5
"""Colours for the parts of a bar."""
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One horizontal bar: a value, the interval it is known within, and a second, higher mark (0: none)."""

    label: str
    value: float
    low: float
    high: float
    mark: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A vertical line at a value, with its name."""

    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points in time order (x, y) and a level line under them; `aside` is a second quantity over the same time."""

    label: str
    points: tuple[tuple[float, float], ...]
    level: float
    aside: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One bar made of named parts, in the order they are given; `text` stands at its end."""

    label: str
    parts: tuple[tuple[str, float], ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One thing at (x, y), as large as `size` is among the others; those that are `chosen` are filled and named."""

    label: str
    x: float
    y: float
    size: float
    chosen: bool


def ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """About `count` round numbers that span `low` to `high`, both finite, `low <= high`."""
    if not high > low:
        return (low,)
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * nice for nice in _NICE if power * nice >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))


def short(value: float) -> str:
    """A number as an axis shows it: at most four significant digits, no exponent for everyday sizes."""
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.2e}"


def bars(rows: Sequence[Bar], unit: str, description: str) -> Html:
    """Horizontal bars from zero with whiskers over [low, high] and a hollow diamond at `mark`."""
    top, pitch = 6, 46
    height = top + pitch * len(rows) + 24
    limit = max(max(row.high, row.mark, row.value) for row in rows) * 1.02 or 1.0
    scale = (WIDTH - RIGHT - 8) / limit
    grid = [_grid_x(8 + tick * scale, top, height - 24, short(tick)) for tick in ticks(0, limit)]
    drawn = [_bar(row, 8, top + index * pitch, scale) for index, row in enumerate(rows)]
    return _chart(height, description, [*grid, *drawn, _unit(height, unit)])


def histogram(counts: Sequence[int], low: float, high: float, rules: Sequence[Rule], unit: str, description: str) -> Html:
    """Counts in equal bins over [low, high], with named vertical lines at their values (those outside are left out)."""
    top, base, height = 20 + 14 * len(rules), 160 + 14 * len(rules), 184 + 14 * len(rules)
    span, tallest = (high - low) or 1.0, max((*counts, 1))
    scale, width = (WIDTH - LEFT - RIGHT) / span, (WIDTH - LEFT - RIGHT) / max(1, len(counts))
    columns = [
        _rect("fill", LEFT + i * width, base - (base - top) * n / tallest, max(0.5, width - 1), (base - top) * n / tallest)
        for i, n in enumerate(counts)
        if n
    ]
    grid = [_grid_x(LEFT + (tick - low) * scale, top, base, short(tick)) for tick in ticks(low, high, 7)]
    inside = [rule for rule in rules if low <= rule.value <= high]
    lines = _rules([(LEFT + (rule.value - low) * scale, rule.label) for rule in inside], top, base)
    return _chart(
        height, description, [*grid, *columns, _line("axis", LEFT, base, WIDTH - RIGHT, base), *lines, _unit(height, unit)]
    )


def stacks(rows: Sequence[Stack], unit: str, description: str) -> Html:
    """Horizontal bars from zero, each a sequence of parts; a part that is wide enough is named in it, a legend names all."""
    top, pitch = 30, 46
    height = top + pitch * len(rows) + 24
    limit = max((sum(value for _, value in row.parts) for row in rows), default=0.0) * 1.02 or 1.0
    scale = (WIDTH - RIGHT - 8) / limit
    names = list(dict.fromkeys(name for row in rows for name, _ in row.parts))
    grid = [_grid_x(8 + tick * scale, top, height - 24, short(tick)) for tick in ticks(0, limit)]
    drawn = [_stack(row, names, 8, top + index * pitch, scale) for index, row in enumerate(rows)]
    return _chart(height, description, [*_legend(names), *grid, *drawn, _unit(height, unit)])


def timeline(series: Sequence[Series], low: float, high: float, unit: str, description: str, *, aside_unit: str = "") -> Html:
    """Dots over time, one colour per series, each with a line at its level; values above `high` sit on the upper edge.

    What the series carry aside is drawn as dashed lines on an axis of its own, on the right.
    """
    top, base, height = 12, 200, 224
    end = max((point[0] for one in series for point in one.points), default=1.0) or 1.0
    x_scale, y_scale = (WIDTH - LEFT - RIGHT) / end, (base - top) / ((high - low) or 1.0)
    grid = [_grid_y(base - (tick - low) * y_scale, short(tick)) for tick in ticks(low, high, 5)]
    marks = [_grid_x(LEFT + tick * x_scale, base, base, short(tick)) for tick in ticks(0, end, 8)]
    drawn = []
    for index, one in enumerate(series):
        colour = f"s{index % 3}"
        places = [(LEFT + x * x_scale, base - (min(max(y, low), high) - low) * y_scale) for x, y in one.points]
        drawn += [tag("circle", class_=colour, cx=f"{x:.1f}", cy=f"{y:.1f}", r="1.6") for x, y in places]
        level = base - (min(max(one.level, low), high) - low) * y_scale
        drawn += [_line(f"line {colour}", places[0][0], level, places[-1][0], level, one.label)] if places else []
    drawn += _aside(series, x_scale, top, base, aside_unit)
    return _chart(height, description, [*grid, *marks, *drawn, _unit(height, unit)])


def _aside(series: Sequence[Series], x_scale: float, top: float, base: float, unit: str) -> list[Html]:
    """Dashed lines of the second quantity, and its axis."""
    values = [y for one in series for _, y in one.aside]
    if not values:
        return []
    low, high = _padded(min(values), max(values))
    scale = (base - top) / (high - low)
    marks = [
        _text(WIDTH - RIGHT + 6, base - (tick - low) * scale + 4, f"{short(tick)} {unit}", "aside-text")
        for tick in ticks(low, high, 4)
    ]
    lines = []
    for index, one in enumerate(series):
        places = [(LEFT + x * x_scale, base - (y - low) * scale) for x, y in one.aside]
        lines += [_line(f"line aside s{index % 3}", *first, *second) for first, second in pairwise(places)]
    return [*marks, *lines]


def scatter(dots: Sequence[Dot], x_unit: str, y_unit: str, description: str) -> Html:
    """Circles whose areas follow their sizes; the chosen ones are joined by a line from left to right."""
    top, base, height = 16, 260, 304
    low, high = _padded(min(dot.y for dot in dots), max(dot.y for dot in dots))
    left, right = _padded(min(dot.x for dot in dots), max(dot.x for dot in dots))
    x_scale, y_scale = (WIDTH - LEFT - RIGHT) / (right - left), (base - top) / (high - low)
    places = {dot: (LEFT + (dot.x - left) * x_scale, base - (dot.y - low) * y_scale) for dot in dots}
    grid = [_grid_y(base - (tick - low) * y_scale, short(tick)) for tick in ticks(low, high, 5)]
    marks = [_grid_x(LEFT + (tick - left) * x_scale, base, base, short(tick)) for tick in ticks(left, right, 8)]
    way = sorted(place for dot, place in places.items() if dot.chosen)
    lines = [_line("line s0", *first, *second) for first, second in pairwise(way)]
    largest = max(dot.size for dot in dots) or 1.0
    circles = [_circle(dot, places[dot], 3 + 9 * math.sqrt(dot.size / largest)) for dot in dots]
    names = [_beside(dot.label, *places[dot]) for dot in dots if dot.chosen]
    unit = [_unit(height, f"{y_unit} over {x_unit}")]
    return _chart(height, description, [*grid, *marks, *lines, *circles, *names, *unit])


def _circle(dot: Dot, place: tuple[float, float], radius: float) -> Html:
    centre = {"cx": f"{place[0]:.1f}", "cy": f"{place[1]:.1f}", "r": f"{radius:.1f}"}
    return tag("circle", tag("title", dot.label), class_="s0" if dot.chosen else "s1", **centre)


def _beside(label: str, x: float, y: float) -> Html:
    """A name to the right of its place, or to the left where there is no room."""
    fits = x + 16 + 6.5 * len(label) < WIDTH
    return _text(x + 14 if fits else x - 14, y - 6, label, "strong", anchor="start" if fits else "end")


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = (high - low) * 0.08 or max(abs(high) * 0.05, 1e-9)
    return low - margin, high + margin


def _bar(row: Bar, left: float, y: float, scale: float) -> Html:
    end, low, high = (left + value * scale for value in (row.value, row.low, row.high))
    middle, mark = y + 29, left + row.mark * scale
    parts = [
        _text(left, y + 15, row.label, "strong"),
        _text(WIDTH - RIGHT, y + 15, row.text or short(row.value), "strong", anchor="end"),
        _rect("soft", left, y + 21, max(1.0, end - left), 16),
        _line("whisker", low, middle, high, middle),
        *(_line("whisker", x, middle - 5, x, middle + 5) for x in (low, high)),
    ]
    diamond = f"{mark - 5:.1f},{middle} {mark:.1f},{middle - 5} {mark + 5:.1f},{middle} {mark:.1f},{middle + 5}"
    return tag("g", *parts, *([tag("polygon", class_="fill", points=diamond)] if row.mark else []))


def _stack(row: Stack, names: Sequence[str], left: float, y: float, scale: float) -> Html:
    parts, x = [_text(left, y + 15, row.label, "strong"), _text(WIDTH - RIGHT, y + 15, row.text, "strong", anchor="end")], left
    for name, value in row.parts:
        width = value * scale
        parts.append(_rect(f"part p{names.index(name) % PARTS}", x, y + 21, max(0.5, width), 16, f"{name}: {short(value)}"))
        if width > 6.8 * len(name) + 8:
            parts.append(_text(x + width / 2, y + 33, name, "inside", anchor="middle"))
        x += width
    return tag("g", *parts)


def _legend(names: Sequence[str]) -> list[Html]:
    """Squares and names in one line."""
    drawn, x = [], 8.0
    for index, name in enumerate(names):
        drawn += [_rect(f"part p{index % PARTS}", x, 6, 10, 10), _text(x + 15, 15, name)]
        x += 30 + 6.6 * len(name)
    return drawn


def _rules(lines: Sequence[tuple[float, str]], top: float, base: float) -> list[Html]:
    """Vertical lines with their names to the right; a name that would run into a line further right stands above it."""
    drawn: list[Html] = []
    placed: list[tuple[float, int]] = []
    for x, label in sorted(lines, reverse=True):
        end = x + 8 + 6.8 * len(label)
        row = 1 + max((other for place, other in placed if place < end), default=-1)
        placed.append((x, row))
        y = top - 6 - 14 * row
        drawn += [_line("rule", x, y - 8, x, base), _text(x + 4, y, label, "rule-text")]
    return drawn


def _chart(height: float, description: str, parts: Sequence[Html]) -> Html:
    return tag("svg", tag("title", description), *parts, class_="chart", viewBox=f"0 0 {WIDTH} {height:g}", role="img")


def _grid_x(x: float, top: float, base: float, label: str) -> Html:
    return tag("g", _line("grid", x, top, x, base), _text(x, base + 17, label, anchor="middle"))


def _grid_y(y: float, label: str) -> Html:
    return tag("g", _line("grid", LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, label, anchor="end"))


def _unit(height: float, unit: str) -> Html:
    return _text(WIDTH - 4, height - UNIT, unit, anchor="end")


def _line(kind: str, x1: float, y1: float, x2: float, y2: float, title: str = "") -> Html:
    inside = (tag("title", title),) if title else ()
    return tag("line", *inside, class_=kind, x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}")


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str = "") -> Html:
    inside = (tag("title", title),) if title else ()
    return tag("rect", *inside, class_=kind, x=f"{x:.2f}", y=f"{y:.2f}", width=f"{width:.2f}", height=f"{height:.2f}", rx="1")


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> Html:
    extra = {"class_": kind} if kind else {}
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **extra)
