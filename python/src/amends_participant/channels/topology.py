"""What a broker has of what a place needs. Each in words that name it: `stream NOTIFY`, `queue
shipping.commands`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from .errors import ConnectError

_log = logging.getLogger("amends_participant")


@dataclass
class Topology:
    """What came of a look."""

    there: list[str] = field(default_factory=list)
    """What is there and was before."""
    created: list[str] = field(default_factory=list)
    """What was made just now."""
    missing: list[str] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)
    """Which settings are too weak for what a saga promises, and what to set instead."""

    def say(self, broker: str) -> None:
        """What was made and what is weak, in the log."""
        for what in self.created:
            _log.info("made at %s: %s", broker, what)
        for what in self.weak:
            _log.warning("weak at %s: %s", broker, what)

    def needs_all(self, broker: str) -> None:
        """Nothing that is missing can be done without."""
        if self.missing:
            what = ", no ".join(self.missing)
            raise ConnectError(f"{broker} has no {what}: make it, or allow it to be made")
