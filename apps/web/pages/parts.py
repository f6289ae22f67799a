"""Pieces that pages are made of: panels, headings, and what is shown when there is nothing, or something is wrong."""

from __future__ import annotations

from nicegui import ui


def icon(name: str) -> ui.icon:
    """One of Google's Material Icons, hidden from screen readers: a word always stands beside it."""
    return ui.icon(name).props('aria-hidden="true"')


def heading(title: str, text: str = "") -> None:
    """A page's title and a line under it."""
    with ui.element("div").classes("ek-heading"):
        ui.html(f"<h1>{title}</h1>")
        if text:
            ui.label(text).classes("ek-muted")


def panel(title: str = "", *, classes: str = "") -> ui.element:
    """A box for what belongs together; use it with `with`."""
    box = ui.element("section").classes(f"ek-panel {classes}")
    if title:
        with box:
            ui.html(f"<h2>{title}</h2>")
    return box


def problem(message: str, hint: str = "") -> None:
    """What is wrong, and what to try."""
    with ui.element("div").classes("ek-problem").props("role=alert"):
        icon("error_outline")
        with ui.element("div"):
            ui.label(message[:1].upper() + message[1:]).classes("ek-problem-message")
            if hint:
                ui.label(f"Try: {hint}").classes("ek-muted")


def empty(message: str, hint: str = "", symbol: str = "inbox") -> ui.element:
    """There is nothing here yet, and how that changes."""
    with ui.element("div").classes("ek-empty") as box:
        icon(symbol)
        ui.label(message).classes("ek-empty-message")
        if hint:
            ui.label(hint).classes("ek-muted")
    return box
