"""ByteTrack (Zhang et al., arXiv:2110.06864): good detections are assigned first, weak ones then keep alive what they fit.

Nothing grows without bound: at most `most` tracks, each forgotten `lost_s` seconds after it was last seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.apps.vision.tracking import kalman
from edgekit.apps.vision.tracking.assign import assign, overlaps
from edgekit.apps.vision.tracking.tracks import Boxes, Floats, Ints, Tracks, no_boxes

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerSettings:
    """When a detection begins, continues and ends a track."""

    high_score: float = 0.4
    """A detection of this score is good: it can begin a track."""
    low_score: float = 0.1
    """One below is not looked at."""
    high_overlap: float = 0.2
    """A good detection belongs to a track from this overlap on."""
    low_overlap: float = 0.4
    """A weak one from this."""
    reach: float = 0.75
    """A good detection that no overlap explains may still be a track that was lost from sight, when its middle is not farther off
    than this share of the track's longer side: who falls changes shape faster than boxes overlap."""
    confirm: int = 2
    """Frames that must show a track before it is reported; one blink of a detector is nothing."""
    lost_s: float = 2.0
    weak_s: float = 3.0
    """Weak detections keep a track alive this long after the last good one: what is only ever weak is a shape like a person's, which
    took the track of somebody who passed it."""
    most: int = 128


