"""The picture on which zones and lines are drawn, and the draft of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import ui
from nicegui.events import GenericEventArguments

from edgekit.apps.vision.rules.places import Line, Point, Zone
from edgekit.apps.vision.rules.settings import Camera
from edgekit.core.errors import InputError

Kind = Literal["zone", "line"]
MOST_POINTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A zone or a line of a draft. `was` is the name under which the file knows it, empty for a new one; `slack` is a zone's
    inertia or a line's band; `alerts` asks for a rule about it."""

    id: int
    kind: Kind
    name: str
    points: tuple[Point, ...]
    slack: float
    was: str = ""
    alerts: bool = False

    def zone(self) -> Zone:
        return Zone(points=self.points, inertia=int(self.slack))

    def line(self) -> Line:
        return Line(start=self.points[0], end=self.points[1], band=self.slack)


def shapes_of(camera: Camera) -> list[Shape]:
    """What a camera's settings hold."""
    zones = [(name, "zone", zone.points, float(zone.inertia)) for name, zone in camera.zones.items()]
    lines = [(name, "line", (line.start, line.end), line.band) for name, line in camera.lines.items()]
    return [
        Shape(id=number, kind=kind, name=name, points=points, slack=slack, was=name)  # type: ignore[arg-type]
        for number, (name, kind, points, slack) in enumerate([*zones, *lines], 1)
    ]


def new_shape(kind: Kind, points: tuple[Point, ...], others: Sequence[Shape]) -> Shape:
    """One that was just drawn, with a name that is free."""
    taken = {shape.name for shape in others}
    name = next(name for number in range(1, len(others) + 2) if (name := f"{kind}-{number}") not in taken)
    slack = float(Zone(points=points).inertia) if kind == "zone" else Line(start=points[0], end=points[1]).band
    return Shape(
        id=1 + max((shape.id for shape in others), default=0), kind=kind, name=name, points=points, slack=slack, alerts=True
    )


def points_of(given: Any) -> tuple[Point, ...]:
    """Points that came from a browser. Raises `InputError` for what is none."""
    try:
        points = tuple((float(x), float(y)) for x, y in given)
    except (TypeError, ValueError) as exc:
        raise InputError("these are no points") from exc
    if not 2 <= len(points) <= MOST_POINTS or not all(0 <= share <= 1 for point in points for share in point):
        raise InputError(f"a zone or line has 2 to {MOST_POINTS} points within the picture, not {len(points)}")
    return points


class Places(ui.element, component="places.js"):
    """The editor over a picture, which is made within it. The three are told what was done by hand, with shapes' ids."""

    def __init__(
        self,
        *,
        drawn: Callable[[Kind, tuple[Point, ...]], None],
        moved: Callable[[int, tuple[Point, ...]], None],
        chosen: Callable[[int], None],
        gave_up: Callable[[], None],
    ) -> None:
        super().__init__()
        self.props["shapes"], self.props["chosen"] = [], 0

        def on_drawn(event: GenericEventArguments) -> None:
            drawn("zone" if event.args["kind"] == "zone" else "line", points_of(event.args["points"]))

        self.on("drawn", on_drawn)
        self.on("moved", lambda event: moved(int(event.args["id"]), points_of(event.args["points"])))
        self.on("chosen", lambda event: chosen(int(event.args["id"])))
        self.on("gaveup", gave_up, args=[])

    def show(self, shapes: Iterable[Shape], chosen: int) -> None:
        """The draft as it is, with the corners of one of it."""
        self.props["shapes"] = [
            {"id": shape.id, "kind": shape.kind, "name": shape.name, "points": [list(point) for point in shape.points]}
            for shape in shapes
        ]
        self.props["chosen"] = chosen
        self.update()

    def draws(self, kind: Kind) -> str:
        """The handler of a click after which the next presses are the corners of a new one: in the browser, since a hand may press before
        a server's answer has come."""
        return f"() => getElement({self.id}).draw('{kind}')"
