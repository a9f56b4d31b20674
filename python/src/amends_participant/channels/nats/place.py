"""Where a service's messages are: a server, a stream, its subjects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import shown


@dataclass(frozen=True)
class Server:
    """A NATS server, or several of a cluster, and how we come in."""

    url: str = field(repr=False)
    """`nats://127.0.0.1:4222`, with commas between several; `tls://` to have it encrypted."""
    credentials: Path | None = None
    """A file of credentials, as `nsc` makes it."""
    token: str | None = field(default=None, repr=False)
    ack_wait_s: float = 30.0
    """How long the server leaves a message with a service before it brings it to another copy,
    unless this one says that it is still at work, which it does three times meanwhile. So it is
    also how long a message waits whose service has died."""

    @property
    def shown(self) -> str:
        """The address without whoever comes in there."""
        return shown(self.url)


@dataclass(frozen=True)
class Place:
    """Where the messages of a service are."""

    stream: str
    """The stream that holds the subjects of commands and replies."""
    commands: str
    replies: str
    events: str | None = None
    """What stands before the names of its events: `orders.events` makes
    `orders.events.InventoryReserved`. Without it the service publishes none."""

    @property
    def dead_letters(self) -> str:
        """Where the service puts aside what cannot be taken."""
        return f"{self.commands}.dead-letters"

    @property
    def consumer(self) -> str:
        """The name of the consumer that all copies of the service share."""
        return "amends-" + re.sub("[^A-Za-z0-9_]", "-", self.commands)

    def subject(self, kind: str, name: str) -> str | None:
        """The subject of a message; `None` where the place has none for it."""
        if kind == "reply":
            return self.replies
        return None if self.events is None else f"{self.events}.{name}"
