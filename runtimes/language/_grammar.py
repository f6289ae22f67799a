"""GBNF before an engine sees it: a grammar without `root` ends the engine's process, so it never gets one."""

from __future__ import annotations

import re

from edgekit.core.errors import InputError

MOST_CHARACTERS = 1 << 18
_RULE = re.compile(r"^\s*([a-zA-Z0-9_-]+)\s*::=", re.MULTILINE)
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_NOT_NAMES = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|\{[0-9, ]*\}|<[^>]*>')


def checked(grammar: str) -> str:
    """The grammar itself. Raises `InputError` for one without rules, without `root`, or with a name that no rule has."""
    if len(grammar) > MOST_CHARACTERS:
        raise InputError(f"the grammar has {len(grammar)} characters, more than {MOST_CHARACTERS}")
    rules = set(_RULE.findall(grammar))
    if "root" not in rules:
        found = f"its rules are {', '.join(sorted(rules)[:8])}" if rules else "it has no rules"
        raise InputError(f"the grammar has no rule named root: {found}", 'begin with: root ::= "yes" | "no"')
    bare = _NOT_NAMES.sub(" ", grammar)
    unknown = next((name for name in _NAME.findall(bare) if name not in rules), None)
    if unknown is not None:
        raise InputError(f"the grammar uses {unknown!r}, which no rule defines", "define it, or put quotes around it")
    return grammar
