"""From a site's YAML to checked values. Every complaint names the file, the line and the column."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgekit.apps.vision.activities.watch import ACTIVITIES
from edgekit.apps.vision.cloud.settings import Cloud
from edgekit.apps.vision.notify.settings import Notify
from edgekit.apps.vision.privacy.settings import Faces, Mask
from edgekit.apps.vision.recording.settings import Keep
from edgekit.apps.vision.rules.places import Line, Zone
from edgekit.apps.vision.rules.settings import Camera, Detect, Filter, Rule, Segmentation, Site
from edgekit.apps.vision.sources.address import parse_address
from edgekit.core.errors import EdgekitError, InputError, NotFound
from edgekit.core.names import did_you_mean
from edgekit.core.strict_yaml import Places, parse_located

T = TypeVar("T")
SIZE_LIMIT_BYTES = 1 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
CAMERA_KEYS = ("source", "detect", "zones", "lines", "rules", "starts", "masks", "faces", "filter", "segmentation")
SITE_KEYS = ("cameras", "detector", "pose", "presence", "notify", "cloud", "keep")
Where = tuple["str | int", ...]


def read_site(path: Path) -> Site:
    """The site described by the file. Raises `NotFound` and `InputError`."""
    return parse_site(site_text(path), path.name)


def site_text(path: Path) -> str:
    """What the file says, unread. Raises `NotFound`, and `InputError` for what is too large or no text."""
    if not path.is_file():
        raise NotFound(f"no settings at {str(path)!r}", "is the path right?")
    if path.stat().st_size > SIZE_LIMIT_BYTES:
        raise InputError(f"{str(path)!r} is {path.stat().st_size} bytes, settings are at most {SIZE_LIMIT_BYTES}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise InputError(f"{str(path)!r} is not UTF-8 text: {exc}") from exc


def parse_site(text: str, name: str) -> Site:
    """As `read_site`, for text; `name` stands in the complaints."""
    value, places = parse_located(text, name)
    return _Reader(name, places).site(value)


class _Reader:
    """Checks values against their types and names, and knows where each was written."""

    def __init__(self, name: str, places: Places) -> None:
        self._name, self._places = name, places

    def site(self, value: Any) -> Site:
        found = self._map(value, (), SITE_KEYS)
        cameras = self._map(found.get("cameras"), ("cameras",))
        if not cameras:
            raise self.complaint(("cameras",), "there is no camera", "cameras: {yard: {source: rtsp://…}}")
        return Site(
            cameras=tuple(self._camera(name, camera, ("cameras", name)) for name, camera in cameras.items()),
            detector=self._typed(str, found.get("detector", ""), ("detector",)),
            pose=self._typed(str, found.get("pose", ""), ("pose",)),
            presence=self._typed(str, found.get("presence", ""), ("presence",)),
            notify=self._typed(Notify, found["notify"], ("notify",)) if "notify" in found else None,
            cloud=self._typed(Cloud, found["cloud"], ("cloud",)) if "cloud" in found else None,
            keep=self._typed(Keep, found.get("keep", {}), ("keep",)),
        )

    def complaint(self, where: Where, problem: str, hint: str = "") -> InputError:
        """The error that names the nearest place known."""
        while where and where not in self._places:
            where = where[:-1]
        line, column = self._places.get(where, (1, 1))
        return InputError(f"{self._name}, line {line}, column {column}: {problem}", hint)

    def _camera(self, name: str, value: Any, where: Where) -> Camera:
        self._ensure_name(name, where)
        found = self._map(value, where, CAMERA_KEYS)
        zones = self._all(Zone, found.get("zones", {}), (*where, "zones"))
        lines = self._all(Line, found.get("lines", {}), (*where, "lines"))
        self._check_places(zones, lines, where)
        masks = self._all(Mask, found.get("masks", {}), (*where, "masks"))
        self._check_masks(masks, (*where, "masks"))
        faces: Faces = self._typed(Faces, found.get("faces", "shown"), (*where, "faces"))  # type: ignore[arg-type]
        drawn: Filter = self._typed(Filter, found.get("filter", "none"), (*where, "filter"))  # type: ignore[arg-type]
        shapes: Segmentation = self._typed(Segmentation, found.get("segmentation", "shown"), (*where, "segmentation"))  # type: ignore[arg-type]
        rules = tuple(self._typed(list[Rule], found.get("rules", []), (*where, "rules")))
        for index, rule in enumerate(rules):
            self._check_rule(rule, zones, lines, (*where, "rules", index))
        return Camera(
            name=name,
            source=self._source(self._typed(str, found.get("source", ""), (*where, "source")), (*where, "source")),
            detect=self._typed(Detect, found.get("detect", {}), (*where, "detect")),
            zones=zones,
            lines=lines,
            rules=rules,
            starts=self._typed(datetime, found["starts"], (*where, "starts")) if "starts" in found else None,
            masks=masks,
            faces=faces,
            filter=drawn,
            segmentation=shapes,
        )

    def _source(self, text: str, where: Where) -> Any:
        try:
            return parse_address(text)
        except EdgekitError as exc:
            raise self.complaint(where, exc.message, exc.hint) from exc

    def _check_places(self, zones: Mapping[str, Zone], lines: Mapping[str, Line], where: Where) -> None:
        for name, zone in zones.items():
            if len(zone.points) < 3 or zone.inertia < 1:
                raise self.complaint((*where, "zones", name), "a zone has three points or more, and an inertia of 1 or more")
            self._ensure_shares(zone.points, (*where, "zones", name, "points"))
        for name, line in lines.items():
            self._ensure_shares((line.start, line.end), (*where, "lines", name))
            if line.start == line.end or not 0 <= line.band <= 0.25:
                raise self.complaint((*where, "lines", name), "a line has two different ends and a band of 0 to 0.25")

    def _check_masks(self, masks: Mapping[str, Mask], where: Where) -> None:
        for name, mask in masks.items():
            if len(mask.points) < 3:
                raise self.complaint((*where, name), "a mask has three points or more")
            self._ensure_shares(mask.points, (*where, name, "points"))

    def _ensure_shares(self, points: tuple[tuple[float, float], ...], where: Where) -> None:
        for index, point in enumerate(points):
            if not all(0 <= each <= 1 for each in point):
                said = f"the point {list(point)} lies outside the picture"
                raise self.complaint((*where, index), said, "points are shares of width and height, from 0 to 1")

    def _check_rule(self, rule: Rule, zones: Mapping[str, Zone], lines: Mapping[str, Line], where: Where) -> None:
        asked = [key for key in ("line", "activity") if getattr(rule, key)] + ["loitering"] * (rule.loitering is not None)
        if len(asked) > 1:
            raise self.complaint(where, f"rule {rule.name!r} asks for {' and '.join(asked)}", "make a rule of each")
        for key, known in (("zone", zones), ("line", lines), ("activity", ACTIVITIES)):
            named = getattr(rule, key)
            if named and named not in known:
                hint = did_you_mean(named, known, f"there are: {', '.join(known) or 'none'}")
                raise self.complaint((*where, key), f"rule {rule.name!r} names the {key} {named!r}, which is not there", hint)
        if rule.direction != "any" and not rule.line:
            raise self.complaint((*where, "direction"), f"rule {rule.name!r} has a direction and no line", "line: NAME")

    def _ensure_name(self, name: str, where: Where) -> None:
        if not NAME.fullmatch(name):
            raise self.complaint(where, f"the name {name!r} is not made of letters, digits, '-' and '_' (64 at most)")

    def _all(self, kind: type[T], value: Any, where: Where) -> dict[str, T]:
        found = self._map(value, where)
        for name in found:
            self._ensure_name(name, (*where, name))
        return {name: self._typed(kind, each, (*where, name)) for name, each in found.items()}

    def _map(self, value: Any, where: Where, known: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.complaint(where, f"here stands a map, not {type(value).__name__}", "NAME: {…}")
        for key in value:
            if known and key not in known:
                raise self.complaint((*where, key), f"{key!r} is not known here", did_you_mean(key, known, ", ".join(known)))
        return value

    def _typed(self, kind: type[T], value: Any, where: Where) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as exc:
            problem, _, at = str(exc).partition(" - at `$")
            unknown = re.search(r"unknown field `([^`]*)`", problem)
            inside = [int(part) if part.isdigit() else part for part in re.findall(r"[A-Za-z_]+|[0-9]+", at)]
            path = (*where, *inside, *([unknown.group(1)] if unknown else []))
            raise self.complaint(path, problem) from exc
