"""The settings of what is there, and what of them is weaker than the promise that a confirmed
message is not lost.

AMQP does not show them. But what is declared again is compared with what is there, and the server
says of the first setting that differs what it is: so it is declared as we would have made it, then
with what we have learned, until nothing differs. What a policy sets, and how many machines hold a
queue, it does not say.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from aiormq.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    ConnectionClosed,
)

from .server import words
from .thing import DELIVERIES_MAX, Thing

DIFFERENCES_MAX = 24
"""How many settings there are, and then some: of each one is told at a time."""

DELIVERIES_FEW = 1_000
"""A service gives a message back as often as its database is away, and it must not be given up for
that."""

Differences = Mapping[str, "str | None"]
"""What differs from how we would have made it: by name what it is, `None` where it is not set."""

_DIFFERS = re.compile(r"inequivalent arg '(?P<name>[^']*)'.* but current is (?P<current>.*)", re.S)
_TYPED = re.compile(r"the value '(?P<text>.*)' of type '(?P<kind>[a-z]*)'", re.S)
_FLAGS = ("durable", "auto_delete", "internal")


async def weaknesses(connection: AbstractConnection, thing: Thing) -> list[str]:
    """What of something that is there is too weak."""
    differences, unseen = await _differences(connection, thing)
    if thing.exchange_type is not None:
        weak = of_exchange(differences)
    elif thing.ttl_ms is not None:
        weak = []  # how long events stay is whoever's who made it
    else:
        weak = of_queue(differences, brings=thing.dead_letters is not None)
    if unseen:
        weak.append(f"its settings could not be looked at ({unseen})")
    return [f"{thing.what}: {why}" for why in weak]


async def _differences(connection: AbstractConnection, thing: Thing) -> tuple[Differences, str]:
    """Asks until nothing differs; or says why there is no more to learn."""
    asked = _Asked(thing)
    differences: dict[str, str | None] = {}
    for _ in range(DIFFERENCES_MAX):
        try:
            await asked.ask(connection)
        except ChannelPreconditionFailed as e:
            said = words(e)
        except ChannelAccessRefused as e:
            return differences, words(e)
        else:
            return differences, ""
        differs = difference(said)
        if differs is None:
            return differences, said
        name, text, kind = differs
        differences[name] = text
        if not asked.learn(name, text, kind):
            return differences, said
    return differences, "too many differ"


class _Asked:
    """A declaration, with what has been learned so far."""

    def __init__(self, thing: Thing) -> None:
        self._thing = thing
        self._type = thing.exchange_type
        self._flags = {"durable": True, "auto_delete": False, "internal": False}
        self._arguments = {} if thing.exchange_type is not None else thing.arguments

    async def ask(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        try:
            if self._type is not None:
                await channel.exchange_declare(
                    self._thing.name,
                    exchange_type=self._type,
                    durable=self._flags["durable"],
                    auto_delete=self._flags["auto_delete"],
                    internal=self._flags["internal"],
                    arguments=self._arguments,
                )
            else:
                await channel.queue_declare(
                    self._thing.name,
                    durable=self._flags["durable"],
                    auto_delete=self._flags["auto_delete"],
                    arguments=self._arguments,
                )
        finally:
            with contextlib.suppress(AMQPError, ConnectionClosed, RuntimeError):
                await channel.close()

    def learn(self, name: str, text: str | None, kind: str) -> bool:
        """Takes in what a setting is; `False` where that cannot be said, or was not believed."""
        before = (self._type, dict(self._flags), dict(self._arguments))
        if name in _FLAGS:
            self._flags[name] = text == "true"
        elif name == "type":
            self._type = text
        elif text is None:
            self._arguments.pop(name, None)
        else:
            value = _value(text, kind)
            if value is None:
                return False
            self._arguments[name] = value
        return before != (self._type, self._flags, self._arguments)


def _value(text: str, kind: str) -> Any:
    """Where both sides say something the server tells no type."""
    if kind in ("longstr", "shortstr"):
        return text
    if kind == "bool":
        return text == "true"
    is_number = re.fullmatch("-?[0-9]+", text) is not None
    if not kind:
        return int(text) if is_number else text
    return int(text) if is_number else None


def difference(said: str) -> tuple[str, str | None, str] | None:
    """The setting that differs, what it is, and of which type, of `inequivalent arg 'x-max-length'
    for queue 'q' in vhost '/': received none but current is the value '10' of type
    'signedint'`."""
    differs = _DIFFERS.search(said)
    if differs is None:
        return None
    name, current = differs["name"], differs["current"]
    if current == "none":
        return name, None, ""
    typed = _TYPED.fullmatch(current)
    if typed is not None:
        return name, typed["text"], typed["kind"]
    if len(current) > 1 and current[0] == current[-1] == "'":
        return name, current[1:-1], ""
    return None


def of_exchange(differences: Differences) -> list[str]:
    """What of an exchange is weak."""
    weak = []
    if differences.get("durable") == "false":
        weak.append("it is gone when the server starts again: make it durable")
    if differences.get("auto_delete") == "true":
        weak.append("it goes with its last queue: turn auto_delete off")
    if differences.get("internal") == "true":
        weak.append("nobody may publish to it: turn internal off")
    kind = differences.get("type")
    if kind is not None and kind not in ("direct", "topic"):
        weak.append(
            f"its type is {kind}, which does not go by the routing key alone, so commands may come"
            " to the queue of replies: make it direct, or topic"
        )
    return weak


def of_queue(differences: Differences, *, brings: bool) -> list[str]:
    """What of a queue is weak."""
    weak = []
    if "x-queue-type" in differences:
        weak.append(
            "it is no quorum queue: it is kept by one machine, which confirms before other machines"
            " have a message, and it does not count how often it brings one; make it with"
            " x-queue-type quorum"
        )
    if differences.get("durable") == "false":
        weak.append("it is gone when the server starts again: make it durable")
    if differences.get("auto_delete") == "true":
        weak.append("it goes with whoever reads last: turn auto_delete off")
    if "x-message-ttl" in differences:
        weak.append("messages go after its x-message-ttl whether they were taken or not: set none")
    if "x-expires" in differences:
        weak.append("it goes when nobody has read for its x-expires: set none")
    is_bounded = "x-max-length" in differences or "x-max-length-bytes" in differences
    # What we make says reject-publish, so another way differs.
    drops = not brings or "x-overflow" in differences
    if is_bounded and drops and differences.get("x-overflow") != "reject-publish":
        weak.append(
            "when it is full the oldest message is dropped: set its x-overflow to reject-publish"
        )
    if differences.get("x-quorum-initial-group-size") == "1":
        weak.append("one machine holds it: set its x-quorum-initial-group-size to 3 or more")
    if "x-delivery-limit" in differences:
        limit = differences["x-delivery-limit"]
        if limit is None and "x-queue-type" not in differences:
            weak.append(
                "it says no x-delivery-limit, and from version 4 on the server gives a message up"
                f" after 20 deliveries then: set it to {DELIVERIES_MAX}"
            )
        elif limit is not None and limit.isdigit() and int(limit) < DELIVERIES_FEW:
            weak.append(
                f"the server gives a message up after {limit} deliveries, whatever the reason: set"
                f" its x-delivery-limit to {DELIVERIES_MAX}"
            )
    return weak
