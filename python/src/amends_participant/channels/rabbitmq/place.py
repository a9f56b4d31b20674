"""Where a service's messages are: an exchange, its queues."""

from __future__ import annotations

from dataclasses import dataclass

NAME_BYTES_MAX = 255
"""AMQP writes the length of a name into one byte."""

DEAD_LETTERS = ".dead-letters"


@dataclass(frozen=True)
class Place:
    """Where the messages of a service are."""

    commands: str
    """The queue of its commands, and their routing key."""
    replies: str
    exchange: str = ""
    """The exchange that commands and replies are published to; empty for the server's default one,
    which brings each message to the queue of its routing key."""
    events: str | None = None
    """The exchange of its events, the queue that keeps them, and what stands before their names in
    a routing key: `orders.events` makes `orders.events.InventoryReserved`. Without it the service
    publishes none."""

    def __post_init__(self) -> None:
        for name in (self.exchange, self.commands, self.replies, self.events or ""):
            if len((name + DEAD_LETTERS).encode()) > NAME_BYTES_MAX:
                most = NAME_BYTES_MAX - len(DEAD_LETTERS)
                raise ValueError(f"a name at RabbitMQ has at most {most} bytes, and not `{name}`")

    @property
    def dead_letters(self) -> str:
        """Where the service puts aside what cannot be taken."""
        return self.commands + DEAD_LETTERS

    def route(self, kind: str, name: str) -> tuple[str, str] | None:
        """The exchange and the routing key of a message; `None` where the place has none for it."""
        if kind == "reply":
            return self.exchange, self.replies
        return None if self.events is None else (self.events, f"{self.events}.{name}")
