"""Stop texts in a stream: what may be the beginning of one is held back until it is clear that it is none."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """`push` gives what may be said now; once `found` is true the rest is never said. `flush` gives what was held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """The text that is safe to say after `text` came."""
        if self.found:
            return ""
        self._held += text
        cut = _first(self._held, self._stops)
        if cut is not None:
            said, self._held, self.found = self._held[:cut], "", True
            return said
        keep = _possible_beginning(self._held, self._stops)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def flush(self) -> str:
        """What was held back, at the end of the stream."""
        said, self._held = self._held, ""
        return said


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop text begins."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(places, default=None)


def _possible_beginning(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` are the beginning of a stop text."""
    longest = max((len(stop) for stop in stops), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
