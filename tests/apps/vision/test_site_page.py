"""The pages of cameras in a real browser: watched, reviewed, set and drawn on; media only for whoever is logged in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

pytest.importorskip("nicegui")
pytest.importorskip("scipy", reason="scipy (extra vision) is not installed")

from cameras import SITE_APP, standing_artifact, walk
from waiting import wait_until
from web import DESKTOP, PHONE, Served, Watched, browser, chromium, log_in, served, visitor

from edgekit.apps.vision.frames import from_rgb
from edgekit.apps.vision.pages.explain import of_camera
from edgekit.apps.vision.rules.read import parse_site, read_site
from edgekit.apps.vision.rules.settings import Site
from edgekit.apps.vision.tracking.tracks import Tracks
from edgekit.apps.vision.watching.site_file import GOOD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from edgekit.apps.vision.watching.site import SiteWatch

SITE = """\
# the site of the tests
cameras:
  yard:
    source: synthetic:320x180
    lines:
      middle: {start: [0.5, 0.2], end: [0.5, 1.0]}
    rules:
      - {name: crossing, line: middle, severity: high}
      - {name: somebody, dwell_s: 1}
  gate:
    source: gate.mp4
    rules:
      - {name: visitor, dwell_s: 0.3}  # rings
"""
VIEWER = "a viewer's password"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    walk(folder / "gate.mp4", 10.0, size=(320, 180))
    (folder / "app.py").write_text(SITE_APP)
    (folder / "site.yaml").write_text(SITE)
    return folder


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Served]:
    assert chromium()
    with served([str(home / "app.py")], cwd=home) as running:
        yield running


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser(chromium()) as running:
        yield running


@pytest.fixture(scope="module")
def opened(chrome: Browser, server: Served) -> Iterator[Watched]:
    with visitor(chrome) as watched:
        log_in(watched.page, server)
        yield watched
        assert watched.errors == []
        assert watched.hosts == {f"127.0.0.1:{server.port}"}


@pytest.fixture
def page(opened: Watched) -> Page:
    return opened.page


@pytest.fixture
def site_file(home: Path) -> Iterator[Path]:
    """The site's file, which is as it was when the test is over, for the server, too: it draws settings anew that changed."""
    yield home / "site.yaml"
    (home / "site.yaml").write_text(SITE)
    wait_until(lambda: (home / "recordings" / GOOD).read_text() == SITE, "the file was read again")


def said(site_file: Path) -> Site:
    """What the file says now; its recording lies beside it."""
    return parse_site(site_file.read_text().replace("gate.mp4", str(site_file.with_name("gate.mp4"))), site_file.name)


PIXELS = """() => { const image = document.querySelector('.ek-live img'), canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 64, 36);
    return [...context.getImageData(0, 0, 64, 36).data].join(); }"""


def event_of(page: Page, server: Served, camera: str) -> int:
    """The number of an event of that camera, which may still have to happen."""
    page.goto(f"{server.url}/events?camera={camera}")
    row = page.locator(".vi-alert").last
    row.wait_for()
    return int(row.get_attribute("data-event") or 0)


def test_cameras_stand_side_by_side_and_what_happens_appears(page: Page, server: Served) -> None:
    page.goto(server.url)
    page.locator(".vi-card").nth(1).wait_for()
    assert page.locator(".vi-card .vi-name").all_inner_texts() == ["yard", "gate"]
    page.locator(".vi-alert", has_text="Crossed middle").first.wait_for()
    page.get_by_text("the recording has ended").wait_for()
    page.get_by_role("link", name="The camera yard").click()
    page.wait_for_url("**/cameras/yard")


def test_the_picture_moves_and_is_encoded_only_while_somebody_looks(page: Page, server: Served) -> None:
    page.goto(f"{server.url}/cameras/yard")
    page.wait_for_selector(".ek-live-live")
    first = page.evaluate(PIXELS)
    page.wait_for_function(f"first => ({PIXELS})() !== first", arg=first)
    page.get_by_text(re.compile(r"looks a second · 1 followed")).wait_for(timeout=20_000)
    assert page.locator(".ek-chart canvas").count() == 2


