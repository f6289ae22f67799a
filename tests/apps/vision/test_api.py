"""The interface for programs, served by the real server: events, files, cameras, health, configuration, figures, and who may what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("nicegui")
pytest.importorskip("av", reason="PyAV (extra vision) is not installed")
pytest.importorskip("scipy", reason="scipy (extra vision) is not installed")

from web import Served, served

from edgekit.apps.vision.events import Event
from edgekit.apps.vision.recording.store import EventStore, Media

BASE = "/api/surveillance"
CHANGING = ("post", "put", "patch", "delete")
SITE = """\
cameras:
  yard:
    source: synthetic:320x180
    masks: {street: {points: [[0.0, 0.0], [0.2, 0.0], [0.2, 0.2]]}}
    rules:
      - {name: nobody, dwell_s: 1000}
  gate:
    source: rtsp://user:hunter2@127.0.0.1:9/live?token=hunter2
"""
APP = """
import sys
from contextlib import closing
from pathlib import Path
sys.path.insert(0, {builders!r})
from cameras import FigureFinder
from edgekit.apps.surveillance.api.shell import with_api
from edgekit.apps.vision.watching.guards import guarding
from edgekit.apps.vision.watching.camera import DATABASE
from edgekit.apps.vision.pages.shell import shell
from edgekit.apps.vision.recording.store import EventStore
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.vision.watching.site_file import SiteFile
from edgekit.apps.web.options import Serving
from edgekit.apps.web.serve import serve

folder = Path("recordings")
file = SiteFile(Path("site.yaml"), folder / "site.good.yaml")
site, problem = file.open()
with closing(EventStore(folder / DATABASE)) as store, guarding(site, folder) as guards:
    watch = SiteWatch(site, file, FigureFinder(), None, store, folder, told=guards.told, kept=guards.kept, problem=problem)
    guards.start(watch)
    serve(with_api(shell("surveillance", watch), watch, guards), Serving(state=Path("state"), port=0))
