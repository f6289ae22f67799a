"""A small app in the shell, served on loopback: a page, a page for admins, an interface that viewers may read and one they may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nicegui")

from web import Served, served

SMALL_APP = """
import io, itertools, sys, threading, time
from pathlib import Path
from PIL import Image
from fastapi import APIRouter
from starlette.requests import Request
from prometheus_client import Gauge
from edgekit.apps.web.live import Broadcast
from edgekit.apps.web.options import Serving
from edgekit.apps.web.pages.live import Live
from edgekit.apps.web.pages.stream import add_stream
from edgekit.apps.web.pages.plots import Rolling
from edgekit.apps.web.pages.parts import empty, heading, panel
from edgekit.apps.web.serve import serve
from edgekit.apps.web.shell import Api, Page, Shell
from edgekit.core.errors import InputError, NotFound

notes, open_to_all = APIRouter(), APIRouter()
body = []

@notes.get("")
async def read_notes(): return {"notes": body}

@notes.post("")
async def add_note(request: Request):
    body.append((await request.body()).decode())
    return {"by": request.state.user.name}

@open_to_all.post("/count")
async def count(request: Request):
    return {"bytes": sum([len(piece) async for piece in request.stream()])}

@open_to_all.get("/missing")
def missing(): raise NotFound("no note 7", "one of 1 to 3")

@open_to_all.get("/wrong")
def wrong(): raise InputError("that is no note")

def draw(visit):
    heading("Notes", f"of {visit.user.name}")
    with panel("All"): empty("No notes yet", "write one")

broadcast = Broadcast()
add_stream(open_to_all, "/live", broadcast)
encoded = []

@open_to_all.get("/watched")
def watched(): return {"watched": broadcast.is_watched, "encoded": len(encoded)}

def film():
    for number in itertools.count():
        time.sleep(0.05)
        if broadcast.is_watched:
            buffer = io.BytesIO()
            Image.new("RGB", (64, 36), (number * 7 % 256, 90, 160)).save(buffer, "JPEG")
            encoded.append(number)
            broadcast.show(buffer.getvalue())

threading.Thread(target=film, daemon=True).start()

def watch(visit):
    heading("Watch")
    with panel("Camera"): Live(broadcast, "/v1/live", label="the camera")
    with panel("Speed"):
        plot = Rolling("Pictures", "per second", ["camera"])
        plot.add([20.0]); plot.add([21.0])

def broken(visit): raise ValueError("secret detail")
def refused(visit): raise InputError("the camera is unplugged", "plug it in")

notes_written = Gauge("edgekit_notes_written", "Notes so far.", registry=None)
shell = Shell(
    name="notes", title="Notes",
    pages=lambda: (
        Page(path="/", title="Notes", icon="edit", draw=draw),
        Page(path="/settings", title="Settings", icon="tune", role="admin", draw=draw),
        Page(path="/notes/{number}", title="One note", listed=False, draw=lambda visit: heading(f"Note {visit.path['number']}")),
        Page(path="/watch", title="Watch", listed=False, draw=watch),
        Page(path="/broken", title="Broken", listed=False, draw=broken),
        Page(path="/refused", title="Refused", listed=False, draw=refused),
    ),
    apis=(
        Api(prefix="/api/notes", router=notes),
        Api(prefix="/v1", router=open_to_all, writes="viewer", body_bytes=200_000),
    ),
    collectors=(notes_written,),
)
serve(shell, Serving(state=Path("state"), port=0, self_signed="--tls" in sys.argv, names=("notes.example",)))
"""


@pytest.fixture(scope="session")
def small_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's file."""
    file = tmp_path_factory.mktemp("app") / "notes.py"
    file.write_text(SMALL_APP)
    return file


@pytest.fixture(scope="module")
def server(small_app: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app, served to this module's tests."""
    with served([str(small_app)], cwd=tmp_path_factory.mktemp("home")) as running:
        yield running
