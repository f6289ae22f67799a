"""Messages to the one text a model is given, by the template in its file, which is code from outside and runs in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from edgekit.core.errors import InputError
from edgekit.core.optional import need
from edgekit.runtimes.text import Message, TextRequest

MOST_CHARACTERS = 1 << 20
LONGEST_TEXT = 1 << 24


class _Refused(Exception):
    """What a template said with `raise_exception`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTemplate:
    """A model's template and the texts of its special tokens. Without a template, the messages stand one after the other."""

    source: str = ""
    bos: str = ""
    eos: str = ""

    def render(self, request: TextRequest) -> str:
        """The text of a request. Raises `InputError` when the template is broken, or refuses these messages."""
        if not request.messages:
            return request.prompt
        if not self.source:
            return "".join(f"{message.content.strip()}\n\n" for message in request.messages)
        return self._rendered(request)

    def _rendered(self, request: TextRequest) -> str:
        jinja = need("jinja2")
        variables = {
            "messages": [_for_template(message) for message in request.messages],
            "tools": [dict(tool) for tool in request.tools] or None,
            "add_generation_prompt": True,
            "bos_token": self.bos,
            "eos_token": self.eos,
            **request.template_options,
        }
        try:
            return _bounded(str(_environment().from_string(self.source[:MOST_CHARACTERS]).render(variables)))
        except jinja.TemplateSyntaxError as exc:
            raise InputError(f"the model's chat template is broken at line {exc.lineno}: {exc.message}") from exc
        except _Refused as exc:
            raise InputError(f"the model's chat template refuses these messages: {exc}", _hint(request)) from exc
        except Exception as exc:  # a template is a program: it may fail in any way
            raise InputError(f"the model's chat template failed: {type(exc).__name__}: {exc}", _hint(request)) from exc


def _for_template(message: Message) -> dict[str, Any]:
    """A message as templates expect it: OpenAI's API writes the arguments of a call as a text, they want the object."""
    calls = [_with_object(call) for call in message.tool_calls]
    return message.as_json() | ({"tool_calls": calls} if calls else {})


def _with_object(call: Mapping[str, Any]) -> Mapping[str, Any]:
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(arguments, str):
        return call
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        return call  # a model wrote it: the template may do with it what it likes
    return {**call, "function": {**function, "arguments": read if isinstance(read, dict) else arguments}}


def _environment() -> Any:
    sandbox = need("jinja2.sandbox")
    environment = sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    environment.filters["tojson"] = _tojson
    return environment


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
    separators: Any = more.get("separators")
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators)


def _refuse(message: str) -> NoReturn:
    raise _Refused(message)


def _bounded(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise InputError(f"the model's chat template made {len(text)} characters of the messages")
    return text


def _hint(request: TextRequest) -> str:
    roles = [message.role for message in request.messages]
    return "some models take no system message" if "system" in roles else f"the roles were {', '.join(roles[:8])}"


def template_of(values: Mapping[str, Any], bos: str, eos: str) -> ChatTemplate:
    """The template among a file's metadata."""
    source = values.get("tokenizer.chat_template", "")
    return ChatTemplate(source=source if isinstance(source, str) else "", bos=bos, eos=eos)
