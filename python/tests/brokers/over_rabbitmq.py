"""RabbitMQ."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiormq
from aiormq import spec
from aiormq.abc import AbstractChannel

from amends_participant import Channel
from amends_participant.channels.rabbitmq import Place, Server, connect
from brokers import Broker, Peer, Said, eventually


class OverRabbit(Broker):
    name = "rabbitmq"
    kept_after_s = 8.0

    def place(self) -> Place:
        name = uuid.uuid4().hex[:12]
        return Place(f"{name}.commands", f"{name}.replies", name, f"{name}.events")

    def connect(self, place: Any, *, create: bool = True) -> AbstractAsyncContextManager[Channel]:
        return connect(Server(self.url), place, create=create)

    @asynccontextmanager
    async def peer(self, place: Any) -> AsyncIterator[Peer]:
        yield RabbitPeer(self.url, place)

    def described(self, place: Any) -> str:
        queues = f"commands: {place.commands}, replies: {place.replies}"
        return f"rabbitmq: {{ exchange: '{place.exchange}', {queues} }}"


class RabbitPeer(Peer):
    """With a connection for each thing, so that it is no matter when a server was killed."""

    def __init__(self, url: str, place: Place) -> None:
        self._url, self._place = url, place

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        connection = await aiormq.connect(self._url)
        try:
            yield await connection.channel()
        finally:
            await connection.close()

    async def send(self, body: bytes, attributes: Mapping[str, str]) -> None:
        inside = {name: value for name, value in attributes.items() if "-" not in name}
        beside = {name: value for name, value in attributes.items() if "-" in name}
        if inside:
            head = json.dumps({"specversion": "1.0", **inside})
            body = head[:-1].encode() + b', "data": ' + body + b"}"
        properties = spec.Basic.Properties(delivery_mode=2, headers=dict(beside))

        async def sent() -> bool:
            async with self._channel() as channel:
                await channel.basic_publish(
                    body,
                    exchange=self._place.exchange,
                    routing_key=self._place.commands,
                    properties=properties,
                    mandatory=True,
                    timeout=5,
                )
            return True

        await eventually(sent, "RabbitMQ takes no command")

    async def look(self, at: str) -> Said | None:
        queue = {
            "replies": self._place.replies,
            "dead_letters": self._place.dead_letters,
            "events": self._place.events or "",
        }[at]
        async with self._channel() as channel:
            message = await channel.basic_get(queue)
            if isinstance(message.delivery, spec.Basic.GetEmpty):
                return None
            await channel.basic_ack(message.delivery_tag or 0)
        headers = {
            name: value
            for name, value in (message.header.properties.headers or {}).items()
            if isinstance(value, str)
        }
        if not (message.header.properties.content_type or "").startswith("application/cloudevents"):
            return Said(headers, message.body)
        envelope = json.loads(message.body)
        body = json.dumps(envelope.pop("data"), separators=(",", ":")).encode()
        return Said({**headers, **envelope}, body)
