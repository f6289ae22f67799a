"""The assistant behind the shell: its pages, its interfaces, its figures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files

from edgekit.apps.assistant.api import openai, own
from edgekit.apps.assistant.api import voice as voice_api
from edgekit.apps.assistant.api.bridge import Door
from edgekit.apps.assistant.api.figures import Figures
from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.chat import Chat
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.documents.limits import FILE_BYTES
from edgekit.apps.assistant.voice import Voice
from edgekit.apps.web.shell import Api, Page, Shell, Visit
from edgekit.runtimes.speech.audio import LARGEST_BYTES

STYLE = "assistant.css"


def shell(assistant: Assistant, kept: Conversations, voice: Voice) -> Shell:
    """What is served. Documents are read in the background once the server runs."""
    door = Door()
    return Shell(
        name="assistant",
        title="Assistant",
        pages=lambda: _pages(Chat(assistant, kept), door),
        apis=(
            Api(prefix="/v1", router=openai.router(assistant, door), writes="viewer"),
            Api(prefix="/api/documents", router=own.documents(assistant.library), body_bytes=FILE_BYTES),
            Api(prefix="/api/conversations", router=own.conversations(kept), writes="viewer"),
            Api(prefix="/api/voice", router=voice_api.router(voice), writes="viewer", body_bytes=LARGEST_BYTES),
            Api(prefix="/api/analytics", router=own.analytics(assistant.log)),
        ),
        lifespan=_lifespan(assistant),
        collectors=(Figures(assistant, door),),
    )


def _pages(chat: Chat, door: Door) -> tuple[Page, ...]:
    """What draws is imported when somebody wants to see it."""
    from nicegui import ui

    from edgekit.apps.assistant.pages.analytics import AnalyticsPage
    from edgekit.apps.assistant.pages.chat import ChatPage
    from edgekit.apps.assistant.pages.documents import DocumentsPage

    ui.add_css((files("edgekit.apps.assistant.pages") / STYLE).read_text(encoding="utf-8"), shared=True)

    def draw_chat(visit: Visit) -> None:
        ChatPage(chat, door).draw(visit)

    def draw_documents(visit: Visit) -> None:
        fallback = chat.assistant.generator.fallback
        sent_to = fallback.options.url if fallback is not None and fallback.options.documents else ""
        DocumentsPage(chat.assistant.library, sent_to).draw(visit)

    async def draw_analytics(visit: Visit) -> None:
        await AnalyticsPage(chat.assistant.log).draw(visit)

    return (
        Page(path="/", title="Chat", icon="forum", draw=draw_chat),
        Page(path="/documents", title="Documents", icon="description", draw=draw_documents),
        Page(path="/analytics", title="Analytics", icon="query_stats", draw=draw_analytics),
    )


def _lifespan(assistant: Assistant) -> Callable[[], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if assistant.library is not None:
            assistant.library.update_soon()
        yield

    return lifespan
