"""Where a service's messages are: a server, a stream, its subjects."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union
from urllib.parse import unquote, urlsplit

from ..errors import ConnectError, shown
from ..listener import spoken


@dataclass(frozen=True)
class Server:
    """A NATS server, or several of a cluster, and how we come in."""

    url: str = field(repr=False)
    """`nats://user:password@127.0.0.1:4222`, with commas between several, and the same login in
    each; `tls://` to have it encrypted. What of a login is no letter and no digit is
    percent-encoded."""
    credentials: Path | None = None
    """A file of credentials, as `nsc` makes it."""
    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """Whom we trust where it is encrypted, and what we show of ourselves, where that is not what
    the machine has: `ssl.create_default_context(cafile="ca.pem")`."""
    ack_wait_s: float = 30.0
    """How long the server leaves a message with a service before it brings it to another copy,
    unless this one says that it is still at work, which it does three times meanwhile. So it is
    also how long a message waits whose service has died."""

    @property
    def shown(self) -> str:
        """The address without whoever comes in there."""
        return shown(self.url)

    def parsed(self) -> tuple[list[str], dict[str, Any]]:
        """The addresses without a login, and the login that stands in them, as the client has it:
        by itself it takes no percent-encoding apart, and quotes what it cannot read."""
        addresses, logins = [], []
        for address in map(str.strip, self.url.split(",")):
            try:
                parts = urlsplit(address if "://" in address else f"nats://{address}")
                is_one = bool(parts.hostname) and (parts.port or True)
            except ValueError:
                is_one = False
            if not is_one or parts.scheme not in ("nats", "tls", "ws", "wss"):
                raise ConnectError(
                    f"`{shown(address)}` is no address of NATS: write"
                    " nats://user:password@host:4222, and percent-encode what of a login is no"
                    " letter and no digit"
                )
            addresses.append(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
            if parts.username is not None:
                user = unquote(parts.username)
                is_token = parts.password is None
                password = unquote(parts.password or "")
                logins.append({"token": user} if is_token else {"user": user, "password": password})
        if any(login != logins[0] for login in logins):
            raise ConnectError(f"the addresses of NATS have different logins: {self.shown}")
        return addresses, logins[0] if logins else {}


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
    def holds(self) -> str:
        """The stream that the service takes from."""
        return self.stream

    @property
    def taken(self) -> str:
        """The subject that it takes from."""
        return self.commands

    @property
    def dead_letters(self) -> str:
        """Where the service puts aside what cannot be taken."""
        return f"{self.commands}.dead-letters"

    @property
    def consumer(self) -> str:
        """The name of the consumer that all copies of the service share."""
        return _consumer(self.commands)

    def subject(self, kind: str, name: str) -> str | None:
        """The subject of a message; `None` where the place has none for it."""
        if kind == "reply":
            return self.replies
        return None if self.events is None else f"{self.events}.{name}"


@dataclass(frozen=True)
class Events:
    """A place of events, and who listens there: a service of a choreography, by its name."""

    stream: str
    """The stream of events is named after it: `ORDERS` makes `ORDERS_EVENTS`."""
    events: str
    """What stands before the names of events: `orders.events`."""
    listener: str
    """All copies of that name share the work. One that is new has what the stream still has."""

    def __post_init__(self) -> None:
        spoken(self.listener)

    @property
    def holds(self) -> str:
        """The stream that it takes from."""
        return f"{self.stream}_EVENTS"

    @property
    def taken(self) -> str:
        """All events that are published below the subject."""
        return f"{self.events}.>"

    @property
    def dead_letters(self) -> str:
        """Where it puts aside what cannot be taken. Not below the events: whoever listens would
        hear of it as of one."""
        return f"{self.events}-dead-letters.{self.listener}"

    @property
    def consumer(self) -> str:
        """The name of the consumer that all copies share."""
        return _consumer(f"{self.events}.{self.listener}")

    def subject(self, kind: str, name: str) -> str | None:
        """The subject of a message; `None` where the place has none for it."""
        return f"{self.events}.{name}" if kind == "event" else None


AnyPlace = Union[Place, Events]


def _consumer(subject: str) -> str:
    """A name for a consumer that the server takes."""
    return "amends-" + re.sub("[^A-Za-z0-9_]", "-", subject)
