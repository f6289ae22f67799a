"""The fleet's page in a real Chromium: boards, a rollout under way, and a halt that only an admin may press."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest
from boards import MakeNamed
from nats_fleet import Server, agents_on, running, until, wish
from web import browser, chromium, log_in, served, visitor

from edgekit.fleet.board.pretended import Pretended
from edgekit.fleet.rollout.drive import begin
from edgekit.fleet.trust.authority import write_access
from edgekit.fleet.wire.bus import connected


def test_the_page_shows_the_fleet_and_an_admin_halts_a_rollout(
    server: Server, make_artifact: MakeNamed, tmp_path: Path
) -> None:
    pytest.importorskip("nicegui", reason="the extra [web] is not installed")
    executable = chromium()
    artifact = make_artifact("one")
    write_access(tmp_path / "ada.json", server.access("ada"))

    async def story() -> None:
        names = [f"cam-{number}" for number in range(6)]
        places = {name: Pretended(slow=("slow",)) for name in names}
        agents = await agents_on(server, places)
        async with running(*agents), connected(server.access("ada")) as bus:
            await begin(bus, replace(wish(artifact, waves=(0.3, 1.0), soak_s=600), bench_s=0.1), artifact, None)
            await asyncio.to_thread(look)
            await until(lambda: not any(place.running for place in places.values()), "all went back")

    def look() -> None:
        argv = ["-m", "edgekit", "fleet", "serve", "--access", str(tmp_path / "ada.json"), "--port", "0"]
        with served([*argv, "--state", str(tmp_path / "state")], cwd=tmp_path) as page_server, browser(executable) as opened:
            client = page_server.login()
            with visitor(opened) as watched:
                page = watched.page
                log_in(page, page_server)
                page.get_by_text("2 of 6 have it, wave 1 of 2").wait_for(timeout=30000)
                page.get_by_text("25 FPS (before 25), 10 ms (before 10): medians of 2 boards").wait_for(timeout=30000)
                assert page.locator("tbody tr").count() == 6
                page.get_by_role("columnheader", name="Latency, ms").click()
                page.get_by_role("columnheader", name="Latency, ms").click()
                page.wait_for_function("document.querySelector('tbody tr').textContent.includes('10.0')")
                page.get_by_label("Filter").fill("cam-4")
                page.wait_for_function("document.querySelectorAll('tbody tr').length === 1")
                page.get_by_label("Filter").fill("")
                page.wait_for_function("document.querySelectorAll('tbody tr').length === 6")
                if "EDGEKIT_SCREENSHOTS" in os.environ:
                    page.screenshot(path=f"{os.environ['EDGEKIT_SCREENSHOTS']}/fleet.png")
                assert 'edgekit_fleet_fps{group="cameras"} 25.0' in client.get("/metrics").text
                viewer = client.get("/api/fleet/groups").json()
                assert viewer[0]["rollout"]["phase"] == "running"
                page.get_by_role("button", name="Halt and go back").click()
                page.get_by_text("aborted by admin on the page of ada").wait_for(timeout=20000)
                page.get_by_role("button", name="Halt and go back").wait_for(state="detached", timeout=20000)
                assert watched.errors == [] and len(watched.hosts) == 1
            assert client.post("/api/fleet/groups/cameras/abort", headers={"Origin": page_server.url}).status_code == 422

    asyncio.run(story())
