"""A camera app that is killed while it records: the command itself, in a process of its own, ended by SIGKILL and started again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cameras import standing_artifact, walk
from waiting import wait_until

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.recording.recovery import end_left_open
from edgekit.apps.vision.recording.store import EventStore, Media, Query
from edgekit.apps.vision.watching.camera import CLIPS, DATABASE, SNAPSHOTS

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
EVENT = Event(
    type="presence", rule="r", camera="yard", start_s=100.0, end_s=None, score=0.9, track=1, severity="low", evidence={"n": 1}
)
SITE = """\
cameras:
  yard:
    source: {source}
    rules:
      - {{name: somebody, hysteresis_s: 60}}
  gate:
    source: {source}
    rules:
      - {{name: somebody, hysteresis_s: 60}}
"""


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`edgekit run` without a page, until it ends or is killed."""
    command = [sys.executable, "-m", "edgekit", "run", *arguments, "--headless", "--threads", "1", "--output", str(folder)]
    with (folder.parent / "log.txt").open("ab") as log:
        child = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


def rows(folder: Path) -> list[tuple[int, str, float, float | None, str]]:
    """What another process reads in the database; nothing before there is one."""
    if not (folder / DATABASE).exists():
        return []
    with closing(sqlite3.connect(folder / DATABASE, timeout=5.0)) as database:
        try:
            return database.execute("SELECT id, camera, start_s, end_s, clip FROM events ORDER BY id").fetchall()
        except sqlite3.OperationalError:  # the first start has not made its table yet
            return []


@pytest.mark.parametrize(("app", "cameras"), [("camera", 1), ("surveillance", 2)])
def test_nothing_that_was_said_to_be_stored_is_lost_by_kill_9(tmp_path: Path, app: str, cameras: int) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    source, artifact = walk(tmp_path / "yard.mp4", 29.0, size=(320, 180)), standing_artifact(tmp_path / "standing")
    (tmp_path / "site.yaml").write_text(SITE.format(source=source))
    asked = ["--source", str(source)] if cameras == 1 else ["--config", str(tmp_path / "site.yaml")]
    folder = tmp_path / "recordings"
    with running(folder, app, *asked, "--artifact", str(artifact)) as child:
        wait_until(lambda: len({row[1] for row in rows(folder)}) == cameras, "every camera stored an event")
        stored = rows(folder)
        clips = [folder / CLIPS / row[4] for row in stored]
        wait_until(lambda: all(clip.exists() and clip.stat().st_size > 5000 for clip in clips), "clips are being written")
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert all(row[3] is None for row in stored)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert {row[0] for row in rows(folder)} >= {row[0] for row in stored}
    for clip in clips:
        with av.open(str(clip)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 5
    assert len(list((folder / SNAPSHOTS).glob("*.jpg"))) >= len(stored)
    left_open = [row[0] for row in rows(folder) if row[3] is None]
    with running(folder, app, *asked, "--artifact", str(artifact)):
        wait_until(lambda: all(row[3] is not None for row in rows(folder) if row[0] in left_open), "what was open has an end")
    for number, _, start_s, end_s, clip in rows(folder):
        if number in left_open:
            assert end_s is not None and start_s <= end_s <= (folder / CLIPS / clip).stat().st_mtime + 1e-3


def test_an_event_that_nobody_ended_ends_when_its_clip_was_last_written(tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "events.db")) as store:
        (tmp_path / "a.mp4").write_bytes(b"x")
        written_s = (tmp_path / "a.mp4").stat().st_mtime
        whole = store.add(replace(EVENT, end_s=101.0))
        filmed = store.add(replace(EVENT, start_s=written_s - 5), Media(clip="a.mp4"))
        bare = store.add(replace(EVENT, start_s=200.0), Media(clip="deleted.mp4"))
        ended = end_left_open(store, tmp_path)
        assert [one.id for one in ended] == [bare, filmed]
        assert store.get(filmed).event.end_s == pytest.approx(written_s)
        assert (store.get(bare).event.end_s, store.get(whole).event.end_s) == (200.0, 101.0)
        assert store.get(bare).event.evidence == {"n": 1, "ended_by": "restart"}
        assert store.get(whole).event.evidence == {"n": 1}
        assert end_left_open(store, tmp_path) == () and store.find(Query(open=True)) == []


def test_however_many_were_left_open_each_gets_its_end(tmp_path: Path) -> None:
    with closing(EventStore(tmp_path / "events.db")) as store:
        for number in range(450):
            store.add(replace(EVENT, start_s=float(number // 3)))
        assert len(end_left_open(store, tmp_path)) == 450
        assert store.find(Query(open=True)) == []
