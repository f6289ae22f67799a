"""The assistant: a question goes in, a stream of events comes out, ending with the answer and what it stands on.

Pages, terminal, API and command line all ask here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from edgekit.apps.assistant.analytics import Log, Query, Totals, of_timings
from edgekit.apps.assistant.answers.citations import Checked, Stream, checked
from edgekit.apps.assistant.answers.extract import extract
from edgekit.apps.assistant.answers.prompt import fitted, messages
from edgekit.apps.assistant.answers.sources import FLOOR, NOT_THERE, Source, numbered
from edgekit.apps.assistant.fallback import Badge
from edgekit.apps.assistant.generation import Measured, Switched, Wanted, Writer
from edgekit.apps.assistant.library import Library
from edgekit.apps.assistant.machine import Watch
from edgekit.apps.assistant.states import Turn
from edgekit.core.errors import EdgekitError
from edgekit.runtimes.text import Done, Message, Piece, Sampling, TextRequest, TextSession, Waiting

Mode = Literal["generated", "extractive", "none"]
PASSAGES = 5
FROM_DOCUMENTS = Sampling(temperature=0.2)
"""Answers from passages are to keep to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The whole answer. `mode` extractive: sentences quoted from the documents, no model spoke; none: it is not in them."""

    text: str
    mode: Mode
    citations: tuple[Source, ...] = ()
    sources: tuple[Source, ...] = ()
    unsupported: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = "stop"
    model: str = ""
    badge: Badge | None = None
    timings: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As `edgekit run assistant --ask` prints it."""
        return {
            "answer": self.text,
            "citations": [source.citation() for source in self.citations],
            "source": "fallback" if self.badge else "local",
            "timings": self.timings,
            "mode": self.mode,
            "model": self.model,
            "reason": self.reason,
            "unsupported": list(self.unsupported),
            "dropped": list(self.dropped),
            "notes": list(self.notes),
            "fallback": asdict(self.badge) if self.badge else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The passages that the answer may cite."""

    sources: tuple[Source, ...]


AnswerEvent: TypeAlias = "Found | Waiting | Piece | Switched | Answered"


class Assistant:
    """Documents, models and log together. For any number of threads."""

    def __init__(
        self, generator: Writer, library: Library | None = None, log: Log | None = None, *, deadline_s: float | None = None
    ) -> None:
        """`deadline_s` is for questions that bring none of their own."""
        self.generator, self.library, self._deadline_s = generator, library, deadline_s
        self.log = log or Log(None)
        self.watch, self.totals = Watch(), Totals()

    def ask(
        self,
        question: str,
        history: Sequence[Message] = (),
        *,
        cancel: threading.Event | None = None,
        sampling: Sampling = FROM_DOCUMENTS,
        deadline_s: float | None = None,
        documents: bool = True,
        conversation: str = "",
    ) -> Generator[AnswerEvent, None, None]:
        """Answer from the documents where there are some, else as the model likes. Ends with one `Answered`.

        With the name of a `conversation`, what the engine evaluates of it may be kept for its next turn.

        Raises what the engine raises, and `Unsupported` when there is nothing to answer from.
        """
        asked = _Asked(
            question, tuple(history), cancel or threading.Event(), sampling, deadline_s or self._deadline_s, conversation
        )
        if self.library is None or not documents:
            yield from self._spoken(asked, (), None)
            return
        began = time.perf_counter()
        hits = self.library.find(question, PASSAGES)
        # An embedding model finds what is said in other words: whether that answers is then for the language model to say.
        sources = numbered(hits, FLOOR if self.library.by_words or self.generator.engine is None else 0.0)
        search_ms = _ms_since(began)
        yield Found(sources=sources)
        if not sources:
            yield self._quoted(asked, (), search_ms)
        elif self.generator.engine is None or not self.generator.engine.reads_passages():
            yield self._quoted(asked, sources, search_ms)
        else:
            yield from self._spoken(asked, sources, search_ms)

    def _quoted(self, asked: _Asked, sources: tuple[Source, ...], search_ms: float, note: str = "") -> Answered:
        assert self.library is not None  # only documents are quoted
        found = extract(self.library.asked(asked.question), sources)
        mode: Mode = "extractive" if found.citations else "none"
        timings = {"search_ms": round(search_ms, 3)}
        self._add(
            Query(at=time.time(), kind="extract", outcome=mode, search_ms=search_ms, total_ms=search_ms, **self._machine())
        )
        return Answered(
            text=found.text or NOT_THERE,
            mode=mode,
            citations=found.citations,
            sources=sources,
            notes=(*((note,) if note else ()), *self._unread()),
            timings=timings,
        )

    def _spoken(
        self, asked: _Asked, sources: tuple[Source, ...], search_ms: float | None
    ) -> Generator[AnswerEvent, None, None]:
        measured = Measured()
        try:
            yield from self._generated(asked, sources, search_ms, measured)
        except EdgekitError as exc:
            if not sources or measured.first_ms is not None:
                raise
            yield self._quoted(asked, sources, search_ms or 0.0, f"the model did not answer: {exc.message}")
        finally:
            self.record("chat", measured, search_ms)

    def _generated(
        self, asked: _Asked, sources: tuple[Source, ...], search_ms: float | None, measured: Measured
    ) -> Generator[AnswerEvent, None, None]:
        prompts = _Prompts(asked, sources)
        elsewhere = self._for_fallback(asked, sources)
        sent = bool(sources) and self._may_send_documents()
        stream, said = Stream([one.n for one in sources]), ""
        turn = Turn(conversation=asked.conversation, passages=bool(sources)) if asked.conversation else None
        wanted = Wanted(prompts.make, asked.cancel, elsewhere=elsewhere, documents_sent=sent, turn=turn)
        for event in self.generator.stream(wanted, measured):
            if isinstance(event, Switched):
                stream, said = Stream([one.n for one in sources] if sent else ()), ""
                prompts.offered = sources if sent else ()
            if isinstance(event, Piece):
                said += event.text
                text = stream.push(event.text) if sources else event.text
                event = replace(event, text=text)
            if not isinstance(event, Done):
                yield event
        if rest := stream.flush():
            yield Piece(text=rest, tokens=0)
        yield self._finished(said, prompts, measured, search_ms)

    def _finished(self, said: str, prompts: _Prompts, measured: Measured, search_ms: float | None) -> Answered:
        found = checked(said, prompts.offered) if prompts.offered else Checked(text=said, citations=(), claims=())
        return Answered(
            text=found.text.strip(),
            mode="generated",
            citations=found.citations,
            sources=prompts.offered,
            unsupported=found.unsupported,
            dropped=prompts.dropped,
            notes=() if search_ms is None else self._unread(),
            reason=measured.outcome,
            model=measured.badge.model if measured.badge else (measured.model.name if measured.model else ""),
            badge=measured.badge,
            timings=timings_of(measured, search_ms),
        )

    def _unread(self) -> tuple[str, ...]:
        """That an answer may not be the last word, because documents are still being read."""
        state = self.library.state if self.library is not None else None
        if state is None or not state.running:
            return ()
        return (f"documents are still being read:{state.so_far} so far" if state.so_far else "documents are still being read",)

    def _may_send_documents(self) -> bool:
        return self.generator.fallback is not None and self.generator.fallback.options.documents

    def _for_fallback(self, asked: _Asked, sources: tuple[Source, ...]) -> TextRequest | None:
        """What may leave this machine: without the second switch neither passages nor answers that were made from them."""
        if self.generator.fallback is None:
            return None
        if not sources:
            return _request(asked, messages(asked.question, (), asked.history if self.library is None else (), ""))
        if self._may_send_documents():
            return _request(asked, fitted(asked.question, sources, asked.history, lambda _: True).messages)
        return _request(asked, messages(asked.question, (), (), ""))

    def record(self, kind: str, measured: Measured, search_ms: float | None = None) -> None:
        """Write a query down."""
        timings = measured.timings.as_json()
        model = measured.model
        cache = (timings["cache_n"] + timings["prompt_n"]) * model.kv_bytes_per_token if model else 0
        query = Query(
            at=time.time(),
            kind=kind,
            source="fallback" if measured.badge else "local",
            model=measured.badge.model if measured.badge else (model.name if model else ""),
            outcome=measured.outcome,
            queued_ms=measured.queued_ms,
            search_ms=search_ms,
            ttft_ms=measured.first_ms,
            total_ms=measured.total_ms,
            bandwidth_share=self.watch.share(model.bytes, cache, timings["predicted_per_second"]) if model else None,
            **of_timings(timings),
            **self._machine(),
        )
        self._add(query)

    def _add(self, query: Query) -> None:
        self.totals.add(query)
        self.log.add(query)

    def _machine(self) -> dict[str, Any]:
        return self.watch.now() if self.log.is_on else {}

    def close(self) -> None:
        """End the engines, the reading and the log; closing again does nothing."""
        for part in (self.generator, self.library, self.log):
            if part is not None:
                part.close()


@dataclass(frozen=True, slots=True)
class _Asked:
    question: str
    history: tuple[Message, ...]
    cancel: threading.Event
    sampling: Sampling
    deadline_s: float | None
    conversation: str


class _Prompts:
    """Makes the prompt once the session says what has room, and remembers what it left out."""

    def __init__(self, asked: _Asked, sources: tuple[Source, ...]) -> None:
        self._asked, self._sources = asked, sources
        self.offered = sources
        self.dropped: tuple[str, ...] = ()

    def make(self, session: TextSession) -> TextRequest:
        """The request with as much as fits into the session's context, leaving room for the answer."""
        if self._sources:
            prompt = fitted(self._asked.question, self._sources, self._asked.history, lambda tried: self._fits(session, tried))
        else:
            prompt = fitted(self._asked.question, (), self._asked.history, lambda tried: self._fits(session, tried), "")
        self.offered, self.dropped = prompt.sources, prompt.dropped
        return _request(self._asked, prompt.messages)

    def _fits(self, session: TextSession, tried: tuple[Message, ...]) -> bool:
        context = session.model.context
        if context <= 0 or session.model.remote:
            return True
        answer = min(self._asked.sampling.max_tokens, context // 4)
        return len(session.tokenize(session.render(_request(self._asked, tried)))) + answer <= context


def _request(asked: _Asked, said: tuple[Message, ...]) -> TextRequest:
    return TextRequest(messages=said, sampling=asked.sampling, deadline_s=asked.deadline_s)


def timings_of(measured: Measured, search_ms: float | None = None) -> dict[str, Any]:
    """llama-server's `timings`, and what this server adds: the waits as they were felt."""
    felt = {
        "ttft_ms": measured.first_ms,
        "total_ms": measured.total_ms,
        "queued_ms": measured.queued_ms,
        "search_ms": search_ms,
    }
    rounded = {name: round(value, 3) for name, value in felt.items() if value is not None}
    return {name: round(value, 3) for name, value in measured.timings.as_json().items()} | rounded


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
