"""The page Account: one's own password and tokens, and for admins everybody's accounts."""

from __future__ import annotations

import asyncio
from datetime import datetime

from nicegui import ui

from edgekit.apps.web.pages.parts import heading, icon, panel
from edgekit.apps.web.security import passwords
from edgekit.apps.web.security.accounts import Accounts
from edgekit.apps.web.shell import ROLES, Page, User, Visit
from edgekit.core.errors import InputError


def pages(accounts: Accounts) -> tuple[Page, ...]:
    """The page, which the menu leads to."""
    return (Page(path="/account", title="Account", icon="person", listed=False, draw=lambda visit: _draw(accounts, visit)),)


def _draw(accounts: Accounts, visit: Visit) -> None:
    heading("Account", f"You are {visit.user.name}, {_described(visit.user)}.")
    with ui.element("div").classes("ek-grid"):
        _password(accounts, visit.user)
        _tokens(accounts, visit.user)
        if visit.user.may("admin"):
            _users(accounts, visit.user)


def _described(user: User) -> str:
    return "an admin: you may change things" if user.role == "admin" else "a viewer: you may look, and use what changes nothing"


def _field(label: str, *, secret: bool = False, complete: str = "off") -> ui.input:
    field = ui.input(label, password=secret, password_toggle_button=secret)
    return field.props(f'outlined dense autocomplete="{complete}"').classes("ek-field")


def _password(accounts: Accounts, user: User) -> None:
    async def change() -> None:
        if await asyncio.to_thread(accounts.login, user.name, old.value or "") is None:
            raise InputError("the old password is not right")
        await asyncio.to_thread(accounts.set_password, user.name, new.value or "")
        ui.navigate.to("/login")

    with panel("Password"):
        ui.label(f"At least {passwords.SHORTEST} characters. All sessions end with the change.").classes("ek-muted")
        old = _field("Old password", secret=True, complete="current-password")
        new = _field("New password", secret=True, complete="new-password")
        ui.button("Change", on_click=change).props("unelevated no-caps")


def _tokens(accounts: Accounts, user: User) -> None:
    @ui.refreshable
    def listed() -> None:
        for token in accounts.tokens(user.name):
            with ui.element("div").classes("ek-row"):
                ui.label(token.label or "unnamed")
                ui.label(datetime.fromtimestamp(token.made).strftime("%Y-%m-%d")).classes("ek-muted")
                remove = ui.button(on_click=lambda key=token.id: end(key)).props('flat round dense aria-label="End this token"')
                with remove:
                    icon("delete_outline")

    def make() -> None:
        secret = accounts.new_token(user.name, label.value or "")
        shown.set_content(secret)
        box.set_visibility(True)
        label.set_value("")
        listed.refresh()

    def end(token_id: str) -> None:
        accounts.remove_token(user.name, token_id)
        listed.refresh()

    with panel("Tokens"):
        ui.label("For programs: send one as 'Authorization: Bearer TOKEN'. It may do what you may.").classes("ek-muted")
        listed()
        with ui.element("div").classes("ek-row"):
            label = _field("What for")
            ui.button("Make a token", on_click=make).props("unelevated no-caps")
        with ui.element("div").classes("ek-note") as box:
            ui.label("Copy it now: it is shown once.")
            shown = ui.code("", language="text")
        box.set_visibility(False)


def _users(accounts: Accounts, admin: User) -> None:
    @ui.refreshable
    def listed() -> None:
        for user in accounts.users():
            with ui.element("div").classes("ek-row"):
                ui.label(user.name)
                ui.label(user.role).classes("ek-muted")
                if user.name != admin.name:
                    remove = ui.button(on_click=lambda name=user.name: end(name))
                    with remove.props(f'flat round dense aria-label="Remove {user.name}"'):
                        icon("delete_outline")

    async def add() -> None:
        await asyncio.to_thread(accounts.add, name.value or "", password.value or "", role.value)
        name.set_value("")
        password.set_value("")
        listed.refresh()

    def end(user: str) -> None:
        accounts.remove(user)
        listed.refresh()

    with panel("Users"):
        listed()
        name = _field("Name")
        password = _field("Password", secret=True, complete="new-password")
        role = ui.toggle(list(ROLES), value="viewer").props('no-caps unelevated aria-label="Role"').classes("ek-look")
        ui.button("Add", on_click=add).props("unelevated no-caps")