def test_settings_count_at_once_are_written_down_and_nonsense_is_refused(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/cameras/yard")
    page.get_by_label("Looks a second").fill("4")
    page.get_by_label("Looks a second").press("Enter")
    page.get_by_text("In force, and written down").first.wait_for()
    assert said(site_file).cameras[0].detect.fps == 4
    page.get_by_text(re.compile(r"^[34]\.\d looks a second")).wait_for()
    page.get_by_label("Least score, %").fill("400")
    page.get_by_label("Least score, %").press("Enter")
    page.get_by_text("that is no setting").first.wait_for()
    page.get_by_role("switch", name="somebody").click()
    page.get_by_role("switch", name="somebody", checked=False).wait_for()
    wait_until(lambda: "{name: somebody, dwell_s: 1, enabled: false}" in site_file.read_text(), "the rule is off in the file")
    assert "# the site of the tests" in site_file.read_text()


def test_a_filter_for_faces_is_chosen_on_the_cameras_page_and_written_down(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/cameras/yard")
    page.get_by_label("Filter on faces, live only").click()
    page.get_by_role("option", name="glasses").click()
    page.get_by_text("In force, and written down").first.wait_for()
    assert said(site_file).cameras[0].filter == "glasses"


def test_a_file_changed_by_hand_counts_at_once_and_a_broken_one_says_where(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/cameras/yard")
    page.get_by_role("switch", name="crossing").wait_for()
    site_file.write_text(SITE.replace("name: crossing", "name: passage").replace("{name: somebody", "{nmae: somebody"))
    alert = page.get_by_role("alert").filter(has_text="line 9, column 10")
    alert.wait_for(timeout=20_000)
    assert "What the file said before counts" in alert.inner_text()
    assert page.get_by_role("switch", name="crossing").is_visible()
    site_file.write_text(SITE.replace("name: crossing", "name: passage"))
    page.get_by_role("switch", name="passage").wait_for(timeout=20_000)
    alert.wait_for(state="detached")


def test_an_event_is_opened_its_clip_plays_and_its_numbers_are_there(page: Page, server: Served) -> None:
    number = event_of(page, server, "gate")
    page.locator(f"[data-event='{number}']").click()
    page.wait_for_url(f"**/events?camera=gate&event={number}")
    page.locator(".vi-numbers", has_text="visitor").wait_for()
    assert "dwell" in page.locator(".vi-numbers").inner_text()
    page.wait_for_function("document.querySelector('.vi-clip video')?.currentTime > 0.2")
    page.get_by_role("tab", name="Picture").click()
    page.locator(".vi-still .vi-box").wait_for()
    assert page.evaluate("document.querySelector('.vi-still img').naturalWidth") == 320


def test_events_are_filtered_kept_and_deleted(page: Page, server: Served, home: Path) -> None:
    event_of(page, server, "yard")
    page.goto(f"{server.url}/events?camera=yard&severity=high")
    page.locator(".vi-alert").first.wait_for()
    assert set(page.locator(".vi-alert b").all_inner_texts()) <= {"Crossed middle forward", "Crossed middle backward"}
    assert page.locator(".vi-timeline canvas").count() == 1
    number = int(page.locator(".vi-alert").last.get_attribute("data-event") or 0)
    snapshot = next((home / "recordings" / "snapshots").glob("yard-*.jpg"))
    page.locator(f"[data-event='{number}']").click()
    page.get_by_role("button", name="Keep").click()
    page.locator(f"[data-event='{number}'] .vi-kept").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Leave it").click()
    page.get_by_role("dialog").wait_for(state="detached")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.locator(f"[data-event='{number}']").wait_for(state="detached")
    assert server.login().get(f"/media/events/{number}/snapshot").status_code == 404
    assert snapshot.parent.is_dir()


def test_a_filter_that_finds_nothing_and_an_event_that_is_gone_are_said(page: Page, server: Served) -> None:
    page.goto(f"{server.url}/events?camera=nowhere&event=99999999")
    page.get_by_text("No events here").wait_for()
    page.get_by_text("This event is gone").wait_for()
    page.goto(f"{server.url}/cameras/nowhere")
    page.get_by_text("There is no camera 'nowhere'").wait_for()


def draw(page: Page, *places: tuple[float, float]) -> None:
    frame = page.locator(".vi-places").bounding_box()
    assert frame is not None
    for x, y in places:
        page.mouse.click(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"])


def test_a_zone_is_drawn_with_the_mouse_named_and_written_with_its_rule(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/zones?camera=yard")
    page.get_by_role("button", name="Add a zone").click()
    draw(page, (0.2, 0.5), (0.6, 0.5), (0.6, 0.9), (0.2, 0.5))
    page.get_by_label("Name of the zone").fill("door")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("In force, and written down").first.wait_for()
    yard = said(site_file).cameras[0]
    assert [[round(share, 1) for share in point] for point in yard.zones["door"].points] == [[0.2, 0.5], [0.6, 0.5], [0.6, 0.9]]
    assert [rule.name for rule in yard.rules] == ["crossing", "somebody", "door entered"]
    assert "# rings" in site_file.read_text()


def test_a_line_is_drawn_with_the_keyboard_and_a_corner_moved(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/zones?camera=yard")
    page.get_by_role("button", name="Add a line").press("Enter")
    page.wait_for_function("document.activeElement.classList.contains('vi-places')")
    for key in ("ArrowLeft", "Space", *["ArrowRight"] * 5, "Space"):
        page.keyboard.press(key)
    corner = page.get_by_role("button", name="Corner 2 of line-1, at 58 % and 50 %")
    corner.focus()
    corner.press("ArrowDown")
    page.get_by_role("button", name="Corner 2 of line-1, at 58 % and 51 %").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("In force, and written down").first.wait_for()
    line = said(site_file).cameras[0].lines["line-1"]
    assert (line.start, line.end) == ((0.48, 0.5), (0.58, 0.51))


def test_a_corner_is_dragged_with_a_finger_and_discarded(chrome: Browser, server: Served, site_file: Path) -> None:
    with visitor(chrome, size=PHONE, touch=True) as watched:
        page = watched.page
        log_in(page, server)
        page.goto(f"{server.url}/zones?camera=yard")
        page.get_by_label("Name of the line").tap()
        corner = page.locator("[data-corner='0']")
        corner.evaluate("element => element.scrollIntoView({ block: 'center' })")
        handle = corner.bounding_box()
        assert handle is not None
        x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
        touch = page.context.new_cdp_session(page)
        for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(x + 60, y + 10)]), ("touchEnd", [])):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})
        page.wait_for_function("!document.querySelector('[data-corner=\"0\"]').style.left.startsWith('50')")
        page.get_by_role("button", name="Discard").click()  # Chromium makes no click of a tap right after a flung finger
        page.wait_for_function("document.querySelector('.vi-shape.vi-line').getAttribute('points').startsWith('0.5,0.2')")
    assert site_file.read_text() == SITE


def test_names_that_two_have_and_rules_of_removed_places_are_handled(page: Page, server: Served, site_file: Path) -> None:
    page.goto(f"{server.url}/zones?camera=yard")
    page.get_by_role("button", name="Add a zone").click()
    draw(page, (0.2, 0.5), (0.6, 0.5), (0.6, 0.9))
    page.keyboard.press("Enter")
    page.get_by_label("Name of the zone").fill("middle")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("2 places are called 'middle'").first.wait_for()
    page.get_by_role("button", name="Remove middle").last.click()
    page.get_by_text("With middle goes what is about it: crossing").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("In force, and written down").first.wait_for()
    assert [rule.name for rule in said(site_file).cameras[0].rules] == ["somebody", "middle entered"]


def test_only_what_the_detector_shows_in_a_picture_is_offered() -> None:
    """A track that is merely believed to go on has nothing in the picture that could have spoken for it."""
    two = np.arange(2)
    tracks = Tracks(
        ids=two + 7,
        boxes=np.array([[10, 10, 30, 50], [60, 10, 80, 50]], np.float64),
        scores=np.full(2, 0.9),
        class_ids=two * 0,
        since_s=two * 0.0,
        seen_s=np.array([0.5, 1.0]),
        fresh=np.array([False, True]),
    )
    frame = from_rgb(np.zeros((60, 90, 3), np.uint8), number=1, time_s=1.0)
    look = SimpleNamespace(frame=frame, people=SimpleNamespace(tracks=tracks))
    showing = SimpleNamespace(picture=lambda look: look.frame.rgb())
    camera = SimpleNamespace(look=look, labels=("person",), showing=showing)
    held = of_camera(cast("SiteWatch", SimpleNamespace(camera=lambda name: camera)), "yard")
    assert held.names == ("person 8 · 90%",)
    assert held.found.boxes.tolist() == [[60, 10, 80, 50]]


def test_a_detection_of_a_frozen_picture_is_explained(page: Page, server: Served) -> None:
    why = page.get_by_role("button", name=re.compile(r"Why person \d+ · 90%"))

    def frozen_with_somebody() -> int:
        page.goto(f"{server.url}/explain?camera=yard")
        page.get_by_role("button", name="Freeze the picture").click()
        page.get_by_text(re.compile("Choose what is to be explained|The detector shows nothing")).wait_for()
        return why.count()

    wait_until(frozen_with_somebody, "a picture that shows somebody")  # after a pause of the machine it is a new track at first
    why.click()
    page.get_by_text(re.compile(r"What spoke for person \d+ · 90%: ")).wait_for()
    assert page.locator(".vi-explained .vi-box").is_visible()
    page.get_by_label("How").click()
    page.get_by_role("option", name="D-RISE").click()
    why.click()
    page.get_by_text(re.compile(r"What spoke for person \d+ · 90%: what it lost behind random masks")).wait_for()
    number = event_of(page, server, "gate")
    page.goto(f"{server.url}/explain?event={number}")
    page.get_by_role("button", name=f"Why person of event {number}?").click()
    page.get_by_text(f"What spoke for person of event {number}: ").wait_for()


def test_on_a_phone_nothing_scrolls_sideways(chrome: Browser, server: Served) -> None:
    with visitor(chrome, size=PHONE, dark=True) as watched:
        log_in(watched.page, server)
        for path in ("/", "/cameras/yard", "/events", "/zones"):
            watched.page.goto(server.url + path)
            watched.page.wait_for_selector(".vi-wide")
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_drawn_in_its_colours_and_fits_the_window(
    chrome: Browser, server: Served, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    """Screenshots, kept in pytest's folder for whoever wants to look."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with visitor(chrome, size=size, dark=dark, touch=size == PHONE) as watched:
        page = watched.page
        log_in(page, server)
        for path, drawn in (("", ".vi-card"), ("/cameras/yard", ".ek-chart canvas"), ("/events", ".vi-alert"), ("/zones", "svg"),
                            ("/explain", ".ek-main button"), ("/account", "input")):  # fmt: skip
            page.goto(server.url + path)
            page.locator(drawn).first.wait_for()
            page.mouse.move(1, 1)
            shot = tmp_path / f"{path.strip('/').replace('/', '-') or 'live'}.png"
            page.screenshot(path=str(shot))
            shades = np.asarray(pillow.open(shot).convert("L"))
            ground = int(np.bincount(shades.ravel()).argmax())
            assert shades.shape == size[::-1]
            assert ground < 50 if dark else ground > 220, f"{path}: most of the page has the shade {ground}"
            assert float((np.abs(shades.astype(int) - ground) > 60).mean()) > 0.005, f"{path} is all but empty"
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        assert watched.errors == []


def test_a_viewer_looks_and_changes_nothing(chrome: Browser, server: Served, page: Page) -> None:
    number = event_of(page, server, "gate")
    page.goto(f"{server.url}/account")
    users = page.locator(".ek-panel", has_text="Users")
    users.get_by_label("Name").fill("vera")
    users.get_by_label("Password", exact=True).fill(VIEWER)
    users.get_by_role("button", name="Add").click()
    users.get_by_role("button", name="Remove vera").wait_for()
    with visitor(chrome) as watched:
        log_in(watched.page, server, name="vera", password=VIEWER)
        watched.page.goto(f"{server.url}/cameras/yard")
        watched.page.get_by_text("10 looks a second at most").wait_for()
        assert watched.page.get_by_role("switch").count() == 0
        watched.page.goto(f"{server.url}/events?event={number}")
        watched.page.locator(".vi-numbers").wait_for()
        assert watched.page.get_by_role("button", name="Delete").count() == 0
        watched.page.goto(f"{server.url}/zones")
        watched.page.get_by_text("This page is for a user with the role admin").wait_for()


def test_media_answer_ranges_to_whoever_is_logged_in_and_name_no_paths(page: Page, server: Served, home: Path) -> None:
    number = event_of(page, server, "gate")
    clip, snapshot = f"/media/events/{number}/clip", f"/media/events/{number}/snapshot"
    stranger, program = server.client(), server.login()
    for path in (clip, snapshot, "/media/cameras/yard/live", "/media/cameras/yard/picture"):
        assert stranger.get(path).status_code == 401
    whole = program.get(clip)
    part = program.get(clip, headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, whole.content[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole.content)}"
    assert program.get(clip, headers={"range": f"bytes={10**12}-"}).status_code == 416
    assert program.get("/media/cameras/yard/picture").content.startswith(b"\xff\xd8")
    for path in ("../../events.db", "%2e%2e%2f%2e%2e%2fsite.yaml", "..%5c..%5csite.yaml", f"{number}/../../../site.yaml"):
        for kind in ("clip", "snapshot"):
            assert program.get(f"/media/events/{path}/{kind}").status_code in (404, 422)
    assert program.get("/media/cameras/nobody/picture").status_code == 404
    assert "cameras:" not in program.get("/media/cameras/..%2f..%2fsite.yaml/picture").text


def test_the_command_serves_one_camera_and_keeps_what_is_set_on_its_page(chrome: Browser, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    artifact = standing_artifact(tmp_path / "standing")
    command = ["-m", "edgekit", "run", "camera", "--source", "synthetic:320x180", "--artifact", str(artifact), "--port", "0"]
    with served(command, cwd=tmp_path) as server, visitor(chrome) as watched:
        log_in(watched.page, server)
        watched.page.get_by_text("1 followed").wait_for()
        watched.page.locator(".vi-alert", has_text="Presence").first.wait_for()
        watched.page.get_by_label("Least score, %").fill("30")
        watched.page.get_by_label("Least score, %").press("Enter")
        watched.page.get_by_text("In force, and written down").first.wait_for()
    assert server.process.returncode == 0
    assert read_site(tmp_path / "edgekit-camera" / "site.yaml").cameras[0].detect.min_score == 0.3
