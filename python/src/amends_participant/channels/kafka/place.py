"""Where a service's messages are: a cluster, its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Union

from ..errors import ConnectError, shown
from ..listener import spoken


@dataclass(frozen=True)
class Server:
    """A Kafka cluster, and how we come in."""

    addresses: str
    """`127.0.0.1:9092`, with commas between several of a cluster."""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Settings of the client library (librdkafka), by its names for them: how we come in
    (`security.protocol`, `sasl.username`, `ssl.ca.location` …). What the promise rests on is set by
    us, whatever is said here. None is ever shown: one may be a password."""

    def with_file(self, path: Path) -> Server:
        """With the settings of a file: a line for each, `name=value`; one that begins with `#` says
        nothing."""
        settings = dict(self.settings)
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as e:
            raise ConnectError(f"the settings for Kafka cannot be read: {path}: {e}") from e
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            name, says, value = line.partition("=")
            if not says:
                # The line is not shown.
                raise ConnectError(f"{path}: line {number} is not of the form name=value")
            settings[name.strip()] = value.strip()
        return replace(self, settings=settings)

    @property
    def shown(self) -> str:
        """The addresses without what others might take for the place of a login."""
        return shown(self.addresses)


@dataclass(frozen=True)
class Place:
    """Where the messages of a service are."""

    commands: str
    """The topic of its commands."""
    replies: str
    events: str | None = None
    """The topic of its events. Without it the service publishes none."""

    @property
    def topics(self) -> list[str]:
        """All through which messages pass."""
        return [self.commands, self.replies, *([self.events] if self.events else [])]

    @property
    def taken(self) -> str:
        """The topic that the service takes from."""
        return self.commands

    @property
    def dead_letters(self) -> str:
        """Where the service puts aside what cannot be taken."""
        return f"{self.commands}.dead-letters"

    @property
    def group(self) -> str:
        """The group that all copies of the service are members of."""
        return f"amends-{self.commands}"

    def topic(self, kind: str) -> str | None:
        """The topic of a message; `None` where the place has none for it."""
        return self.replies if kind == "reply" else self.events


@dataclass(frozen=True)
class Events:
    """A place of events, and who listens there: a service of a choreography, by its name."""

    events: str
    """The topic."""
    listener: str
    """All copies of that name share the work. A group that is new begins where the topic begins:
    were it to begin at the end, what comes before its first mark is told would be lost to it."""

    def __post_init__(self) -> None:
        spoken(self.listener)

    @property
    def topics(self) -> list[str]:
        """All through which messages pass."""
        return [self.events]

    @property
    def taken(self) -> str:
        """The topic that it takes from."""
        return self.events

    @property
    def dead_letters(self) -> str:
        """Where it puts aside what cannot be taken."""
        return f"{self.events}.{self.listener}.dead-letters"

    @property
    def group(self) -> str:
        """The group that all copies are members of."""
        return f"amends-{self.events}.{self.listener}"

    def topic(self, kind: str) -> str | None:
        """The topic of a message; `None` where the place has none for it."""
        return self.events if kind == "event" else None


AnyPlace = Union[Place, Events]
