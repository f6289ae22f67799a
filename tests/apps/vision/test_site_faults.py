"""A whole site with its guards: what happens in front of a camera arrives elsewhere, masked, measured, and after a fault."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cameras import FigureFinder, walk
from waiting import wait_until

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.privacy.veil import veil_of
from edgekit.apps.vision.recording.store import EventStore, Media
from edgekit.apps.vision.run import recover
from edgekit.apps.vision.watching.camera import CLIPS, DATABASE, SNAPSHOTS
from edgekit.apps.vision.watching.guards import guarding
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.vision.watching.site_file import SiteFile

av = pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
SITE = """\
cameras:
  yard:
    source: {source}
    masks: {{left: {{points: [[0.0, 0.0], [0.3, 0.0], [0.3, 1.0], [0.0, 1.0]]}}}}
    rules:
      - {{name: somebody, severity: high}}
notify:
  webhooks:
    - {{url: "{url}", secret_env: HOOK_SECRET}}
cloud: {{folder: {share}, prefix: home}}
"""


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A receiver, and what it got."""
    came: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", came
    server.shutdown()
    server.server_close()


def test_an_event_is_told_and_its_clip_is_copied_without_what_is_masked(
    tmp_path: Path, hook: tuple[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    url, came = hook
    (share := tmp_path / "share").mkdir()
    source = walk(tmp_path / "yard.mp4", 6.0, size=(320, 180))
    (tmp_path / "site.yaml").write_text(SITE.format(source=source, url=url, share=share))
    file = SiteFile(tmp_path / "site.yaml", tmp_path / "good.yaml")
    site, _ = file.open()
    store = EventStore(tmp_path / DATABASE)
    with guarding(site, tmp_path) as guards:
        watch = SiteWatch(site, file, FigureFinder(), None, store, tmp_path, told=guards.told, kept=guards.kept, veil=veil_of)
        guards.start(watch)
        watch.start()
        wait_until(lambda: any(each["phase"] == "new" for each in came), "the event is told while it lasts")
        watch.stop()
        wait_until(lambda: any(each["phase"] == "end" for each in came), "its end is told")
        wait_until(lambda: list(share.rglob("*.mp4")) and list(share.rglob("*.jpg")), "clip and snapshot are copied")
        told = next(status for status in guards.channels() if status.name == "webhook 0")
        assert told.counts.sent >= 2 and all(0 <= each < 10 for each in told.latencies_s)
    store.close()
    with av.open(str(next(share.rglob("*.mp4")))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames and max(int(np.max(frame[:, :88])) for frame in frames) < 40


def test_the_end_of_an_event_that_a_killed_run_left_open_is_told_and_its_clip_is_copied(
    tmp_path: Path, hook: tuple[str, list[dict[str, object]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    url, came = hook
    (share := tmp_path / "share").mkdir()
    (tmp_path / CLIPS).mkdir()
    clip = walk(tmp_path / CLIPS / "yard-1.mp4", 2.0, size=(320, 180))
    (tmp_path / "site.yaml").write_text(SITE.format(source=clip, url=url, share=share))
    file = SiteFile(tmp_path / "site.yaml", tmp_path / "good.yaml")
    site, _ = file.open()
    store = EventStore(tmp_path / DATABASE)
    begun_s = clip.stat().st_mtime - 2
    left = Event(
        type="presence", rule="somebody", camera="yard", start_s=begun_s, end_s=None, score=0.9, track=1, severity="high",
        evidence={"n": 1},
    )  # fmt: skip
    store.add(left, Media(clip=clip.name))
    with guarding(site, tmp_path) as guards:
        recover(store, tmp_path, guards)
        guards.start(SiteWatch(site, file, FigureFinder(), None, store, tmp_path))
        wait_until(lambda: came, "the end is told")
        wait_until(lambda: list(share.rglob("*.mp4")), "the clip is copied")
    store.close()
    assert [each["phase"] for each in came] == ["end"]
    assert "restart" in json.dumps(came[0])
    assert next(share.rglob("*.mp4")).read_bytes() == clip.read_bytes()


LIMITED = """\
cameras: {{yard: {{source: "synthetic:64x48", rules: [{{name: nobody, class: dog}}]}}}}
keep: {{days: 30, gigabytes: {gigabytes}, free_gigabytes: 0}}
"""


def test_how_much_is_kept_is_written_in_the_sites_file_and_counts_at_once(tmp_path: Path) -> None:
    """Clips and pictures count together. (Their age counts once the clock has gone steadily for an hour: test_watchdog.py.)"""
    site, old, new = tmp_path / "site.yaml", tmp_path / SNAPSHOTS / "old.jpg", tmp_path / CLIPS / "new.mp4"
    for path, age_s in ((old, 60), (new, 30)):
        path.parent.mkdir()
        path.write_bytes(bytes(700_000))
        os.utime(path, (time.time() - age_s,) * 2)
    site.write_text(LIMITED.format(gigabytes=0.001))
    file, store = SiteFile(site, tmp_path / "good.yaml"), EventStore(tmp_path / DATABASE)
    watch = SiteWatch(file.read(), file, FigureFinder(), None, store, tmp_path)
    watch.start()
    wait_until(lambda: not old.exists(), "of 1.4 megabytes the older half goes where one is allowed")
    assert new.exists()
    site.write_text(LIMITED.format(gigabytes=0.0005))
    wait_until(lambda: not new.exists(), "the rest goes once the file allows less")
    watch.stop()
    store.close()
