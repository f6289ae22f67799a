"""What a site's file may say, as frozen values, and the sentences for what it may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from edgekit.apps.vision.activities.fall import DOWN, FALL
from edgekit.apps.vision.activities.watch import ACTIVITIES
from edgekit.apps.vision.cloud.settings import Cloud
from edgekit.apps.vision.events import Severity
from edgekit.apps.vision.notify.settings import Notify
from edgekit.apps.vision.privacy.settings import Faces, Mask
from edgekit.apps.vision.recording.settings import Keep
from edgekit.apps.vision.rules.places import Line, Zone
from edgekit.apps.vision.rules.schedule import Hours
from edgekit.apps.vision.sources.address import Address
from edgekit.core.schema import Value

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Filter = Literal["none", "glasses", "hat", "moustache"]
"""What is drawn on the faces of the live picture, for fun."""
Segmentation = Literal["shown", "hidden"]
"""Whether the live picture shows the shapes of what was found, where the detector gives any."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Rule(Value, frozen=True, kw_only=True, rename={"label": "class"}):
    """One rule. What is given must all hold: so many of the class, in the zone, for so long, while the schedule is awake.

    `line`, `activity` and `loitering` ask for more than presence; at most one of them is given.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    label: str = "person"
    zone: str = ""
    line: str = ""
    direction: Literal["any", "forward", "backward"] = "any"
    activity: str = ""
    loitering: Share | None = None
    """Least score."""
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    dwell_s: Seconds = 0.0
    """Each of them must have been there for this long."""
    min_score: Share = 0.0
    schedule: tuple[Hours, ...] = ()
    hysteresis_s: Seconds = 1.0
    """The event ends when its condition has not held for this long."""
    cooldown_s: Seconds = 0.0
    """After an event ended (for a line: after it began) the same track, or for counts the rule, keeps silent for this long."""
    severity: Severity = "medium"
    enabled: bool = True
    """A rule that is switched off stays in the file and is passed over."""


class Detect(Value, frozen=True, kw_only=True):
    """How a camera's frames are looked at."""

    fps: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    min_score: Share = 0.4
    """A detection of this score begins a track."""
    motion_gate: bool = True
    """Nothing is looked for while nothing moves and nobody is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera of a site."""

    name: str
    source: Address
    detect: Detect
    zones: Mapping[str, Zone]
    lines: Mapping[str, Line]
    rules: tuple[Rule, ...]
    starts: datetime | None = None
    """Wall clock of a recording's first frame; schedules go by it."""
    masks: Mapping[str, Mask] = field(default_factory=dict)
    faces: Faces = "shown"
    filter: Filter = "none"
    segmentation: Segmentation = "shown"

    @property
    def private(self) -> bool:
        """Whether something of its pictures is taken out, so that its own stream may not be kept."""
        return bool(self.masks) or self.faces != "shown"

    @property
    def encoded_here(self) -> bool:
        """Whether its clips are encoded by us: what it sends may not be kept, or is no encoded stream."""
        return self.private or not self.source.encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A whole file: cameras by name, and the models that all share (paths as written, empty when not given). `presence` is a
    classifier that is asked before the detector."""

    cameras: tuple[Camera, ...]
    detector: str = ""
    pose: str = ""
    presence: str = ""
    notify: Notify | None = None
    cloud: Cloud | None = None
    keep: Keep = field(default_factory=Keep)


DEFAULT_RULES = (
    Rule(name="person", count=1, hysteresis_s=2.0, severity="low"),
    Rule(name="loitering", loitering=0.5, dwell_s=20.0, severity="low"),
    *(
        Rule(name=activity, activity=activity, severity="high" if activity in (FALL, DOWN) else "low")
        for activity in ACTIVITIES
    ),
)
"""What is looked for when nothing is written."""


def written(camera: Camera) -> tuple[Rule, ...]:
    """The camera's rules, those that are switched off among them; the default ones where none are written."""
    return camera.rules or DEFAULT_RULES


def awake_rules(camera: Camera) -> tuple[Rule, ...]:
    """The rules that are switched on."""
    return tuple(rule for rule in written(camera) if rule.enabled)


def models_named(site: Site) -> tuple[str, str, str]:
    """The models that the file names; another one counts from the next start on."""
    return site.detector, site.pose, site.presence


def looked_for(camera: Camera) -> frozenset[str]:
    """The classes that the camera's rules are about; people always, since poses and activities are theirs."""
    return frozenset(rule.label for rule in awake_rules(camera)) | {"person"}
