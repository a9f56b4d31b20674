"""SQS, as moto speaks it. It keeps everything in memory, so what is killed is the way there."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, ClassVar

from aiobotocore.session import get_session

from amends_participant import Channel
from amends_participant.channels.sqs import Place, Server, connect
from brokers import Broker, Peer, Said
from wire import Wire

LOGIN = ("a-key", "a-secret")


class OverSqs(Broker):
    name = "sqs"
    keeps_pauses = True
    environment: ClassVar = {"AWS_ACCESS_KEY_ID": LOGIN[0], "AWS_SECRET_ACCESS_KEY": LOGIN[1]}

    def __init__(self) -> None:
        self._wires: set[Wire] = set()

    def place(self) -> Place:
        name = uuid.uuid4().hex[:12]
        return Place(f"{name}-commands", f"{name}-replies", f"{name}-events.fifo")

    @asynccontextmanager
    async def _connect(self, place: Any, create: bool) -> AsyncIterator[Channel]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        wire = Wire(host, int(port))
        self._wires.add(wire)
        try:
            async with wire.open() as near:
                server = Server(f"http://127.0.0.1:{near}", LOGIN, held_for_s=6, asked_for_s=2)
                async with connect(server, place, create=create) as channel:
                    yield channel
        finally:
            self._wires.discard(wire)

    def connect(self, place: Any, *, create: bool = True) -> AbstractAsyncContextManager[Channel]:
        return self._connect(place, create)

    @asynccontextmanager
    async def peer(self, place: Any) -> AsyncIterator[Peer]:
        client = get_session().create_client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=LOGIN[0],
            aws_secret_access_key=LOGIN[1],
        )
        async with client as opened:
            yield SqsPeer(opened, place)

    def described(self, place: Any) -> str:
        return f"sqs: {{ commands: {place.commands}, replies: {place.replies} }}"

    async def kill(self) -> None:
        for wire in self._wires:
            wire.cut()

    async def start(self) -> None:
        for wire in self._wires:
            wire.mend()


class SqsPeer(Peer):
    def __init__(self, client: Any, place: Place) -> None:
        self._client, self._place = client, place
        self._urls: dict[str, str] = {}
        self._brought: dict[str, list[dict[str, Any]]] = {}
        """What came with one that was asked for."""

    async def _url(self, queue: str) -> str:
        if queue not in self._urls:
            found = await self._client.get_queue_url(QueueName=queue)
            self._urls[queue] = str(found["QueueUrl"])
        return self._urls[queue]

    async def send(self, body: bytes, attributes: Mapping[str, str]) -> None:
        inside = {name: value for name, value in attributes.items() if "-" not in name}
        beside = {
            name: {"DataType": "String", "StringValue": value}
            for name, value in attributes.items()
            if "-" in name
        }
        if inside:
            head = json.dumps({"specversion": "1.0", **inside})
            body = head[:-1].encode() + b', "data": ' + body + b"}"
        await self._client.send_message(
            QueueUrl=await self._url(self._place.commands),
            MessageBody=body.decode(),
            MessageAttributes=beside,
        )

    async def look(self, at: str) -> Said | None:
        url = await self._url(getattr(self._place, at))
        brought = self._brought.setdefault(url, [])
        if not brought:
            answer = await self._client.receive_message(
                QueueUrl=url,
                WaitTimeSeconds=1,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
            )
            brought += answer.get("Messages", [])
        while brought:
            message = brought.pop(0)
            await self._client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            headers = {
                name: value["StringValue"]
                for name, value in message.get("MessageAttributes", {}).items()
            }
            body = message["Body"]
            with suppress(ValueError):
                envelope = json.loads(body)
                if "specversion" in envelope:
                    body = json.dumps(envelope.pop("data"), separators=(",", ":"))
                    headers |= envelope
            return Said(headers, body.encode())
        return None
