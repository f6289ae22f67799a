"""The list of a user's conversations: searched, opened, exported, deleted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime

from nicegui import ui

from edgekit.apps.assistant.conversations import Conversation, Conversations
from edgekit.apps.web.pages.parts import icon

LISTED = 200


class Memory:
    """The sidebar. `on_open` gets a conversation's id, `on_new` is called for an empty one."""

    def __init__(self, kept: Conversations, owner: str, *, on_open: Callable[[str], None], on_new: Callable[[], None]) -> None:
        self._kept, self._owner, self._on_open, self._on_new = kept, owner, on_open, on_new
        self.current, self._is_open = "", False
        self._shade = ui.element("div").classes("as-shade").on("click", self.hide)
        with ui.element("aside").classes("as-memory").props('aria-label="Conversations"') as self._box:
            with ui.element("div").classes("as-memory-head"):
                ui.button("New chat", icon="add", on_click=self._new).props("unelevated no-caps").classes("as-new")
                self._tool("Export all", "download", self._export)
                self._tool("Hide conversations", "close", self.hide).classes("as-memory-close")
            self._search = ui.input(placeholder="Search", on_change=self.refresh)
            self._search.props('outlined dense clearable debounce=200 aria-label="Search conversations"').classes("ek-field")
            self._list = ui.element("nav").classes("as-list").props('aria-label="Kept conversations"')
        self._box.on("keydown.escape", self.hide)
        self._client = ui.context.client
        self._ask_first = self._confirmation()
        self._doomed = ""
        self.refresh()

    def toggle(self) -> None:
        """On a phone the list lies over the page, and has the keyboard as long as it does."""
        self._is_open = not self._is_open
        for part in (self._box, self._shade):
            part.classes(add="as-open") if self._is_open else part.classes(remove="as-open")
        goal = ".as-memory .as-new" if self._is_open else ".as-menu"
        self._client.run_javascript(f"setTimeout(() => document.querySelector('{goal}')?.focus(), 50)")

    def hide(self) -> None:
        """Show the chat."""
        if self._is_open:
            self.toggle()

    def refresh(self) -> None:
        """Draw the list again."""
        self._list.clear()
        words = (self._search.value or "").strip()
        with self._list:
            found = self._matches(words) if words else [(one.id, one.title, _when(one)) for one in self._kept.list(self._owner)]
            for name, title, below in found[:LISTED]:
                self._entry(name, title or "Nothing asked yet", below)
            if len(found) > LISTED:
                ui.label(f"and {len(found) - LISTED:,} more: search for them").classes("ek-muted as-none")
            if not found:
                ui.label("Nothing found" if words else "No conversations yet").classes("ek-muted as-none")

    def _matches(self, words: str) -> list[tuple[str, str, str]]:
        """One entry for each conversation, with the words that were found."""
        found = {one.conversation: one for one in reversed(self._kept.search(self._owner, words))}
        return [(one.conversation, one.title, one.excerpt) for one in reversed(list(found.values()))]

    def _entry(self, name: str, title: str, below: str) -> None:
        with ui.element("div").classes("as-entry" + (" as-current" if name == self.current else "")):
            with ui.element("button").props("type=button").classes("as-entry-open") as button:
                ui.label(title).classes("as-entry-title")
                ui.label(below).classes("as-entry-below")
            button.on("click", lambda: self._opened(name))
            if name == self.current:
                button.props('aria-current="true"')
            self._tool(f"Delete {title[:40]}", "delete_outline", lambda: self._ask(name, title))

    def _opened(self, name: str) -> None:
        self.hide()
        self._on_open(name)

    def _new(self) -> None:
        self.hide()
        self._on_new()

    def _ask(self, name: str, title: str) -> None:
        self._doomed = name
        self._doomed_title.set_text(f"“{title}” and all that was said in it will be gone, from its copies as well.")
        self._ask_first.open()

    async def _delete(self) -> None:
        self._ask_first.close()
        await asyncio.to_thread(self._kept.delete, self._doomed, self._owner)
        if self._doomed == self.current:
            self._on_new()
        self.refresh()

    def _export(self) -> None:
        data = json.dumps(self._kept.export(self._owner), ensure_ascii=False, indent=2).encode()
        ui.download.content(data, f"conversations-{time.strftime('%Y-%m-%d')}.json", "application/json")

    def _confirmation(self) -> ui.dialog:
        with ui.dialog() as dialog, ui.element("div").classes("as-dialog as-small").props('role=dialog aria-label="Delete"'):
            ui.label("Delete this conversation?").classes("as-dialog-title")
            self._doomed_title = ui.label("").classes("ek-muted")
            with ui.element("div").classes("as-choices"):
                ui.button("Keep", on_click=dialog.close).props("flat no-caps autofocus")
                ui.button("Delete", on_click=self._delete).props("unelevated no-caps color=negative")
        return dialog

    def _tool(self, title: str, symbol: str, action: Callable[[], None]) -> ui.button:
        button = ui.button(on_click=action).props("flat round dense").classes("ek-plain as-small-tool")
        button.props["aria-label"], button.props["title"] = title, title
        with button:
            icon(symbol)
        return button


def _when(one: Conversation) -> str:
    changed = datetime.fromtimestamp(one.changed_at)
    return changed.strftime("%H:%M" if changed.date() == datetime.now().date() else "%Y-%m-%d")
