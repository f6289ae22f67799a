"""What the engine has evaluated of each conversation, kept on disk: going on with one after a restart evaluates the new words only.

A state is written when another conversation takes the engine, when nobody has asked for a while, and at the end; so it is written
once however many turns follow one another. It is the engine's own, and refused where model, engine or context are others; whatever is
wrong with it costs nothing but its use. It is deleted with its conversation.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.errors import EdgekitError
from edgekit.core.files import said_plainly
from edgekit.runtimes.language.state import tokens_in
from edgekit.runtimes.text import Done, Memory, RememberingSession, TextRequest

log = logging.getLogger(__name__)
IDLE_S = 10.0
"""How long nobody asks before a state is written."""
CLOSE_S = 5.0
"""How long the end waits for an answer that is being given."""
MOST = 200
"""States that are kept; those used last."""
MOST_BYTES, SHARE_OF_FREE = 2_000_000_000, 0.1
"""What they take on disk together, if nothing else is said: a share of what is free, at most so much."""
BYTES_PER_S = 20e6
"""How fast a card writes, until a state of `TIMED_BYTES` was written here."""
TIMED_BYTES, TIMED_TOKENS = 1 << 20, 16
"""What is large enough to be timed."""
WORTH = 0.25
"""The share of a state's tokens that the next prompt has to begin with, for it to be read."""
SUFFIX = ".state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is. With `passages` the prompt ends with some, and the next prompt does not have them."""

    conversation: str
    passages: bool


@dataclass(slots=True, kw_only=True)
class _Held:
    """What the engine has evaluated now: `tokens`, none before the answer is whole. `on_disk` of the lasting ones are there already."""

    turn: Turn
    request: TextRequest
    process: int
    on_disk: int
    tokens: int = 0


