"""Kafka."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer

from amends_participant import Channel
from amends_participant.channels.kafka import Place, Server, connect
from brokers import Broker, Peer, Said, eventually


class OverKafka(Broker):
    name = "kafka"

    def place(self) -> Place:
        name = uuid.uuid4().hex[:12]
        return Place(f"{name}.commands", f"{name}.replies", f"{name}.events")

    def connect(self, place: Any, *, create: bool = True) -> AbstractAsyncContextManager[Channel]:
        return connect(Server(self.url), place, create=create)

    @asynccontextmanager
    async def peer(self, place: Any) -> AsyncIterator[Peer]:
        peer = KafkaPeer(self.url, place)
        yield peer
        await asyncio.to_thread(peer.close)

    def described(self, place: Any) -> str:
        p: Place = place
        return f"kafka: {{ commands: {p.commands}, replies: {p.replies} }}"


class KafkaPeer(Peer):
    def __init__(self, url: str, place: Place) -> None:
        self._place = place
        common = {"bootstrap.servers": url, "log_level": 0, "reconnect.backoff.max.ms": 1000}
        self._producer = Producer(
            {**common, "partitioner": "murmur2_random", "message.timeout.ms": 5000}
        )
        self._ends: dict[str, Consumer] = {}
        self._common = {**common, "auto.offset.reset": "earliest"}

    async def send(self, body: bytes, attributes: Mapping[str, str]) -> None:
        headers: list[tuple[str, str | bytes | None]] = []
        for name, value in attributes.items():
            prefix = "" if "-" in name or name == "traceparent" else "ce_"
            headers.append((prefix + name, value))
        try:
            key = json.loads(body)["saga_id"]
        except (ValueError, TypeError, KeyError):
            key = None

        def sent() -> bool | None:
            told: list[KafkaError | None] = []

            def tell(error: KafkaError | None, _: Message) -> None:
                told.append(error)

            self._producer.produce(
                self._place.commands, body, key, headers=headers, on_delivery=tell
            )
            self._producer.flush(10)
            return True if told and told[0] is None else None

        await eventually(lambda: asyncio.to_thread(sent), "Kafka takes no command")

    async def look(self, at: str) -> Said | None:
        topic = getattr(self._place, at)
        if at not in self._ends:
            self._ends[at] = Consumer({**self._common, "group.id": uuid.uuid4().hex})
            self._ends[at].subscribe([topic])
        message = await asyncio.to_thread(self._ends[at].poll, 1.0)
        if message is None or message.error() is not None:
            return None
        headers = {}
        for name, value in list(message.headers() or []):
            assert isinstance(name, str) and isinstance(value, bytes)
            headers[name] = value.decode()
        return Said(headers, message.value() or b"")

    def close(self) -> None:
        for consumer in self._ends.values():
            consumer.close()
