"""Messages that wait to be brought again: each saga's in a line of its own, in the order in which
they lie in the topic. What comes of a saga that has a line goes to its end, so that it overtakes
nothing."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")


class Line(NamedTuple):
    """Whose line."""

    partition: int
    of: bytes | int
    """Whose, or, without a key, which message."""


class Waiting(Generic[M]):
    """The lines. How many wait is bounded by what may be held."""

    def __init__(self) -> None:
        self._lines: dict[Line, dict[int, tuple[float, M]]] = {}

    def put(self, line: Line, offset: int, due: float, message: M) -> None:
        """Puts a message at its place in the line: it comes no sooner than it is due, and than what
        is before it."""
        self._lines.setdefault(line, {})[offset] = (due, message)

    def __contains__(self, line: Line) -> bool:
        """Does anything wait there?"""
        return line in self._lines

    @property
    def next_due(self) -> float | None:
        """When the next one is due."""
        return min((line[min(line)][0] for line in self._lines.values()), default=None)

    def take_due(self, now: float) -> list[M]:
        """Takes out what is due, in the order of each line."""
        taken = []
        for name, line in list(self._lines.items()):
            while line and line[first := min(line)][0] <= now:
                taken.append(line.pop(first)[1])
            if not line:
                del self._lines[name]
        return taken

    def forget(self, partitions: set[int]) -> None:
        """Forgets what is of these."""
        for name in [name for name in self._lines if name.partition in partitions]:
            del self._lines[name]
