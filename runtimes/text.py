"""The text-session protocol: a request in, a stream of pieces out. Everything above the language engines sees only this file.

A stream is any number of `Waiting`, then any number of `Piece`, then one `Done`; or an `EdgekitError`, at any time. Closing the
iterator, or setting the event that was given as `cancel`, ends the engine's work in mid-token. Engines speak text: what a tool
call looks like in it is between the model's template and whoever reads the answer.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from edgekit.core.errors import DeviceError, InputError
from edgekit.runtimes.base import Probe

Role = Literal["system", "user", "assistant", "tool"]
Reason = Literal["stop", "length", "cancelled", "deadline"]
"""Why an answer ended: the model or a stop text; `max_tokens` or the context; the caller; the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation, as chat templates and OpenAI's API know it."""

    role: Role
    content: str = ""
    name: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_call_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """The message as a template or another server takes it; what is empty is left out, but never the content."""
        given = {key: value for key, value in asdict(self).items() if value}
        return {"role": self.role, "content": self.content} | given


_NUMBERS = ("temperature", "top_p", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen, and when to stop. Temperature 0 is greedy. A negative seed is a new one every time."""

    max_tokens: int = 512
    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = -1
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    grammar: str = ""
    """GBNF with a rule named `root`; the answer is held to it."""
    json_schema: Mapping[str, Any] | None = None
    """The answer is JSON that fits this schema ({}: any JSON). Not together with `grammar`."""

    def __post_init__(self) -> None:
        """Raise `InputError` for what is no number: engines make a choice of it all the same, or crash."""
        numbers = {name: getattr(self, name) for name in _NUMBERS} | {f"logit_bias[{t}]": b for t, b in self.logit_bias.items()}
        if odd := next((name for name, value in numbers.items() if not math.isfinite(value)), None):
            raise InputError(f"{odd} is {numbers[odd]}, which is no number")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """One answer that is wanted: to `messages` through the model's chat template, or the continuation of `prompt` as it stands."""

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Function descriptions as in OpenAI's API, handed to the template."""
    template_options: Mapping[str, Any] = field(default_factory=dict)
    """More variables for the template, such as `enable_thinking`."""
    sampling: Sampling = field(default_factory=Sampling)
    deadline_s: float | None = None
    """Seconds from now, waiting included; what has been said until then is kept and `Done.reason` is "deadline"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What one answer took, under llama-server's field names. `cache_n` prompt tokens were known, `prompt_n` were evaluated."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0

    def as_json(self) -> dict[str, float]:
        """All fields of llama-server's `timings`, the rates included."""
        return {
            "cache_n": self.cache_n,
            "prompt_n": self.prompt_n,
            "prompt_ms": self.prompt_ms,
            "prompt_per_token_ms": self.prompt_ms / max(self.prompt_n, 1),
            "prompt_per_second": per_second(self.prompt_n, self.prompt_ms),
            "predicted_n": self.predicted_n,
            "predicted_ms": self.predicted_ms,
            "predicted_per_token_ms": self.predicted_ms / max(self.predicted_n, 1),
            "predicted_per_second": per_second(self.predicted_n, self.predicted_ms),
        }


def per_second(count: int, ms: float) -> float:
    """The rate, 0 when no time was measured."""
    return 1000 * count / ms if ms > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Others come first: `position` is 1 for the next in the queue. Sent again whenever it changes."""

    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of the answer: whole characters, from `tokens` tokens. Stop texts are never part of it."""

    text: str
    tokens: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of an answer."""

    reason: Reason
    timings: Timings


TextEvent: TypeAlias = "Waiting | Piece | Done"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModel:
    """What is loaded. `context` is what this session has room for, `trained_context` what the model learnt; 0 is not known."""

    name: str
    engine: str
    architecture: str = ""
    file_type: str = ""
    """Quantization as people write it: Q4_K_M."""
    parameters: int = 0
    bytes: int = 0
    context: int = 0
    trained_context: int = 0
    vocabulary: int = 0
    embedding_length: int = 0
    kv_bytes_per_token: int = 0
    threads: int = 0
    has_template: bool = False
    remote: bool = False
    """Whether what is asked leaves this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a model is opened. Zeros are decided from the model and the machine."""

    context: int = 2048
    """Tokens of prompt and answer together; 0 takes what the model was trained for."""
    threads: int = 0
    batch_threads: int = 0
    """Threads for reading a prompt; 0: the same as `threads`."""
    batch: int = 512
    gpu_layers: int = 0
    memory_bytes: int = 0
    """Address space the engine's process may use; 0: what is free now, with a reserve."""
    key: str = field(default="", repr=False)
    """For a remote engine: the API key."""
    load_s: float = 300.0


DEFAULTS = TextOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """A conversation's evaluated tokens on disk."""

    path: Path
    tokens: int
    bytes: int


class TextSession(Protocol):
    """A language model that is ready. Methods may be called from any thread; one request runs at a time, the others wait."""

    @property
    def model(self) -> TextModel: ...
    def generate(self, request: TextRequest, *, cancel: threading.Event | None = None) -> Iterator[TextEvent]: ...
    def render(self, request: TextRequest) -> str:
        """The very text the model would be given: the messages through the chat template, or the prompt."""
        ...

    def tokenize(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        """Token ids of `text`; with `special`, `<|im_end|>` and the like are read as the tokens they name."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of those tokens. Raises `InputError` for an id that the vocabulary does not have."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[Any]:
        """One float32 row of length 1 per text, [len(texts), embedding_length]. `Unsupported` where the engine cannot."""
        ...

    def save(self, path: Path) -> SavedState:
        """Write what has been evaluated of the last conversation. `Unsupported` where the engine cannot."""
        ...

    def restore(self, path: Path) -> int:
        """Take back what `save` wrote; the number of tokens that need no evaluation again. Raises `InputError` for another model's."""
        ...

    def close(self) -> None: ...


class Memory(Protocol):
    """What an engine has evaluated, for as long as it answers nobody."""

    @property
    def model(self) -> TextModel: ...
    @property
    def process(self) -> int:
        """The engine's process: another one knows nothing of what this one has evaluated. 0 for none."""
        ...

    def render(self, request: TextRequest) -> str: ...
    def tokenize(self, text: str) -> tuple[int, ...]: ...
    def save(self, path: Path) -> SavedState: ...
    def restore(self, path: Path) -> int: ...


@runtime_checkable
class RememberingSession(TextSession, Protocol):
    """A session whose memory may be exchanged between two answers, while the other requests wait."""

    def generate(
        self,
        request: TextRequest,
        *,
        cancel: threading.Event | None = None,
        first: Callable[[Memory], None] | None = None,
    ) -> Iterator[TextEvent]:
        """`first` is called when the request's turn has come."""
        ...

    def between(self, action: Callable[[Memory], None], *, wait_s: float = 0.0) -> bool:
        """Call `action` once nobody is answered; whether that came within `wait_s`."""
        ...


class TextRuntime(Protocol):
    """A language engine. `probe` never raises and opens nothing; `open` raises what this file defines."""

    @property
    def name(self) -> str: ...
    def probe(self) -> Probe: ...
    def open(self, model: Path | str, options: TextOptions = ...) -> TextSession:
        """`model` is a GGUF file, or the base address of a server for a remote engine."""
        ...


class PromptTooLong(InputError):
    """The prompt does not fit into the context; `tokens` it has, `limit` there is room for."""

    def __init__(self, message: str, hint: str = "", *, tokens: int = 0, limit: int = 0) -> None:
        super().__init__(message, hint)
        self.tokens = tokens
        self.limit = limit


class EngineRefused(DeviceError):
    """The engine does not load the model, or not do what was asked; the message has the engine's own reason."""


class OutOfMemory(DeviceError):
    """The model does not fit: said before loading, or by the engine under its limit."""


class EngineLost(DeviceError):
    """The engine's process crashed or was killed, or a server hung up in mid-answer."""


class BadStream(DeviceError):
    """A server answered with something that is no stream of an OpenAI-compatible API."""


class RemoteRefused(DeviceError):
    """A server said no; `status` is its HTTP status (0: it could not be reached), `retryable` whether asking again makes sense."""

    def __init__(self, message: str, hint: str = "", *, status: int = 0, retryable: bool = False) -> None:
        super().__init__(message, hint)
        self.status = status
        self.retryable = retryable
