"""The wire: JetStream through nats-py, the one file that knows it. Keys are read by direct reads, which cost the server no state.

A connection that breaks is made again for ever; what is asked meanwhile fails with an `Unreachable`, and is asked again by whoever
wants it.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edgekit.core.errors import InputError, NotFound
from edgekit.core.optional import need
from edgekit.fleet.server.streams import streams
from edgekit.fleet.server.subjects import ARTIFACTS, DIRECT, OBJECTS, inbox, read_of, stream_of, subject_of, write_of
from edgekit.fleet.trust.authority import Access
from edgekit.fleet.wire.values import Chunk, Conflict, Entry, Stored, Unreachable, seconds

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

TIMEOUT_S = 10.0


@dataclass(slots=True)
class Bus:
    """A connection with a credential's rights."""

    access: Access
    client: Client
    js: JetStreamContext
    back: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever the connection was made again: what was missed must be looked up."""

    @property
    def is_up(self) -> bool:
        """Whether the server is connected now."""
        return bool(self.client.is_connected)

    def ensure_open(self) -> None:
        """Raise `Unreachable` when the server has turned this credential away for good."""
        if self.client.is_closed:
            raise Unreachable(f"the server at {self.access.url} no longer takes {self.access.name!r}", "was it revoked?")

    async def get(self, bucket: str, key: str) -> Entry | None:
        """A key's newest value; None when it was never written, or taken away."""
        answer = await self._read(read_of(bucket, key))
        if answer is None or (answer.headers or {}).get("KV-Operation"):
            return None
        return _entry(answer, key)

    async def put(self, bucket: str, key: str, value: bytes, *, after: int | None = None) -> int:
        """Write a key, only when its revision is still `after` if given (0: when it was never written). Raises `Conflict`."""
        headers = {} if after is None else {"Nats-Expected-Last-Subject-Sequence": str(after)}
        with _said(self.access):
            answer = await self.js.publish(write_of(bucket, key), value, headers=headers, timeout=TIMEOUT_S)
            return int(answer.seq)

    async def purge(self, bucket: str, key: str) -> None:
        """Take a key away, with its history."""
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        with _said(self.access):
            await self.js.publish(write_of(bucket, key), b"", headers=headers, timeout=TIMEOUT_S)

    async def publish(self, subject: str, data: bytes, *, once: str = "") -> None:
        """Hand something to a stream, and wait until the server has it on its disk. With `once`, a second time changes nothing."""
        headers = {"Nats-Msg-Id": once} if once else {}
        with _said(self.access):
            await self.js.publish(subject, data, headers=headers, timeout=TIMEOUT_S)

    async def entries(self, bucket: str) -> dict[str, Entry]:
        """Every key that is there now. It is read until what was the stream's end when it began: writers may go on meanwhile."""
        found: dict[str, Entry] = {}
        with _said(self.access):
            state = (await self.js.stream_info(stream_of(bucket))).state
            if not state.messages:
                return found
            policy = need("nats.js.api").DeliverPolicy.LAST_PER_SUBJECT
            heard = await self.js.subscribe(
                subject_of(bucket, ">"), stream=stream_of(bucket), ordered_consumer=True, deliver_policy=policy
            )
            try:
                reached = 0
                while reached < state.last_seq:
                    entry, gone = _kept(await heard.next_msg(timeout=TIMEOUT_S), bucket)
                    reached = entry.revision
                    if not gone:
                        found[entry.key] = entry
            finally:
                await heard.unsubscribe()
        return found

    async def listen(self, subject: str, heard: Callable[[str, bytes], None]) -> None:
        """Call `heard` with every message's subject and data, as long as the connection lasts, broken or not.

        Of a key it is a bell and no more: a write that the server refused for its revision rings it as well.
        """

        async def ring(message: Msg) -> None:
            heard(message.subject, message.data)

        with _said(self.access):
            await self.client.subscribe(subject, cb=ring)

    async def history(self, subject: str, stream: str) -> list[Entry]:
        """Everything that a stream has now under a subject, oldest first."""
        found: list[Entry] = []
        with _said(self.access):
            heard = await self.js.subscribe(subject, stream=stream, ordered_consumer=True)
            info = await heard.consumer_info()
            more = bool(info.num_pending or (info.delivered and info.delivered.consumer_seq))
            while more:
                data = (message := await heard.next_msg(timeout=TIMEOUT_S)).metadata
                at_s = data.timestamp.timestamp()
                found.append(Entry(key=message.subject, value=message.data, revision=data.sequence.stream, at_s=at_s))
                more = bool(data.num_pending)
            await heard.unsubscribe()
        return found

    async def stored(self, sha256: str) -> Stored:
        """What is known of an artifact's file. Raises `NotFound`."""
        name = base64.urlsafe_b64encode(sha256.encode()).decode()
        answer = await self._read(f"{DIRECT}.{OBJECTS}.$O.{ARTIFACTS}.M.{name}")
        if answer is None:
            raise NotFound(f"the fleet's store has no file {sha256[:12]}…", "start the rollout again: it uploads it")
        try:
            said = msgspec.json.decode(answer.data)
            if said.get("deleted"):
                raise NotFound(f"the file {sha256[:12]}… was taken out of the fleet's store", "start the rollout again")
            return Stored(sha256=sha256, nuid=str(said["nuid"]), bytes=int(said["size"]), chunks=int(said["chunks"]))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise InputError(f"what the store says of {sha256[:12]}… is damaged: {exc}") from exc

    async def chunk(self, stored: Stored, sequence: int) -> Chunk | None:
        """The object's first chunk at or after a place in the stream; None behind its last."""
        wish = msgspec.json.encode({"seq": max(sequence, 1), "next_by_subj": f"$O.{ARTIFACTS}.C.{stored.nuid}"})
        answer = await self._read(f"{DIRECT}.{OBJECTS}", wish)
        return None if answer is None else Chunk(sequence=_sequence(answer), data=answer.data)

    async def upload(self, file: Path, sha256: str) -> bool:
        """Store an artifact's file under its hash, unless it is there; whether it had to be."""
        try:
            await self.stored(sha256)
        except NotFound:
            with _said(self.access), file.open("rb") as data:
                store = await self.js.object_store(ARTIFACTS)
                await store.put(sha256, data)
            return True
        return False

    async def files(self) -> dict[str, float]:
        """The artifacts' files in the store by their hashes, with the time of their upload in seconds, by the server's clock."""
        found: dict[str, float] = {}
        for entry in await self.history(f"$O.{ARTIFACTS}.M.>", OBJECTS):
            said = msgspec.json.decode(entry.value, type=dict[str, Any])
            found[str(said.get("name"))] = 0.0 if said.get("deleted") else entry.at_s
        return {name: at_s for name, at_s in found.items() if at_s}

    async def take_out(self, sha256: str) -> None:
        """Remove an artifact's file from the store, its chunks included."""
        with _said(self.access):
            await (await self.js.object_store(ARTIFACTS)).delete(sha256)

    async def _read(self, subject: str, payload: bytes = b"") -> Msg | None:
        """A direct read's answer; None for 404."""
        with _said(self.access):
            answer = await self.client.request(subject, payload, timeout=TIMEOUT_S)
        status = (answer.headers or {}).get("Status", "")
        if status in ("404", ""):
            return None if status else answer
        raise Unreachable(f"the server answers {subject} with {status} {(answer.headers or {}).get('Description', '')}")


