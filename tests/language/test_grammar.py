"""Schemas as grammars, and templates as the programs from outside that they are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from edgekit.core.errors import InputError
from edgekit.runtimes.language._chat_template import ChatTemplate
from edgekit.runtimes.language._grammar import checked, grammar_of
from edgekit.runtimes.language._json_grammar import grammar, unheld
from edgekit.runtimes.language.stops import Stops
from edgekit.runtimes.text import Message, Sampling, TextRequest

SCHEMAS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "required and optional": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"enum": ["x", 1, None]}},
        "required": ["b"],
    },
    "all optional": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "boolean"}}},
    "an array with bounds": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 4},
    "a choice": {"anyOf": [{"type": "string"}, {"const": {"k": 'v\n"q"'}}]},
    "itself inside": {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}}},
    },
    "itself as a whole": {"type": "object", "properties": {"next": {"$ref": "#"}}},
    "a name with a slash": {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}},
    "two names that look alike": {
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/$defs/a.b"}, {"$ref": "#/$defs/a-b"}]},
        "$defs": {"a.b": {"type": "null"}, "a-b": {"type": "array"}},
    },
    "many properties": {
        "type": "object",
        "properties": {f"p{n}": {"type": "object", "properties": {"x": True}} for n in range(300)},
    },
    "several types": {"type": ["string", "null"]},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5},
}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=list(SCHEMAS))
def test_every_rule_of_a_schemas_grammar_is_defined(schema: dict[str, Any]) -> None:
    assert checked(grammar(schema)).startswith("root ::=")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "http://elsewhere"}, "only its own parts"),
        ({"$ref": "#/$defs/nowhere"}, "which it does not have"),
        ({"type": "date"}, "has the type 'date'"),
        ({"properties": {"a": 5}, "type": "object"}, "where a schema belongs"),
        ({"properties": 5}, "is malformed"),
        ({"type": "string", "minLength": "x"}, "is malformed"),
        ({"type": "array", "minItems": float("inf")}, "is malformed"),
        ({"enum": 5}, "is malformed"),
        ({"enum": []}, "an enum without values"),
        ({"$ref": "#"}, "refers to itself alone"),
        ({"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"$ref": "#"}}}, "refers to itself alone"),
    ],
)
def test_a_schema_that_cannot_be_is_named(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        grammar(schema)


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        deep = {"type": "array", "items": deep}
    with pytest.raises(InputError, match="deeper than"):
        grammar(deep)


def test_what_a_grammar_cannot_hold_is_listed() -> None:
    assert unheld({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}) == ("minimum",)


@pytest.mark.parametrize("text", ["\n" * 200_000, "root ::= " + "[" * 200_000, 'root ::= "' + '\\"' * 100_000, "<" * 200_000])
def test_a_grammar_is_judged_in_a_moment_whatever_is_in_it(text: str) -> None:
    code = "import sys; from edgekit.runtimes.language._grammar import checked; checked(sys.stdin.read())"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, text=True, timeout=60)  # not hours
    assert "InputError" in done.stderr or done.returncode == 0


@pytest.mark.parametrize("text", ['root ::= "a', "root ::= [a-z", 'root ::= "a\\\\', "root ::= <x"])
def test_what_is_never_closed_is_for_the_engine_to_refuse(text: str) -> None:
    assert checked(text) == text


@pytest.mark.parametrize("text", ['root ::= x "a', "root ::= x [a-z", 'root ::= "a" x "b'])
def test_a_name_before_what_is_never_closed_is_seen(text: str) -> None:
    with pytest.raises(InputError, match="uses 'x'"):
        checked(text)


def test_a_grammar_is_no_deeper_than_an_engine_can_go() -> None:
    def nested(depth: int) -> str:
        return "root ::= " + "(" * depth + '"("' + ")" * depth

    assert checked(nested(100)) == nested(100)
    with pytest.raises(InputError, match="101 brackets within one another"):
        checked(nested(101))


def test_a_grammar_and_a_schema_together_are_refused() -> None:
    with pytest.raises(InputError, match="both given"):
        grammar_of(Sampling(grammar='root ::= "a"', json_schema={}))


def ask(template: str, *messages: Message) -> str:
    return ChatTemplate(source=template, bos="<s>", eos="</s>").render(
        TextRequest(messages=messages or (Message(role="user"),))
    )


def test_a_template_that_refuses_is_quoted() -> None:
    pytest.importorskip("jinja2")
    with pytest.raises(InputError, match="no system role"):
        ask("{{ raise_exception('no system role') }}", Message(role="system", content="x"))


@pytest.mark.parametrize("attack", ["{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ messages.append(1) }}"])
def test_a_template_gets_no_further_than_its_messages(attack: str) -> None:
    pytest.importorskip("jinja2")
    with pytest.raises(InputError, match="template"):
        ask(attack)


def test_a_stop_text_that_is_cut_into_pieces_is_found() -> None:
    stops = Stops(("<end>", "STOP"))
    assert [stops.push(piece) for piece in ("a <e", "n", "d! ", "b<en", "d> c")] == ["a ", "", "<end! ", "b", ""]
    assert stops.found and stops.flush() == ""


def test_what_only_looked_like_a_stop_text_is_said_at_the_end() -> None:
    stops = Stops(("<end>",))
    assert stops.push("so <e") + stops.flush() == "so <e"


def test_the_arguments_of_a_call_are_an_object_in_a_template() -> None:
    pytest.importorskip("jinja2")

    def rendered(arguments: object) -> str:
        call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        return ask("{{ messages[0].tool_calls[0].function.arguments | tojson }}", Message(role="assistant", tool_calls=(call,)))

    assert rendered('{"town": "Ghent"}') == rendered({"town": "Ghent"}) == '{"town": "Ghent"}'
    assert rendered("no JSON") == '"no JSON"' and rendered("[1]") == '"[1]"'
