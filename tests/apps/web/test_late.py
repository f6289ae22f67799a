"""Pages come with the first browser; programs are answered before and without them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("nicegui")

from web import Served, served

APP = """
import sys
from pathlib import Path
from fastapi import APIRouter
from edgekit.apps.web.options import Serving
from edgekit.apps.web.serve import serve
from edgekit.apps.web.shell import Api, Page, Shell

router = APIRouter()

@router.get("")
async def imported(): return {"pages": "nicegui" in sys.modules}

def pages():
    from edgekit.apps.web.pages.parts import heading
    path = "/" if "--right" in sys.argv else "/elsewhere"
    return (Page(path=path, title="Start", draw=lambda visit: heading("Here at last")),)

shell = Shell(name="late", title="Late", pages=pages, apis=(Api(prefix="/api/late", router=router),))
serve(shell, Serving(state=Path("state"), port=0))
"""
BROWSER = {"accept": "text/html"}


def imported(server: Served) -> bool:
    return bool(server.login().get("/api/late").json()["pages"])


def test_programs_are_answered_without_the_pages_and_all_who_come_first_get_them(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with served(["app.py", "--right"], cwd=tmp_path) as server:
        assert server.client().get("/health").json() == {"status": "ok"}
        assert server.client().get("/").status_code == 401 and server.client().get("/", headers=BROWSER).status_code == 303
        assert not imported(server), "neither programs nor strangers bring the pages"
        program = server.login()
        with ThreadPoolExecutor(3) as visitors:
            answers = list(visitors.map(lambda _: program.get("/", headers=BROWSER), range(3)))
        assert [answer.status_code for answer in answers] == [200] * 3
        assert all("Here at last" in answer.text for answer in answers)
        assert imported(server)


def test_pages_that_cannot_be_made_are_said_to_whoever_asks_and_programs_are_answered_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with served(["app.py"], cwd=tmp_path) as server:
        program = server.login()
        for _ in range(2):
            answer = program.get("/elsewhere")
            assert answer.status_code == 500 and "no page has the path '/'" in answer.json()["error"]
        assert program.get("/api/late").status_code == 200
