"""Near misses: what a person probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint: the known name nearest to `word`, or `otherwise` when nothing is near."""
    import difflib  # every command starts with this module, and few go wrong

    near = difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else otherwise
