"""The queues of a place: looked at, and made where that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import ConnectError
from ..topology import Topology
from .place import FIFO, Place, Server, is_url

BYTES_MAX = 1024 * 1024
"""The largest message that there is; older queues, and some of what speaks SQS elsewhere, take a
quarter of that."""

KEPT_S_MAX = 14 * 24 * 60 * 60
"""As long as a queue keeps a message at most: 14 days. It is deleted then, taken or not."""

BROUGHT_MAX = 1000
"""As often as a queue brings a message at most where it is to be given up at all."""


@dataclass(frozen=True)
class Queue:
    """A queue that is there."""

    url: str
    is_fifo: bool
    """Whether it keeps order, and knows ids."""
    bytes_max: int = BYTES_MAX
    """The largest message that it takes."""


@dataclass(frozen=True)
class Queues:
    """Those of a service."""

    commands: Queue
    replies: Queue
    events: Queue | None
    dead_letters: Queue


async def prepare(
    client: Any, server: Server, place: Place, create: bool
) -> tuple[Queues, Topology]:
    """What is missing is made with `create`, and is an error otherwise. What is made may take a
    second until it is there for everyone: until then it is away."""
    look = _Look(client, server, create)
    commands, replies = await look.at(place.commands), await look.at(place.replies)
    events = None if place.events is None else await look.at(place.events)
    dead_letters = await look.at(place.dead_letters)
    if look.topology.missing and look.refused:
        what = ", no ".join(look.topology.missing)
        raise ConnectError(
            f"SQS has no {what}: this login may not make it: have it made ({look.refused})"
        )
    look.topology.needs_all("SQS")
    assert commands and replies and dead_letters
    return Queues(commands, replies, events, dead_letters), look.topology


class _Look:
    """A look at queues, and what came of it so far."""

    def __init__(self, client: Any, server: Server, create: bool) -> None:
        self._client, self._server, self._create = client, server, create
        self.topology = Topology()
        self.refused = ""
        """Why something was not made, where that was tried."""

    async def at(self, said: str) -> Queue | None:
        """The queue, where it is there by now."""
        what, url = f"queue {said}", await self._url(said)
        if url is not None:
            try:
                settings = await self._settings(url)
            except ClientError as e:
                if is_missing(e):
                    url = None
                else:
                    # Whoever may publish there need not see more.
                    self.topology.weak.append(
                        f"{what}: its settings cannot be seen ({words(e)}), and may be too weak:"
                        " allow GetQueueAttributes"
                    )
                    settings = {}
            if url is not None:
                self.topology.there.append(what)
                self.topology.weak += [f"{what}: {weak}" for weak in weaknesses(settings)]
                return _queue(said, url, settings)
        if self._create and not is_url(said):
            made = await self._make(said)
            if made is not None:
                self.topology.created.append(what)
                return made
        self.topology.missing.append(what)
        return None

    async def _url(self, said: str) -> str | None:
        if is_url(said):
            return said
        try:
            told = await self._client.get_queue_url(QueueName=said)
        except ClientError as e:
            if is_missing(e):
                return None
            # The first question that the service is asked: it tells whether we are let in.
            raise self._unreachable(e) from e
        except (BotoCoreError, OSError) as e:
            raise self._unreachable(e) from e
        return str(told["QueueUrl"])

    async def _settings(self, url: str) -> Mapping[str, str]:
        told = await self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        settings: Mapping[str, str] = told.get("Attributes", {})
        return settings

    async def _make(self, said: str) -> Queue | None:
        settings = {
            "MessageRetentionPeriod": str(KEPT_S_MAX),
            # Of other readers: ours says both with each question.
            "VisibilityTimeout": str(self._server.held_for_s),
            "ReceiveMessageWaitTimeSeconds": str(self._server.asked_for_s),
        }
        if said.endswith(FIFO):
            settings |= {
                "FifoQueue": "true",
                # An id is its saga's, and each saga's messages count for themselves: without this a
                # queue takes 300 requests a second, all sagas together.
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            }
        try:
            told = await self._client.create_queue(QueueName=said, Attributes=settings)
            url = str(told["QueueUrl"])
            return _queue(said, url, await self._settings(url))
        except ClientError as e:
            if "AccessDenied" not in code(e):
                raise ConnectError(f"queue {said} of SQS cannot be had: {words(e)}") from e
            self.refused = self.refused or words(e)
            return None
        except (BotoCoreError, OSError) as e:
            raise self._unreachable(e) from e

    def _unreachable(self, error: Exception) -> ConnectError:
        return ConnectError(f"SQS at {self._server.shown} cannot be used: {words(error)}")


def _queue(said: str, url: str, settings: Mapping[str, str]) -> Queue:
    return Queue(url, said.endswith(FIFO), _number(settings, "MaximumMessageSize") or BYTES_MAX)


def _number(settings: Mapping[str, str], name: str) -> int | None:
    text = str(settings.get(name, ""))
    return int(text) if text.isdigit() else None


def weaknesses(settings: Mapping[str, str]) -> list[str]:
    """What is weaker than the promise that a confirmed message is not lost, each with what to
    set."""
    weak = []
    kept = _number(settings, "MessageRetentionPeriod")
    if kept is not None and kept < KEPT_S_MAX:
        weak.append(
            f"messages go after {kept // 3600} h whether they were taken or not: set"
            f" MessageRetentionPeriod to {KEPT_S_MAX}"
        )
    times = _given_up_after(settings)
    if times is not None and times < BROUGHT_MAX:
        weak.append(
            f"it gives a message up after {times} deliveries, and each pause before another try"
            " counts as one: take its RedrivePolicy away, or set maxReceiveCount to"
            f" {BROUGHT_MAX}"
        )
    largest = _number(settings, "MaximumMessageSize")
    if largest is not None and largest < BYTES_MAX:
        weak.append(
            f"it takes messages of {largest} bytes at most: set MaximumMessageSize to {BYTES_MAX}"
        )
    return weak


def _given_up_after(settings: Mapping[str, str]) -> int | None:
    """Some write the number as text."""
    try:
        return int(json.loads(settings.get("RedrivePolicy") or "{}")["maxReceiveCount"])
    except (ValueError, TypeError, KeyError):
        return None


def code(error: ClientError) -> str:
    """What the service calls an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """Whether the service says that there is no such queue."""
    return code(error).endswith(("QueueDoesNotExist", "NonExistentQueue"))


def words(error: BaseException) -> str:
    """What the service says, or the client."""
    if isinstance(error, ClientError):
        return f"{code(error)}: {error.response.get('Error', {}).get('Message', '')}"[:300]
    return str(error)[:300] or type(error).__name__
