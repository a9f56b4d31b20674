"""Where a service's messages are: a region or an address, and its queues."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import ConnectError, shown

FIFO, DEAD_LETTERS = ".fifo", "-dead-letters"

NAME_MAX = 80
"""As many characters as a queue's name has at most."""

_NAME = re.compile("[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Server:
    """What the service has for an account, and who we are."""

    at: str = field(repr=False)
    """A region of Amazon's (`eu-central-1`), or an address: that of a VPC endpoint, or of what
    speaks SQS elsewhere (`http://127.0.0.1:9324`). With an address the region, which is signed
    along, is what `AWS_REGION` or the profile says."""
    login: tuple[str, str] | tuple[str, str, str] | None = field(default=None, repr=False)
    """A key and its secret, and the token where they are a session's. Without it, whoever the
    surroundings say: the environment (`AWS_ACCESS_KEY_ID` …), the shared files with `AWS_PROFILE`,
    a web identity, the container's role, the machine's."""
    held_for_s: int = 30
    """How long a message is hidden from others when we have taken it, unless we ask for as long
    again, which is done three times meanwhile. So it is also how long a message waits whose service
    has died."""
    asked_for_s: int = 20
    """How long the service keeps a question for messages open when it has none: as long as it may.
    Each question is paid for."""

    @property
    def shown(self) -> str:
        """Where it is, without what others might take for the place of a login."""
        return shown(self.at)

    @property
    def address(self) -> str | None:
        """Where it is none of Amazon's regions."""
        scheme, is_url, rest = self.at.partition("://")
        if not is_url and re.fullmatch("[a-z0-9-]+", self.at):
            return None
        if not is_url:
            why = "it is neither a region nor an address"
        elif scheme not in ("http", "https") or not rest:
            why = "an address begins with http:// or https://"
        elif "@" in rest:
            why = "an address has no login: it comes from the environment, or a profile"
        else:
            return self.at
        raise ConnectError(
            f"`{self.shown}` does not say where SQS is: {why}; give a region, as eu-central-1, or"
            " an address"
        )


@dataclass(frozen=True)
class Place:
    """Where the messages of a service are. Each queue is said by its name, or by its URL where it
    is another account's; one that is said by its URL is never made. A name that ends in `.fifo` is
    that of a queue that keeps order."""

    commands: str
    """The queue of its commands."""
    replies: str
    events: str | None = None
    """The queue of its events, which one reads. Without it the service publishes none."""

    def __post_init__(self) -> None:
        for name in (self.commands, self.replies, self.events, self.dead_letters):
            if name is None or is_url(name):
                continue
            if len(name) > NAME_MAX or not _NAME.fullmatch(name.removesuffix(FIFO)):
                raise ValueError(
                    f"a queue of SQS has a name of letters, digits, `-` and `_`, at most {NAME_MAX}"
                    f" with its ending, or is said by its URL, and not `{name}`"
                )

    @property
    def dead_letters(self) -> str:
        """Where the service puts aside what cannot be taken: a queue of the same sort."""
        is_fifo = self.commands.endswith(FIFO)
        return self.commands.removesuffix(FIFO) + DEAD_LETTERS + (FIFO if is_fifo else "")


def is_url(said: str) -> bool:
    """Whether a queue is said by its URL."""
    return said.startswith(("https://", "http://"))
