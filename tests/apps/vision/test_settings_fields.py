"""A camera's settings on its page: when their fields are drawn anew."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("nicegui")

from nicegui import Client, ui

from edgekit.apps.vision.pages import settings
from edgekit.apps.vision.pages.settings import Settings
from edgekit.apps.vision.rules.read import parse_site
from edgekit.apps.vision.rules.settings import Camera
from edgekit.core.errors import InputError

(YARD,) = parse_site("cameras: {yard: {source: 'synthetic:320x180'}}", "site.yaml").cameras


class Disk:
    """A site that writes as slowly as a worn card: it waits for `done`, then goes by what was written, or refuses it."""

    def __init__(self, watch: Any, *, refuses: bool = False) -> None:
        self.watch, self.refuses = watch, refuses
        self.began, self.done = threading.Event(), threading.Event()

    def change(self, camera: Camera) -> None:
        self.began.set()
        assert self.done.wait(10)
        if self.refuses:
            raise InputError("the disk is full")
        self.watch.camera = camera


def drawn(shown: Settings) -> list[int]:
    return [child.id for child in shown._box.default_slot.children]


@pytest.mark.parametrize("refuses", [False, True])
def test_fields_stay_while_what_they_say_is_written_and_show_what_counts_where_it_is_refused(
    refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changed() -> None:
        writing = asyncio.create_task(shown._filter("glasses"))
        await asyncio.to_thread(disk.began.wait, 10)
        shown.look()
        assert drawn(shown) == before, "while it is written"
        disk.done.set()
        if refuses:
            with pytest.raises(InputError, match="full"):
                await writing
        else:
            await writing
        shown.look()

    monkeypatch.setattr(settings.ui, "notify", lambda *_, **__: None)
    watch = SimpleNamespace(camera=YARD, segments=False)
    disk: Any = Disk(watch, refuses=refuses)
    with Client(ui.page("/settings")):
        shown = Settings(disk, watch, SimpleNamespace(may=lambda _: True))  # type: ignore[arg-type]  (what it asks of them)
        before = drawn(shown)
        asyncio.run(changed())
    assert (drawn(shown) == before) is not refuses
    assert watch.camera.filter == (YARD.filter if refuses else "glasses")


def test_what_was_changed_elsewhere_is_drawn_anew() -> None:
    watch: Any = SimpleNamespace(camera=YARD, segments=False)
    with Client(ui.page("/settings")):
        shown = Settings(Disk(watch), watch, SimpleNamespace(may=lambda _: True))  # type: ignore[arg-type]  (what it asks of them)
        before = drawn(shown)
        shown.look()
        assert drawn(shown) == before
        watch.camera = replace(YARD, filter="glasses")
        shown.look()
    assert drawn(shown) != before
