"""What an app hands to the shell: its pages, its programming interfaces, and what lives as long as the server does.

from edgekit.apps.web.options import serving
from edgekit.apps.web.serve import serve
from edgekit.apps.web.shell import Api, Page, Shell

def run(options: RunOptions) -> Answer:
    shell = Shell(
        name="digits",
        title="Digits",
        pages=pages,  # () -> (Page(path="/", title="Read", icon="draw", draw=draw_page),)
        apis=(Api(prefix="/api/digits", router=router(), writes="viewer"),),
    )
    return serve(shell, serving(options))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edgekit.core.errors import UsageError

if TYPE_CHECKING:
    from fastapi import APIRouter
    from prometheus_client.registry import Collector

Role = Literal["viewer", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "admin")

MEGABYTE = 1_000_000
RESERVED = ("/login", "/logout", "/health", "/metrics", "/account", "/interface", "/edgekit", "/_nicegui", "/_nicegui_ws")
"""Paths that are the shell's own; an app's stand beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is asking. An admin may do what a viewer may, and change things."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this user may do what asks for `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One opening of a page: by whom, and with which parameters of the path and of the query."""

    user: User
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. `draw` is called for every visit and makes NiceGUI elements; the frame around them is there already.

    `path` may hold parameters (`/events/{name}`), `icon` is a name of Google's Material Icons, which NiceGUI carries with it.
    A page that is not `listed` has no entry in the navigation.
    """

    path: str
    title: str
    draw: Callable[[Visit], Awaitable[None] | None]
    icon: str = "circle"
    role: Role = "viewer"
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A FastAPI router. `reads` may GET, `writes` may do the rest; a request's body may have `body_bytes`.

    Nothing here is open: a session or a bearer token is asked for before the router sees a request.
    """

    prefix: str
    router: APIRouter
    reads: Role = "viewer"
    writes: Role = "admin"
    body_bytes: int = 16 * MEGABYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """All that an app serves. `lifespan` is entered before the first request and left after the last.

    `pages` is called once, in a thread, when the first browser comes: NiceGUI and what draws is imported in there.

    `collectors` are the app's figures for `/metrics` (classes of prometheus-client with `collect()`).
    """

    name: str
    title: str
    pages: Callable[[], tuple[Page, ...]]
    apis: tuple[Api, ...] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext
    collectors: tuple[Collector, ...] = ()


def checked(shell: Shell) -> Shell:
    """`shell` itself. Raises `UsageError` for the first rule it breaks: a mistake of whoever wrote the app."""
    _refuse_first(shell, _wrong_apis([api.prefix for api in shell.apis]))
    return shell


def checked_pages(shell: Shell) -> tuple[Page, ...]:
    """The pages of `shell`, made now. Raises `UsageError` for the first rule they break."""
    pages = shell.pages()
    _refuse_first(shell, _wrong_pages([page.path for page in pages]))
    return pages


def _refuse_first(shell: Shell, problems: Iterator[str]) -> None:
    for problem in problems:
        raise UsageError(f"the shell of {shell.name!r}: {problem}")


def _wrong_apis(prefixes: list[str]) -> Iterator[str]:
    yield from _wrong_paths(prefixes)
    for prefix in prefixes:
        if prefix.endswith("/"):
            yield f"the prefix {prefix!r} ends with '/'"


def _wrong_pages(paths: list[str]) -> Iterator[str]:
    if "/" not in paths:
        yield "no page has the path '/'"
    yield from _wrong_paths(paths)
    for path in _twice(paths):
        yield f"two pages have the path {path!r}"


def _wrong_paths(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if not path.startswith("/"):
            yield f"the path {path!r} does not start with '/'"
        if is_under(path, RESERVED):
            yield f"the path {path!r} is the shell's own"


def is_under(path: str, prefixes: Iterable[str]) -> bool:
    """Whether `path` is one of `prefixes` or lies below one."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
