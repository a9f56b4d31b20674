"""Who listens to the events of a place."""

from __future__ import annotations

import re

_NAME = re.compile("[A-Za-z0-9_-]{1,64}")


def spoken(name: str) -> str:
    """A name that every broker can say, or `ValueError`. All copies of that name share one
    subscription, and so the work."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a listener: it has letters, digits, `-` and `_`, and 1 to 64"
            " of them"
        )
    return name
