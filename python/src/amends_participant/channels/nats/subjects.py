"""Which messages a stream takes, by its subjects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def lacking(held: Sequence[str], needed: Iterable[str]) -> list[str]:
    """The subjects that a stream with those held would have to take, and does not."""
    return [subject for subject in needed if not any(takes(one, subject) for one in held)]


def takes(held: str, subject: str) -> bool:
    """Whether a stream whose subject this is, perhaps with wildcards, takes all that the other one
    means."""
    ours, said = held.split("."), subject.split(".")
    for at, token in enumerate(ours):
        if at == len(said):
            return False
        if token == ">":
            return True
        if token == "*":
            if said[at] == ">":
                return False
        elif token != said[at]:
            return False
    return len(ours) == len(said)
