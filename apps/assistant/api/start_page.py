"""The page at `/`: which models answer here, and how programs ask."""

from __future__ import annotations

from edgekit.apps.assistant.assistant import Assistant
from edgekit.core.optional import need


def start_page(assistant: Assistant) -> None:
    """Drawn at every visit."""
    from edgekit.apps.assistant.api.openai import names
    from edgekit.apps.web.pages.parts import heading, panel

    ui = need("nicegui").ui
    models = names(assistant)
    heading("Assistant", "Programs ask here as they ask OpenAI's API.")
    with panel("Models"):
        for name in models or ("none: start with --artifact MODEL or --documents DIR",):
            ui.label(name)
    if assistant.library is not None:
        with panel("Documents"):
            ui.label(f"{assistant.library.count()} in the index of {assistant.library.folder}")
            for path, reason in sorted(assistant.library.refused().items()):
                ui.label(f"not read: {path}: {reason}")
    with panel("Ask"):
        origin = str(ui.context.client.request.base_url).rstrip("/")
        ui.code(f"OPENAI_BASE_URL={origin}/v1 OPENAI_API_KEY=a token of yours, made on the page Account", language="bash")
