"""The page Programming interface: what programs may ask, from the OpenAPI description, drawn without any other site's script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nicegui import ui

from edgekit.apps.web.pages.parts import heading, panel
from edgekit.apps.web.shell import Page, Visit

METHODS = ("get", "post", "put", "patch", "delete")
EXAMPLE = 'curl -H "Authorization: Bearer $TOKEN" {origin}{path}'


def page(openapi: Callable[[], Mapping[str, Any]]) -> Page:
    """The page, which the menu leads to; `openapi` gives the description."""
    return Page(path="/interface", title="Programming interface", listed=False, draw=lambda visit: _draw(openapi(), visit))


def _draw(described: Mapping[str, Any], visit: Visit) -> None:
    heading("Programming interface", "Everything here asks for a session or a bearer token; make one on the page Account.")
    with panel():
        for method, path, operation in _operations(described):
            with ui.element("div").classes("ek-operation"):
                ui.label(method.upper()).classes(f"ek-method ek-{method}")
                ui.label(path).classes("ek-path")
                ui.label(operation.get("summary", "")).classes("ek-muted")
    with panel("Try it"):
        ui.code(EXAMPLE.format(origin=str(ui.context.client.request.base_url).rstrip("/"), path="/metrics"), language="bash")
        ui.link("The OpenAPI description", "/interface/openapi.json")


def _operations(described: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in described["paths"].items():
        for method in METHODS:
            if method in operations:
                yield method, path, operations[method]
