"""All activities of all people in front of one camera."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from edgekit.apps.vision.activities.fall import DOWN, FALL, FallRule
from edgekit.apps.vision.activities.fight import FIGHT, possible_fight
from edgekit.apps.vision.activities.moves import CROUCHING, HANDS_UP, MOVES, RUNNING
from edgekit.apps.vision.activities.sign import Sign
from edgekit.apps.vision.poses.postures import History, posture
from edgekit.apps.vision.tracking.people import PERSON, People

ACTIVITIES = (FALL, DOWN, RUNNING, CROUCHING, HANDS_UP, FIGHT)
NEIGHBOURS = 12
"""Pairs are looked at among so many people at most: the work grows with the square."""


class ActivityWatch:
    """A history and a fall rule for each track that is followed."""

    def __init__(self) -> None:
        self._histories: dict[int, History] = {}
        self._falls: dict[int, FallRule] = {}

    def look(self, people: People, time_s: float) -> list[tuple[int, Sign]]:
        """The signs that hold now, with the track each belongs to. Only what this frame showed counts."""
        tracks = people.tracks
        shown = tracks.take((tracks.class_ids == PERSON) & np.isin(tracks.ids, [*people.poses, *tracks.ids[tracks.fresh]]))
        followed = set(map(int, tracks.ids))
        self._histories = {track: history for track, history in self._histories.items() if track in followed}
        self._falls = {track: rule for track, rule in self._falls.items() if track in followed}
        found = []
        for track, box in zip(map(int, shown.ids), shown.boxes, strict=True):
            history = self._histories.setdefault(track, History())
            history.add(posture(box, people.poses.get(track), time_s))
            found += [(track, sign) for sign in self._signs(track, history)]
        return found + self._fights([int(track) for track in shown.ids[:NEIGHBOURS]])

    def _signs(self, track: int, history: History) -> list[Sign]:
        fall = self._falls.setdefault(track, FallRule()).look(history)
        return fall or [sign for sign in (move(history) for move in MOVES) if sign is not None]

    def _fights(self, tracks: list[int]) -> list[tuple[int, Sign]]:
        found = []
        for one, other in combinations(tracks, 2):
            sign = possible_fight(self._histories[one], self._histories[other])
            if sign is not None:
                found.append((one, sign))
        return found
