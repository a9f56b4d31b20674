"""What a place needs at a server, and how each is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .place import DEAD_LETTERS, Place

DELIVERIES_MAX = 1_000_000_000
"""From version 4 on the server gives a message up after 20 deliveries unless a queue says
otherwise, and a service whose database is away gives it back more often than that. It knows no
"never" that every version takes; as often as this is a thousand years of the longest pause."""

EVENTS_STAY_MS = 7 * 24 * 3600 * 1000
"""How long events stay for whoever reads them."""

_EVERY_EVENT = "#"
"""Whoever listens picks; the queue of events keeps all."""


@dataclass(frozen=True)
class Thing:
    """An exchange, which has a type, or a queue."""

    name: str
    is_needed: bool
    """Whether a service cannot do without it."""
    exchange_type: str | None = None
    dead_letters: str | None = None
    """Where a queue's messages go that the server cannot bring."""
    ttl_ms: int | None = None
    binding: tuple[str, str] | None = None
    """The exchange and the routing key by which messages come to a queue."""

    @property
    def what(self) -> str:
        """In words."""
        return f"{'queue' if self.exchange_type is None else 'exchange'} {self.name}"

    @property
    def arguments(self) -> dict[str, Any]:
        """How a queue is made."""
        said: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERIES_MAX,
        }
        if self.dead_letters is not None:
            said |= {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.dead_letters,
                # Not lost on the way there, which needs the other one.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        if self.ttl_ms is not None:
            said["x-message-ttl"] = self.ttl_ms
        return said


def things(place: Place) -> list[Thing]:
    """The things of a place, each after what it stands on. The engine's queue of dead letters is
    its own business, and what a named exchange brings to its queue, too."""
    found = []
    if place.exchange:
        # A routing key means just the queue of that name.
        found.append(Thing(place.exchange, True, exchange_type="direct"))
    for queue, is_ours in ((place.commands, True), (place.replies, False)):
        found += [
            Thing(queue + DEAD_LETTERS, is_ours),
            Thing(
                queue,
                is_ours or not place.exchange,
                dead_letters=queue + DEAD_LETTERS,
                binding=(place.exchange, queue) if place.exchange else None,
            ),
        ]
    if place.events is not None:
        found += [
            # Whoever listens picks by the name of the event.
            Thing(place.events, True, exchange_type="topic"),
            # It is no stream, which would let many read them: one of a server that was killed may
            # not come up again (3.10), and none syncs before it confirms.
            Thing(
                place.events,
                True,
                ttl_ms=EVENTS_STAY_MS,
                binding=(place.events, _EVERY_EVENT),
            ),
        ]
    return found
