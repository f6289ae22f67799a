"""What a camera's pictures go through before anybody sees them or they are kept."""

from __future__ import annotations

from edgekit.apps.vision.privacy.faces import blurred
from edgekit.apps.vision.rules.settings import Camera
from edgekit.apps.vision.showing.pictures import Veil, unveiled


def veil_of(camera: Camera) -> Veil:
    """The veil that a camera's settings ask for. Masks are not its business: its frames come with them burned in."""
    return blurred if camera.faces == "blurred" else unveiled