@asynccontextmanager
async def connected(access: Access, *, patient: bool = False) -> AsyncIterator[Bus]:
    """A connection for the length of the block. A `patient` one waits for a server that is not there yet.

    Raises `Unreachable` when there is no server, or it refuses the credential.
    """
    need("nkeys")
    client: Client = need("nats.aio.client").Client()
    back = asyncio.Event()
    refusals: list[str] = []

    async def returned() -> None:
        back.set()

    async def failed(exc: Exception) -> None:
        refusals.append(str(exc) or type(exc).__name__)
        del refusals[:-8]

    with _said(access, refusals):
        await client.connect(
            access.url,
            name=f"{access.role} {access.name}",
            user_credentials=need("nats.aio.client").RawCredentials(access.credentials),
            inbox_prefix=inbox(access.name),
            max_reconnect_attempts=-1 if patient else 2,
            reconnect_time_wait=1 if patient else 0.25,  # type: ignore[arg-type]  # seconds, of which a part will do
            connect_timeout=5,
            error_cb=failed,
            reconnected_cb=returned,
            tls=_tls(access),
        )
    # who was once let in waits for the server's return
    client.options |= {"max_reconnect_attempts": -1, "reconnect_time_wait": 1.0}
    try:
        yield Bus(access=access, client=client, js=client.jetstream(timeout=TIMEOUT_S), back=back)
    finally:
        with suppress(OSError):  # a server that is gone takes nothing more: whoever waited for its answer was told
            await client.close()


