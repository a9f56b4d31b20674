"""NATS."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError
from nats.js import JetStreamContext

from amends_participant import Channel
from amends_participant.channels.nats import Place, Server, connect
from brokers import Broker, Peer, Said, eventually


class OverNats(Broker):
    name = "nats"
    keeps_pauses = True

    def place(self) -> Place:
        name = uuid.uuid4().hex[:12]
        return Place(f"S_{name}", f"{name}.commands", f"{name}.replies", f"{name}.events")

    def connect(self, place: Any, *, create: bool = True) -> AbstractAsyncContextManager[Channel]:
        return connect(Server(self.url, ack_wait_s=3.0), place, create=create)

    @asynccontextmanager
    async def peer(self, place: Any) -> AsyncIterator[Peer]:
        async def quiet(_: Exception) -> None: ...

        client: Client = await nats.connect(
            self.url, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=quiet
        )
        yield await NatsPeer.of(client, place)
        await client.close()

    def described(self, place: Any) -> str:
        p: Place = place
        return f"nats: {{ stream: {p.stream}, commands: {p.commands}, replies: {p.replies} }}"


class NatsPeer(Peer):
    def __init__(self, js: JetStreamContext, place: Place, ends: dict[str, Any]) -> None:
        self._js, self._place, self._ends = js, place, ends

    @classmethod
    async def of(cls, client: Client, place: Place) -> NatsPeer:
        js, ends = client.jetstream(), {}
        own, events = place.stream, f"{place.stream}_EVENTS"
        for at, stream, subject in (
            ("replies", own, place.replies),
            ("dead_letters", own, place.dead_letters),
            ("events", events, f"{place.events}.>"),
        ):
            ends[at] = await js.pull_subscribe(subject, durable=at, stream=stream)
        return cls(js, place, ends)

    async def send(self, body: bytes, attributes: Mapping[str, str]) -> None:
        headers = {"Nats-Msg-Id": uuid.uuid4().hex}
        for name, value in attributes.items():
            prefix = "" if "-" in name or name == "traceparent" else "ce-"
            headers[prefix + name] = value.replace("%", "%25").replace(" ", "%20")

        async def sent() -> bool | None:
            try:
                await self._js.publish(self._place.commands, body, headers=headers, timeout=2)
            except NatsError:
                return None
            return True

        await eventually(sent, "NATS takes no command")

    async def look(self, at: str) -> Said | None:
        try:
            (message,) = await self._ends[at].fetch(1, timeout=2)
        except (TimeoutError, NatsError):
            return None
        await message.ack()
        return Said(dict(message.headers or {}), message.data)
