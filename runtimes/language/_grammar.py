"""GBNF before an engine sees it: a grammar without `root` ends the engine's process, so it never gets one."""

from __future__ import annotations

import re
from itertools import accumulate

from edgekit.core.errors import InputError
from edgekit.runtimes.language._json_grammar import grammar
from edgekit.runtimes.text import Sampling

MOST_CHARACTERS = 1 << 18
DEEPEST = 100
"""Brackets within one another: of 30,000 an engine's process dies."""
_RULE = re.compile(r"^[ \t]*([a-zA-Z0-9_-]+)\s*::=", re.MULTILINE)
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_NOT_NAMES = re.compile(
    r'"(?:\\[\s\S]|[^"\\])*(?:"|\\?\Z)|\[(?:\\[\s\S]|[^\]\\])*(?:\]|\\?\Z)|#[^\n]*|\{[0-9, ]*\}|<[^>]*(?:>|\Z)'
)
"""Texts, signs, remarks and counts. What is never closed goes on to the end: else each beginning would be looked for anew."""


def grammar_of(wanted: Sampling) -> str:
    """The grammar of a request, or of its schema; empty for none. Raises `InputError` for both, or for one that cannot be."""
    if wanted.grammar and wanted.json_schema is not None:
        raise InputError("a grammar and a JSON schema were both given", "one of them")
    if wanted.json_schema is not None:
        return checked(grammar(wanted.json_schema))
    return checked(wanted.grammar) if wanted.grammar else ""


def ensure_biases(wanted: Sampling, vocabulary: int) -> None:
    """Raise `InputError` for a token that the vocabulary does not have."""
    for token in wanted.logit_bias:
        if not 0 <= token < vocabulary:
            raise InputError(f"there is no token {token} to be biased: the vocabulary has {vocabulary}")


def checked(text: str) -> str:
    """The grammar itself. Raises `InputError` for one without rules, without `root`, or with a name that no rule has."""
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"the grammar has {len(text)} characters, more than {MOST_CHARACTERS}")
    rules = set(_RULE.findall(text))
    if "root" not in rules:
        found = f"its rules are {', '.join(sorted(rules)[:8])}" if rules else "it has no rules"
        raise InputError(f"the grammar has no rule named root: {found}", 'begin with: root ::= "yes" | "no"')
    bare = _NOT_NAMES.sub(" ", text)
    if (depth := _depth(bare)) > DEEPEST:
        raise InputError(f"the grammar has {depth} brackets within one another, more than {DEEPEST}", "make rules of some")
    unknown = next((name for name in _NAME.findall(bare) if name not in rules), None)
    if unknown is not None:
        raise InputError(f"the grammar uses {unknown!r}, which no rule defines", "define it, or put quotes around it")
    return text


def _depth(bare: str) -> int:
    """How many brackets are open at once, at most."""
    return max(accumulate({"(": 1, ")": -1}.get(sign, 0) for sign in bare), default=0)