async def prepare(owner: Bus) -> None:
    """Make the fleet's buckets and streams, and those that are there as they are made today."""
    api, errors = need("nats.js.api"), need("nats.js.errors")
    with _said(owner.access):
        for words in streams():
            config = api.StreamConfig(**words)
            try:
                await owner.js.update_stream(config)
            except errors.NotFoundError:
                await owner.js.add_stream(config)


async def tell_account(system: Bus, token: str) -> None:
    """Give the server the account's newest token: from then on, users who were revoked are out."""
    with _said(system.access):
        answer = await system.client.request("$SYS.REQ.CLAIMS.UPDATE", token.encode(), timeout=TIMEOUT_S)
    said = msgspec.json.decode(answer.data)
    if "error" in said:
        raise Unreachable(f"the server does not take the account's token: {said['error']}")


def _entry(answer: Msg, key: str) -> Entry:
    stamp = (answer.headers or {}).get("Nats-Time-Stamp", "")
    return Entry(key=key, value=answer.data, revision=_sequence(answer), at_s=seconds(stamp))


def _kept(message: Msg, bucket: str) -> tuple[Entry, bool]:
    """A key's last message as it comes from a consumer, and whether it takes the key away."""
    data = message.metadata
    key = message.subject.removeprefix(subject_of(bucket, ""))
    entry = Entry(key=key, value=message.data, revision=data.sequence.stream, at_s=data.timestamp.timestamp())
    return entry, bool((message.headers or {}).get("KV-Operation"))


def _sequence(answer: Msg) -> int:
    return int((answer.headers or {}).get("Nats-Sequence", "0"))


def _tls(access: Access) -> ssl.SSLContext | None:
    if not access.url.startswith("tls://"):
        return None
    return ssl.create_default_context(cadata=access.authority or None)


@contextmanager
def _said(access: Access, refusals: Sequence[str] = ()) -> Iterator[None]:
    """The package's errors as ours."""
    errors, streams = need("nats.errors"), need("nats.js.errors")
    try:
        yield
    except streams.APIError as exc:
        if exc.err_code == 10071:
            raise Conflict("somebody else changed it in between", "look at it again: edgekit fleet status") from exc
        hint = "edgekit fleet prepare" if isinstance(exc, streams.NotFoundError) else ""
        raise Unreachable(f"the server at {access.url} refuses: {exc.description or exc}", hint) from exc
    except (errors.Error, streams.Error, OSError, asyncio.TimeoutError) as exc:
        why = "; ".join(dict.fromkeys(refusals)) or str(exc) or type(exc).__name__
        hint = "is it up, is the address right, and was this credential revoked?"
        raise Unreachable(f"{access.role} {access.name!r} does not reach {access.url}: {why}", hint) from exc