class States:
    """The files in `folder`, which is theirs alone. What goes through the engine calls `before` and `after`."""

    def __init__(
        self,
        folder: Path,
        most_bytes: int,
        exists: Callable[[str], bool],
        *,
        idle_s: float = IDLE_S,
        bytes_per_s: float = BYTES_PER_S,
    ) -> None:
        """`exists` says whether there is a conversation of that name still, `bytes_per_s` how fast the disk is taken to write."""
        self._folder, self._most_bytes, self._exists, self._idle_s = folder, most_bytes, exists, idle_s
        self._held: _Held | None = None
        self._ms_per_token: float | None = None
        self._bytes_per_s = bytes_per_s
        self._timer: threading.Timer | None = None

    def before(self, turn: Turn | None, request: TextRequest) -> Callable[[Memory], None]:
        """What is done once the request's turn has come: what the engine holds is put away, and what it held then brought back."""

        def exchange(memory: Memory) -> None:
            self._wait_no_longer()
            held, on_disk = self._held, 0
            if held is not None and turn is not None and self._is_same(held, turn, memory):
                on_disk = held.on_disk
            else:
                self.put_away(memory)
                on_disk = self._brought_back(memory, turn, request) if turn is not None else 0
            process = memory.process
            self._held = (
                _Held(turn=turn, request=request, process=process, on_disk=on_disk) if turn is not None and process else None
            )

        return exchange

    def after(self, done: Done, session: RememberingSession) -> None:
        """The answer is whole. Called before the next request has its turn."""
        timings = done.timings
        if timings.prompt_n >= TIMED_TOKENS:
            self._ms_per_token = timings.prompt_ms / timings.prompt_n
        held = self._held
        if held is None:
            return
        held.tokens = timings.cache_n + timings.prompt_n + timings.predicted_n
        held.on_disk = min(held.on_disk, timings.cache_n)  # fewer, where a conversation without room lost its oldest turns
        self._timer = threading.Timer(self._idle_s, self._put_away_when_idle, (session,))
        self._timer.daemon = True
        self._timer.start()

    def put_away(self, memory: Memory) -> None:
        """Write what the engine holds, where that pays. Never raises: whoever asks next is answered all the same."""
        held = self._held
        if held is None or not held.tokens or held.process != memory.process:
            return
        try:
            lasting = self._lasting(held, memory)
            size = held.tokens * memory.model.kv_bytes_per_token
            if self._pays(lasting - held.on_disk, size) and self._has_room(size):
                self._write(held.turn.conversation, memory)
                held.on_disk = lasting
        except (EdgekitError, OSError) as exc:
            log.warning("a conversation's state is not kept: %s", exc)

    def forget(self, conversations: Iterable[str]) -> None:
        """They are deleted: so is what was kept of them, and what the engine holds is not written."""
        for one in conversations:
            held = self._held
            if held is not None and held.turn.conversation == one:
                self._held = None
            path = self._path(one)
            with said_plainly(path):
                path.unlink(missing_ok=True)

    def keep_only(self, conversations: Collection[str]) -> None:
        """Remove what is of no conversation: of one deleted when this could not be seen to, or of a process that was killed."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.suffix != SUFFIX or path.stem not in conversations:
                _remove(path)

    def close(self, session: RememberingSession | None) -> None:
        """Write what the engine holds."""
        self._wait_no_longer()
        if session is not None:
            session.between(self.put_away, wait_s=CLOSE_S)

    def _is_same(self, held: _Held, turn: Turn, memory: Memory) -> bool:
        return held.turn.conversation == turn.conversation and held.process == memory.process

    def _brought_back(self, memory: Memory, turn: Turn, request: TextRequest) -> int:
        """Restore the conversation's state, where the prompt goes on from it; how many of its tokens it begins with."""
        path = self._path(turn.conversation)
        if not path.exists():
            return 0
        try:
            asked = memory.tokenize(memory.render(request))
        except EdgekitError:  # the answer says the same, to whom it concerns
            return 0
        return self._restored(path, asked, memory)

    def _restored(self, path: Path, asked: tuple[int, ...], memory: Memory) -> int:
        """As `_brought_back`, of a prompt's tokens. A state that is damaged, or of another model, is of no more use."""
        try:
            saved = tokens_in(path)
            shared = _shared(saved, asked)
            if shared < WORTH * len(saved):
                return 0
            memory.restore(path)
            path.touch()  # used last
            return shared
        except (EdgekitError, OSError) as exc:
            log.info("a conversation is evaluated anew: %s", exc)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return 0

    def _lasting(self, held: _Held, memory: Memory) -> int:
        """How many of the engine's tokens the conversation's next prompt will begin with."""
        if not held.turn.passages:
            return held.tokens
        before = TextRequest(messages=held.request.messages[:-1], tools=held.request.tools)
        return len(memory.tokenize(memory.render(before))) if before.messages else 0

    def _pays(self, tokens: int, size: int) -> bool:
        """Whether evaluating the tokens takes longer than writing the state: else it would only wear the card."""
        return self._ms_per_token is not None and tokens * self._ms_per_token > 1000 * size / self._bytes_per_s

    def _has_room(self, size: int) -> bool:
        """Whether a state of that size may be kept; those used longest ago make room for it."""
        if size > self._most_bytes:
            return False
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in kept)
        while kept and (total + size > self._most_bytes or len(kept) >= MOST):
            total -= kept[0].stat().st_size
            kept.pop(0).unlink()
        return True

    def _write(self, conversation: str, memory: Memory) -> None:
        path, began = self._path(conversation), time.perf_counter()
        saved = memory.save(path)
        if saved.bytes >= TIMED_BYTES:
            self._bytes_per_s = saved.bytes / (time.perf_counter() - began)
        if not self._exists(conversation):  # it was deleted meanwhile
            path.unlink(missing_ok=True)

    def _put_away_when_idle(self, session: RememberingSession) -> None:
        try:
            session.between(self.put_away)
        except EdgekitError as exc:  # the session was closed, or its process does not start
            log.info("a conversation's state is not kept: %s", exc.message)

    def _wait_no_longer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _path(self, conversation: str) -> Path:
        return self._folder / f"{conversation}{SUFFIX}"


def room_for_states(folder: Path) -> int:
    """Bytes that states may take, if nothing else is said."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return min(int(shutil.disk_usage(there).free * SHARE_OF_FREE), MOST_BYTES)


def _shared(saved: tuple[int, ...], asked: tuple[int, ...]) -> int:
    """How many tokens both begin with; what was saved may begin with the token that begins every prompt."""
    return max(_alike(saved, asked), _alike(saved[1:], asked) + 1)


def _alike(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _remove(path: Path) -> None:
    with said_plainly(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
