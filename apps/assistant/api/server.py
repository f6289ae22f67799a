"""The assistant behind the shell: its interfaces, its figures, and a page that says what there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from edgekit.apps.assistant.api import openai, own
from edgekit.apps.assistant.api.bridge import Door
from edgekit.apps.assistant.api.figures import Figures
from edgekit.apps.assistant.api.start_page import start_page
from edgekit.apps.assistant.assistant import Assistant
from edgekit.apps.assistant.conversations import Conversations
from edgekit.apps.assistant.documents.limits import FILE_BYTES
from edgekit.apps.web.shell import Api, Page, Shell


def shell(assistant: Assistant, kept: Conversations) -> Shell:
    """What is served. Documents are read in the background once the server runs."""
    door = Door()
    return Shell(
        name="assistant",
        title="Assistant",
        pages=(Page(path="/", title="Assistant", icon="forum", draw=lambda visit: start_page(assistant)),),
        apis=(
            Api(prefix="/v1", router=openai.router(assistant, door), writes="viewer"),
            Api(prefix="/api/documents", router=own.documents(assistant.library), body_bytes=FILE_BYTES),
            Api(prefix="/api/conversations", router=own.conversations(kept), writes="viewer"),
            Api(prefix="/api/analytics", router=own.analytics(assistant.log)),
        ),
        lifespan=_lifespan(assistant),
        collectors=(Figures(assistant, door),),
    )


def _lifespan(assistant: Assistant) -> Callable[[], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if assistant.library is not None:
            assistant.library.update_soon()
        yield

    return lifespan
