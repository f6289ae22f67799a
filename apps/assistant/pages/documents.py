"""The documents: which there are, adding and removing, and how far reading them is."""

from __future__ import annotations

import asyncio
import re
import time
import unicodedata

from nicegui import ui
from nicegui.events import UploadEventArguments

from edgekit.apps.assistant.documents.read import READERS
from edgekit.apps.assistant.grounding.store import Indexed
from edgekit.apps.assistant.library import Library
from edgekit.apps.assistant.pages.answer import host
from edgekit.apps.web.pages.parts import empty, heading, icon, panel, problem
from edgekit.apps.web.shell import Visit
from edgekit.core.errors import InputError

UPLOAD_BYTES = 30_000_000
"""Below what the shell takes at once; larger files are put into the folder."""
LOOK_S = 0.5
LIST_S = 4.0
"""How often the lists are drawn again while documents are read: they are long, and others wait for their answers."""
LISTED = 500


def safe_name(name: str) -> str:
    """A file name without folders, control characters or anything else that a file system or a page could stumble over."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = re.sub(r"[^\w .()+,=@-]", "_", last).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    if not stem or not dot:
        raise InputError(f"{name[:80]!r} is no name for a document", f"one that ends with {', '.join(sorted(READERS))}")
    return f"{stem[:120].strip()}.{ending}"


def why(path: str, reason: str) -> str:
    """The reason beside a name: the name is not said again."""
    bare = reason.removeprefix(f"{path.rpartition('/')[2]!r} ")
    return bare[:1].upper() + bare[1:]


class DocumentsPage:
    """One visitor's page. Viewers look, admins change. `sent_to` is the fallback that may be given passages, if there is one."""

    def __init__(self, library: Library | None, sent_to: str = "") -> None:
        self._library, self._sent_to = library, sent_to
        self._seen: object = None
        self._next_list = 0.0

    def draw(self, visit: Visit) -> None:
        """Make the page's elements."""
        if self._library is None:
            heading("Documents")
            problem("this server was started without documents", "edgekit run assistant --documents DIR")
            return
        library = self._library
        self._may_change = visit.user.may("admin")
        sent = f"Passages may be sent to {host(self._sent_to)}." if self._sent_to else "Nothing is sent anywhere."
        heading("Documents", f"Read on this machine, from the folder below. {sent}")
        with panel():
            with ui.element("div").classes("as-documents-head"):
                ui.label(str(library.folder)).classes("as-folder")
                self._buttons(library)
            self._progress = ui.linear_progress(show_value=False).props('instant-feedback aria-label="Reading documents"')
            self._status = ui.label("").classes("ek-muted").props("role=status")
            self._problem = ui.element("div").classes("as-document-problem")
        self._refused_box = ui.element("div")
        self._list = ui.element("section").classes("ek-panel as-documents").props('aria-label="Documents"')
        self._confirm = self._confirmation(library)
        self._look(library)
        ui.timer(LOOK_S, lambda: self._look(library))

    def _buttons(self, library: Library) -> None:
        if not self._may_change:
            return
        kinds = ",".join(sorted(READERS))
        upload = ui.upload(multiple=True, auto_upload=True, max_file_size=UPLOAD_BYTES, on_rejected=_rejected)
        upload.on_upload(lambda event: self._added(library, event, upload))
        upload.props(f'accept="{kinds}" aria-hidden="true"').classes("as-upload")
        add = ui.button("Add documents", icon="upload_file", on_click=lambda: upload.run_method("pickFiles"))
        add.props("unelevated no-caps")
        ui.button("Look again", icon="refresh", on_click=library.update_soon).props("flat no-caps")

    async def _added(self, library: Library, event: UploadEventArguments, upload: ui.upload) -> None:
        name = safe_name(event.file.name)
        data = await event.file.read()
        upload.reset()
        kept = await asyncio.to_thread(library.add, name, data)
        ui.notify(f"{kept} was added", type="positive")

    def _look(self, library: Library) -> None:
        """Draw what changed since the last look."""
        state = library.state
        self._progress.set_visibility(state.running)
        self._progress.set_value(state.done / state.total if state.total else 0.0)
        if state.running:
            self._status.set_text(f"Reading{state.so_far}")
        now = (library.revision(), state)
        if now == self._seen or (state.running and time.monotonic() < self._next_list):
            return
        self._seen, self._next_list = now, time.monotonic() + LIST_S
        documents = library.documents()
        if not state.running:
            self._status.set_text(_counted(documents))
        self._draw_lists(library, documents)

    def _draw_lists(self, library: Library, documents: tuple[Indexed, ...]) -> None:
        self._problem.clear()
        if library.state.problem:
            with self._problem:
                problem(library.state.problem, "press Look again")
        self._refused_box.clear()
        if refused := library.refused():
            with self._refused_box, panel("Not read"):
                for path, reason in sorted(refused.items()):
                    self._row(path, why(path, reason), "as-refused")
        self._list.clear()
        with self._list:
            if refused and documents:
                ui.html("<h2>Read</h2>", sanitize=False)
            for one in documents[:LISTED]:
                self._row(one.path, f"{_size(one.bytes)} · {one.chunks} passage{'s' if one.chunks != 1 else ''}", "")
            if len(documents) > LISTED:
                ui.label(f"and {len(documents) - LISTED:,} more").classes("ek-muted")
            if not documents:
                empty("No documents yet", f"files that end with {', '.join(sorted(READERS))} are read", "description")

    def _row(self, path: str, about: str, classes: str) -> None:
        with ui.element("div").classes(f"ek-row as-document-row {classes}"):
            with ui.element("div"):
                ui.label(path).classes("as-document-name")
                ui.label(about).classes("ek-muted")
            if self._may_change:
                button = ui.button(on_click=lambda: self._ask(path)).props("flat round dense").classes("ek-plain")
                button.props["aria-label"] = button.props["title"] = f"Delete {path}"
                with button:
                    icon("delete_outline")

    def _ask(self, path: str) -> None:
        self._doomed = path
        self._doomed_label.set_text(f"{path} will be deleted from the folder, not only from the index.")
        self._confirm.open()

    def _confirmation(self, library: Library) -> ui.dialog:
        async def delete() -> None:
            dialog.close()
            await asyncio.to_thread(library.remove, self._doomed)
            self._look(library)

        with ui.dialog() as dialog, ui.element("div").classes("as-dialog as-small").props('role=dialog aria-label="Delete"'):
            ui.label("Delete this document?").classes("as-dialog-title")
            self._doomed_label = ui.label("").classes("ek-muted")
            with ui.element("div").classes("as-choices"):
                ui.button("Keep", on_click=dialog.close).props("flat no-caps autofocus")
                ui.button("Delete", on_click=delete).props("unelevated no-caps color=negative")
        return dialog


def _counted(documents: tuple[Indexed, ...]) -> str:
    passages = sum(one.chunks for one in documents)
    return f"{len(documents):,} document{'s' if len(documents) != 1 else ''}, {passages:,} passages"


def _size(count: int) -> str:
    """`12 kB`, `3.4 MB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _rejected() -> None:
    ending = ", ".join(sorted(READERS))
    raise InputError(f"that is no document of at most {UPLOAD_BYTES // 1_000_000} MB", f"files that end with {ending}")
