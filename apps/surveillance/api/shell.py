"""The interface, added to the shell of an app with cameras."""

from __future__ import annotations

from dataclasses import replace

from edgekit.apps.surveillance.api.figures import SiteFigures
from edgekit.apps.surveillance.api.router import PREFIX, config_router, router
from edgekit.apps.vision.watching.guards import Guards
from edgekit.apps.vision.watching.site import SiteWatch
from edgekit.apps.web.security.bodies import SMALL_BYTES
from edgekit.apps.web.shell import Api, Shell

CONFIG_BYTES = 2_000_000
"""A site's file at most, as JSON."""


def with_api(shell: Shell, site: SiteWatch, guards: Guards) -> Shell:
    """`shell` with the routes and figures of its site."""
    own = (
        Api(prefix=f"{PREFIX}/config", router=config_router(site), reads="admin", body_bytes=CONFIG_BYTES),
        Api(prefix=PREFIX, router=router(site, guards), body_bytes=SMALL_BYTES),
    )
    return replace(shell, apis=(*shell.apis, *own), collectors=(*shell.collectors, SiteFigures(site, guards)))