class ByteTrack:
    """The state of one camera's tracks. `update` takes each frame's detections in the order of their times."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._motions = kalman.started(np.empty((0, 4)))
        self._scores: Floats = np.empty(0)
        self._class_ids: Ints = np.empty(0, np.int64)
        self._ids: Ints = np.empty(0, np.int64)
        self._since_s: Floats = np.empty(0)
        self._seen_s: Floats = np.empty(0)
        self._sure_s: Floats = np.empty(0)
        self._hits: Ints = np.empty(0, np.int64)
        self._shown: list[tuple[Rows, Floats]] = []
        self._next_id, self._time_s = 1, -np.inf

    def update(self, found: Boxes, time_s: float) -> Tracks:
        """All confirmed tracks at `time_s`, those that this frame did not show where they should be by now.

        A time that went back counts as no time passed.
        """
        passed = time_s - self._time_s if np.isfinite(self._time_s) else 0.0
        unseen = self._seen_s < self._time_s
        self._time_s = time_s
        self._motions = kalman.slowed(self._motions, unseen, max(passed, 0.0))
        self._motions = kalman.predicted(self._motions, max(passed, 0.0))
        new = self._matched(found, time_s, max(2 * passed, 0.5))
        begin = self._recovered(found.take(new), time_s) if len(new) else no_boxes()
        self._correct()
        self._begin(begin, time_s)
        self._forget(time_s)
        return self._reported(time_s)

    def support(self, track_id: int, box: Floats, score: float) -> None:
        """Something other than the detector (its pose, say) shows the track at `box` in the frame of the last `update`."""
        rows = np.flatnonzero(self._ids == track_id)
        seen = Boxes(boxes=box[None], scores=np.array([score]), class_ids=self._class_ids[rows])
        self._continue(rows, seen, self._time_s)
        self._correct()

    def current(self) -> Tracks:
        """What `update` returned, with what `support` added since."""
        return self._reported(self._time_s)

    def _matched(self, found: Boxes, time_s: float, lately_s: float) -> Rows:
        """Continue the tracks that overlap with good detections, then with weak ones those that were seen lately; the rows of good
        detections that are left."""
        high = found.scores >= self.settings.high_score
        good, tracks = high.nonzero()[0], np.arange(len(self._ids))
        if not len(tracks) or not len(found):
            return good
        overlap = overlaps(kalman.boxes_of(self._motions), found.boxes, self._class_ids, found.class_ids)
        left, new = self._match(found, overlap, tracks, good, self.settings.high_overlap)
        if len(left) and len(good) < len(found):
            weak = (~high & (found.scores >= self.settings.low_score)).nonzero()[0]
            lately = (self._hits[left] >= self.settings.confirm) & (self._seen_s[left] >= time_s - lately_s)
            lately &= self._sure_s[left] >= time_s - self.settings.weak_s
            self._match(found, overlap, left[lately], weak, self.settings.low_overlap, sure=False)
        return new

    def _match(
        self, found: Boxes, overlap: Floats, rows: Rows, shown: Rows, least: float, *, sure: bool = True
    ) -> tuple[Rows, Rows]:
        """Continue the tracks of `rows` that the detections `shown` show; the rows of tracks and of detections that are left."""
        if not len(rows) or not len(shown):
            return rows, shown
        pairs = assign(overlap.take(rows, axis=0).take(shown, axis=1), least)
        self._continue(rows[pairs.first], found.take(shown[pairs.second]), self._time_s, sure=sure)
        return rows[pairs.first_left], shown[pairs.second_left]

    def _recovered(self, found: Boxes, time_s: float) -> Boxes:
        """Continue confirmed tracks that this frame has not shown yet by what is near them; the detections that are left."""
        rows = np.flatnonzero((self._seen_s < time_s) & (self._hits >= self.settings.confirm))
        if not len(rows) or not len(found):
            return found
        place = self._motions.place[:, rows]
        off = np.hypot(*(place[:2, :, None] - kalman.measured(found.boxes)[:2, None]))
        near = 1 - off / np.maximum(place[2:].max(axis=0), 1.0)[:, None]
        near = np.where(self._class_ids[rows][:, None] == found.class_ids[None], near, 0.0)
        pairs = assign(near, 1 - self.settings.reach)
        self._continue(rows[pairs.first], found.take(pairs.second), time_s)
        return found.take(pairs.second_left)

    def _continue(self, rows: Rows, found: Boxes, time_s: float, *, sure: bool = True) -> None:
        if not len(rows):
            return
        self._shown.append((rows, found.boxes))
        self._scores[rows] = found.scores
        self._seen_s[rows] = time_s
        if sure:
            self._sure_s[rows] = time_s
        self._hits[rows] += 1

    def _correct(self) -> None:
        """Where things are by what showed them, all at once: a dozen boxes cost what the calls cost."""
        if self._shown:
            rows, boxes = (np.concatenate(parts) for parts in zip(*self._shown, strict=True))
            self._motions = kalman.corrected(self._motions, rows, boxes)
            self._shown = []

    def _begin(self, found: Boxes, time_s: float) -> None:
        """New tracks from good detections that no track explains; the best, when there is no room for all."""
        room = max(self.settings.most - len(self._ids), 0)
        count = min(len(found), room)
        if not count:
            return
        found = found.take(np.argsort(-found.scores, kind="stable")[:room])
        self._motions = kalman.joined(self._motions, kalman.started(found.boxes))
        self._scores = np.append(self._scores, found.scores)
        self._class_ids = np.append(self._class_ids, found.class_ids)
        self._ids = np.append(self._ids, np.arange(self._next_id, self._next_id + count))
        self._since_s = np.append(self._since_s, np.full(count, time_s))
        self._seen_s = np.append(self._seen_s, np.full(count, time_s))
        self._sure_s = np.append(self._sure_s, np.full(count, time_s))
        self._hits = np.append(self._hits, np.ones(count, np.int64))
        self._next_id += count

    def _forget(self, time_s: float) -> None:
        """Tracks that were not seen for long, and beginnings that the next frame did not confirm."""
        unseen_s = time_s - self._seen_s
        if not unseen_s.any():
            return
        patience = np.where(self._hits < self.settings.confirm, self.settings.lost_s / 4, self.settings.lost_s)
        kept = np.flatnonzero(unseen_s <= patience)
        if len(kept) == len(self._ids):
            return
        self._motions = self._motions.take(kept)
        for name in ("_scores", "_class_ids", "_ids", "_since_s", "_seen_s", "_sure_s", "_hits"):
            setattr(self, name, getattr(self, name)[kept])

    def _reported(self, time_s: float) -> Tracks:
        rows = (self._hits >= self.settings.confirm).nonzero()[0]
        seen_s = self._seen_s.take(rows)
        return Tracks(
            ids=self._ids.take(rows),
            boxes=kalman.boxes_of(self._motions).take(rows, axis=0),
            scores=self._scores.take(rows),
            class_ids=self._class_ids.take(rows),
            since_s=self._since_s.take(rows),
            seen_s=seen_s,
            fresh=seen_s == time_s,
        )