"""
CLIP = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 8


def event(number: int, **more: object) -> Event:
    known: dict[str, object] = {
        "type": "presence", "rule": "visitor", "camera": "yard", "start_s": 1000.0 + number, "end_s": 1010.0 + number,
        "score": 0.9, "track": number, "severity": "low", "evidence": {"dwell_s": 2.0},
    }  # fmt: skip
    return Event(**(known | more))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's folder with seven events, one with a clip, and some whose files are traps."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "app.py").write_text(APP.format(builders=str(Path(__file__).parents[2] / "builders")))
    (folder / "site.yaml").write_text(SITE)
    for name in ("clips", "snapshots"):
        (folder / "recordings" / name).mkdir(parents=True)
    (folder / "recordings" / "clips" / "a.mp4").write_bytes(CLIP)
    (folder / "recordings" / "secret.mp4").write_bytes(b"treasure")
    (folder / "recordings" / "clips" / "link.mp4").symlink_to(folder / "recordings" / "secret.mp4")
    store = EventStore(folder / "recordings" / "events.db")
    for number in range(4):
        store.add(event(number))
    store.add(event(4, camera="gate", severity="high"), Media(clip="a.mp4"))
    store.add(event(5), Media(clip="../secret.mp4", snapshot="../../site.yaml"))
    store.add(event(6), Media(clip="link.mp4"))
    store.close()
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Served]:
    with served([str(home / "app.py")], cwd=home) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: Served) -> httpx.Client:
    return server.login()


@pytest.fixture(scope="module")
def viewer(server: Served, admin: httpx.Client, home: Path) -> httpx.Client:
    from edgekit.apps.web.security.accounts import Accounts

    accounts = Accounts(home / "state")
    accounts.add("vera", "a-long-password", "viewer")
    accounts.close()
    return server.login("vera", "a-long-password")


def test_events_come_newest_first_page_by_page(viewer: httpx.Client) -> None:
    first = viewer.get(f"{BASE}/events", params={"most": 3}).json()
    second = viewer.get(f"{BASE}/events", params={"most": 3, "before": first["before"]}).json()
    third = viewer.get(f"{BASE}/events", params={"most": 3, "before": second["before"]}).json()
    starts = [each["start_s"] for page in (first, second, third) for each in page["events"]]
    assert starts == [1006.0, 1005.0, 1004.0, 1003.0, 1002.0, 1001.0, 1000.0]
    assert third["before"] is None


def test_events_are_chosen_by_camera_severity_and_time(viewer: httpx.Client) -> None:
    def starts(**asked: object) -> list[float]:
        return [each["start_s"] for each in viewer.get(f"{BASE}/events", params=asked).json()["events"]]  # type: ignore[arg-type]

    assert starts(camera="gate") == [1004.0]
    assert starts(severity="high") == [1004.0]
    assert starts(since_s=1002, until_s=1004) == [1003.0, 1002.0]


@pytest.mark.parametrize(
    "asked",
    [{"most": 0}, {"most": 501}, {"severity": "extreme"}, {"before": "1-1; drop"}, {"since_s": "soon"}, {"camera": "x" * 100}],
)
def test_what_is_asked_wrongly_is_refused(viewer: httpx.Client, asked: dict[str, object]) -> None:
    assert viewer.get(f"{BASE}/events", params=asked).status_code == 422  # type: ignore[arg-type]


def test_a_clip_comes_whole_or_in_the_range_that_is_asked_for(viewer: httpx.Client) -> None:
    found = viewer.get(f"{BASE}/events/5").json()
    whole = viewer.get(found["clip"])
    assert (whole.content, whole.headers["content-type"]) == (CLIP, "video/mp4")
    part = viewer.get(found["clip"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert viewer.get(f"{BASE}/clips/a.mp4").content == CLIP


@pytest.mark.parametrize(
    "path",
    [
        *("/events/6/clip", "/events/6/snapshot", "/events/7/clip", "/events/999/clip"),
        *("/clips/..%2fsecret.mp4", "/clips/%2e%2e%2fsecret.mp4", "/clips/link.mp4", "/clips/../secret.mp4", "/clips/.mp4"),
        *("/clips/a.mp4%00", "/clips/..", "/clips/%2fetc%2fpasswd", "/clips/events.db"),
    ],
)
def test_no_path_leads_out_of_the_clips(viewer: httpx.Client, path: str) -> None:
    answer = viewer.get(f"{BASE}{path}")
    assert answer.status_code == 404 and b"treasure" not in answer.content and b"hunter2" not in answer.content


def test_cameras_say_how_they_are_without_their_passwords(viewer: httpx.Client) -> None:
    answer = viewer.get(f"{BASE}/cameras")
    yard, gate = answer.json()
    assert (yard["name"], yard["private"], gate["private"]) == ("yard", True, False)
    assert gate["source"] == "rtsp://***@127.0.0.1:9/live?***" and "hunter2" not in answer.text
    assert viewer.get(f"{BASE}/cameras/cellar").status_code == 404


def test_health_says_that_all_is_well(viewer: httpx.Client) -> None:
    health = viewer.get(f"{BASE}/health").json()
    assert health["well"] and health["troubles"] == [] and health["problem"] == ""
    assert health["unwritten_events"] == 0 and health["free_bytes"] > 0 and health["channels"] == []


def test_figures_are_there_for_prometheus(admin: httpx.Client) -> None:
    text = admin.get("/metrics").text
    for name in ('edgekit_camera_up{camera_name="gate"} 0.0', "edgekit_storage_free_bytes", "edgekit_well 1.0"):
        assert name in text
    assert "edgekit_stage_seconds" in text and "hunter2" not in text


def test_the_interface_is_described(admin: httpx.Client) -> None:
    described = admin.get("/interface/openapi.json").json()
    wanted = (
        "/events",
        "/events/{number}",
        "/events/{number}/clip",
        "/events/{number}/snapshot",
        "/cameras",
        "/health",
        "/config",
    )
    assert {f"{BASE}{path}" for path in wanted} <= set(described["paths"])
    assert "EventOut" in described["components"]["schemas"]


def test_strangers_get_nothing_and_viewers_change_nothing(server: Served, viewer: httpx.Client) -> None:
    stranger = server.client()
    for path in ("/events", "/events/5/clip", "/cameras", "/health", "/config"):
        assert stranger.get(f"{BASE}{path}").status_code == 401
    assert viewer.get(f"{BASE}/config").status_code == 403
    assert viewer.put(f"{BASE}/config", json={"text": SITE}).status_code == 403
    assert viewer.patch(f"{BASE}/events/1", json={"kept": True}).status_code == 403
    assert viewer.delete(f"{BASE}/events/1").status_code == 403


def test_every_route_that_changes_something_refuses_viewers_and_pages_of_other_sites(
    server: Served, admin: httpx.Client, viewer: httpx.Client, home: Path
) -> None:
    paths = admin.get("/interface/openapi.json").json()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods if method in CHANGING]
    assert {("put", f"{BASE}/config"), ("patch", f"{BASE}/events/{{number}}"), ("delete", f"{BASE}/events/{{number}}")} <= {
        *routes
    }
    for method, path in routes:
        ask = {"method": method.upper(), "url": path.replace("{number}", "2"), "json": {"kept": True, "text": SITE}}
        assert viewer.request(**ask).status_code == 403, (method, path)
        assert server.client().request(**ask).status_code == 401, (method, path)
        for forged in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            assert admin.request(**ask, headers=forged).status_code == 403, (method, path, forged)
    assert admin.get(f"{BASE}/events/2").json()["kept"] is False
    assert (home / "site.yaml").read_text() == SITE


def test_an_event_is_kept_and_deleted(admin: httpx.Client) -> None:
    assert admin.patch(f"{BASE}/events/1", json={"kept": True}).json()["kept"]
    assert [each["id"] for each in admin.get(f"{BASE}/events", params={"kept": True}).json()["events"]] == [1]
    assert admin.delete(f"{BASE}/events/1").status_code == 204
    assert admin.get(f"{BASE}/events/1").status_code == 404


def test_a_good_configuration_counts_at_once_and_a_bad_one_changes_nothing(admin: httpx.Client, home: Path) -> None:
    assert admin.get(f"{BASE}/config").text == SITE
    changed = SITE + "    detect: {fps: 2}\n"
    assert admin.put(f"{BASE}/config", json={"text": changed}).status_code == 204
    assert (home / "site.yaml").read_text() == changed
    wrong = admin.put(f"{BASE}/config", json={"text": changed.replace("fps: 2", "fps: -2")})
    assert wrong.status_code == 422 and "line 9" in wrong.json()["error"]
    assert (home / "site.yaml").read_text() == changed


@pytest.mark.parametrize(
    "source", ["exec:reboot", "file:///etc/passwd", "/etc/passwd", "concat:a|b", "csi:0", "synthetic:64x48"]
)
def test_a_source_given_over_the_network_is_a_stream_and_nothing_else(admin: httpx.Client, home: Path, source: str) -> None:
    before = (home / "site.yaml").read_text()
    answer = admin.put(f"{BASE}/config", json={"text": f"cameras:\n  new:\n    source: '{source}'\n"})
    assert answer.status_code in (404, 422)
    assert (home / "site.yaml").read_text() == before


def test_oversized_bodies_are_refused_before_they_are_read(admin: httpx.Client) -> None:
    assert admin.put(f"{BASE}/config", content=b"x" * 2_000_001).status_code == 413
    assert admin.patch(f"{BASE}/events/2", content=b"x" * 100_000).status_code == 413


def test_a_flood_of_wrong_passwords_is_slowed_down(server: Served) -> None:
    client = server.client()
    answers = [client.post("/login", data={"name": "nobody", "password": f"wrong password {n}"}).status_code for n in range(7)]
    assert answers[:5] == [401] * 5 and answers[5:] == [429] * 2
