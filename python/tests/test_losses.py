"""What a channel must not lose, whatever its broker, its client or a message does: its hearing, its
connection, its memory, and what it holds."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import nats as nats_client
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from amends_participant import Outgoing
from amends_participant.channels import ChannelError, nats, rabbitmq, sqs
from amends_participant.channels.hold import UNSETTLED_MAX, Hold
from amends_participant.channels.kafka import intake
from amends_participant.channels.kafka.marks import Marks
from amends_participant.channels.kafka.topology import Sizes
from amends_participant.channels.rabbitmq import channel as rabbit_channel
from amends_participant.channels.rabbitmq import publisher as rabbit_publisher
from amends_participant.channels.sqs import channel as sqs_channel
from amends_participant.channels.sqs.channel import SqsChannel
from amends_participant.channels.sqs.queue import Queue, Queues
from amends_participant.messages.channel import Delivery
from brokers import WITHIN_S, eventually
from brokers.by_name import BROKERS
from conftest import Shop, server
from test_channels import about, new, sell, served
from wire import Wire

REASON = "amends-dead-letter-reason"


def outgoing(body: bytes) -> Outgoing:
    return Outgoing(new(), new(), "reply", "SagaStepCompleted", {"specversion": "1.0"}, body)


class OverWire:
    """A broker with a wire in front of it."""

    def __init__(self, wire: Wire, port: int) -> None:
        self._wire, self._port = wire, port
        self._broker = BROKERS["rabbitmq"]
        self.peer = self._broker.peer

    def connect(self, place: Any) -> Any:
        return rabbitmq.connect(rabbitmq.Server(f"amqp://127.0.0.1:{self._port}"), place)


async def test_a_rabbitmq_that_is_lost_while_it_is_connected_to_is_connected_to_again(
    small_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each moment of that: the client raises whatever it was at."""
    for module in (rabbit_channel, rabbit_publisher):
        monkeypatch.setattr(module, "PAUSE_S", 0.001)
        monkeypatch.setattr(module, "PAUSE_S_MAX", 0.001)
    broker = BROKERS["rabbitmq"]
    place, (host, _, port) = broker.place(), server("RABBITMQ").partition(":")
    wire = Wire(host, int(port))
    async with wire.open() as near, served(small_shop, OverWire(wire, near), place) as peer:  # type: ignore[arg-type]
        for n in range(300):
            wire.cut()
            await asyncio.sleep(0.005)
            wire.mend()
            await asyncio.sleep(n % 30 / 1000)
        saga = new()
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)


async def test_what_is_too_large_for_nats_with_its_headers_costs_no_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The library looks at the body alone, and the server hangs up."""
    broker = BROKERS["nats"]
    caplog.set_level("DEBUG", "amends_participant")
    async with broker.connect(place := broker.place()) as channel, broker.peer(place):
        with pytest.raises(ChannelError, match="NATS refuses it: with its headers"):
            await channel.publish(outgoing(b"x" * (1024 * 1024 - 10)))
        await channel.publish(outgoing(b"{}"))
    assert "Maximum Payload" not in caplog.text


@pytest.mark.parametrize("left", [0, 20, 1000])
async def test_what_fills_a_message_of_nats_is_put_aside_with_what_fits_of_the_reason(
    left: int, small_shop: Shop, saga: str
) -> None:
    broker = BROKERS["nats"]
    headers = len("NATS/1.0\r\nNats-Msg-Id: \r\n\r\n") + 32
    body = b"x" * (1024 * 1024 - headers - left)
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(body, {})
        dead = await peer.next("dead_letters")
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.body == body
    assert "NOT_JSON".startswith(dead.attributes.get(REASON, "")[:8])
    assert left < 1000 or dead.attributes[REASON].startswith("NOT_JSON:")


async def test_what_a_message_told_nats_is_not_told_again_where_it_is_put_aside(
    small_shop: Shop, saga: str
) -> None:
    """It would be refused there for ever: which message has to be the last was said
    of where it lay."""
    broker = BROKERS["nats"]
    async with served(small_shop, broker, place := broker.place()) as peer:
        client = await nats_client.connect(broker.url)
        js = client.jetstream()
        last = (await js.stream_info(place.stream)).state.last_seq
        told = {"Nats-Expected-Last-Sequence": str(last), "Nats-Msg-Id": "1", "Said": "to us"}
        await js.publish(place.commands, b"{", headers=told)
        dead = await peer.next("dead_letters")
        await client.close()
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.attributes.pop(REASON).startswith("NOT_JSON:")
    assert dead.attributes == {"Nats-Msg-Id": "1/dead-letter", "Said": "to us"}


@pytest.mark.parametrize("lines", [0, 20])
async def test_what_fills_a_message_of_nats_without_our_spelling_is_put_aside_without_theirs(
    lines: int, small_shop: Shop, saga: str
) -> None:
    """The server takes headers without the blank that the client writes, and none at all."""
    broker = BROKERS["nats"]
    headers = b"NATS/1.0\r\n" + b"".join(b"N%d:v\r\n" % n for n in range(lines)) + b"\r\n"
    body = b"x" * (1024 * 1024 - (len(headers) if lines else 0))
    async with served(small_shop, broker, place := broker.place()) as peer:
        host, _, port = server("NATS").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await reader.readline()
        writer.write(b'CONNECT {"headers":true,"verbose":false}\r\n')
        to, sizes = place.commands.encode(), (len(headers), len(headers) + len(body))
        if lines:
            writer.write(b"HPUB %s %d %d\r\n%s" % (to, *sizes, headers))
        else:
            writer.write(b"PUB %s %d\r\n" % (to, len(body)))
        writer.write(body + b"\r\n")
        await writer.drain()
        dead = await peer.next("dead_letters")
        writer.close()
        await writer.wait_closed()
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.body == body
    # Where they are left behind there is room for the reason.
    assert list(dead.attributes) == ([REASON] if lines else [])


async def test_a_message_is_said_to_be_at_work_as_often_as_its_consumer_wants_it() -> None:
    """Whoever made that: a service that was there before may have said another time."""
    broker = BROKERS["nats"]
    place, hasty = broker.place(), nats.Server(broker.url, ack_wait_s=1.0)
    async with nats.connect(hasty, place):
        pass
    async with nats.connect(replace(hasty, ack_wait_s=30.0), place) as channel:
        async with broker.peer(place) as peer:
            await peer.send(sell(new()), {})
        held = await asyncio.wait_for(channel.receive(), WITHIN_S)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.receive(), 3.0)
        await channel.ack(held)


def largest_that_fits(topic: str, url: str) -> bytes:
    """That this topic takes without headers."""
    producer = Producer({"bootstrap.servers": url, "message.max.bytes": 2_000_000})
    for size in range(1_048_588, 0, -8):
        told: list[KafkaError | None] = []

        def tell(error: KafkaError | None, _: Message, told: list[Any] = told) -> None:
            told.append(error)

        body = random.Random(size).randbytes(size)  # that nobody can compress
        producer.produce(topic, body, on_delivery=tell)
        producer.flush(30)
        if told and told[0] is None:
            return body
    raise AssertionError("nothing fits")


def test_where_kafka_does_not_tell_what_each_topic_takes_nothing_is_too_large_here() -> None:
    assert Sizes.of([7, 9]) == Sizes(7, 9)
    assert Sizes.of([7, None]) == Sizes(7, None)
    assert Sizes.of([None]) == Sizes.of([]) == Sizes(None, None)


async def test_what_fills_a_message_of_kafka_is_put_aside_without_its_reason(
    small_shop: Shop, saga: str
) -> None:
    broker = BROKERS["kafka"]
    async with served(small_shop, broker, place := broker.place()) as peer:
        body = await asyncio.to_thread(largest_that_fits, place.commands, broker.url)
        dead = await peer.next("dead_letters")
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.body == body and dead.attributes == {}


async def test_what_kafka_takes_only_compressed_is_put_aside_compressed(
    small_shop: Shop, saga: str
) -> None:
    broker, body = BROKERS["kafka"], b"x" * 3_000_000
    async with served(small_shop, broker, place := broker.place()) as peer:
        own = {"compression.type": "gzip", "message.max.bytes": 4_000_000}
        producer = Producer({"bootstrap.servers": broker.url, **own})
        producer.produce(place.commands, body)
        assert await asyncio.to_thread(producer.flush, 30) == 0
        dead = await peer.next("dead_letters")
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.body == body and dead.attributes[REASON].startswith("TOO_LARGE:")


async def test_a_message_of_kafka_whose_headers_cannot_be_read_is_put_aside(
    small_shop: Shop, saga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client does it where a name of theirs is no UTF-8."""

    class Unreadable:
        def __init__(self, message: Any) -> None:
            self._message = message

        def headers(self) -> object:
            raise SystemError("returned a result with an exception set")

        def __getattr__(self, name: str) -> object:
            return getattr(self._message, name)

    class Odd(Consumer):
        def poll(self, timeout: float = -1) -> Any:
            message = super().poll(timeout)
            is_it = message is not None and message.error() is None and message.value() == b"{"
            return Unreadable(message) if is_it else message

    monkeypatch.setattr(intake, "Consumer", Odd)
    broker = BROKERS["kafka"]
    async with served(small_shop, broker, broker.place()) as peer:
        for _ in range(UNSETTLED_MAX + 1):
            await peer.send(b"{", {})
        dead = await peer.next("dead_letters")
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert dead.body == b"{" and dead.attributes[REASON].startswith("NOT_JSON")


async def test_a_kafka_client_that_raises_anything_is_asked_again(
    small_shop: Shop, saga: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors: Iterator[Exception] = iter([UnicodeError("odd"), KafkaException("odd"), OSError("odd")])

    class Odd(Consumer):
        def poll(self, timeout: float = -1) -> Any:
            if (error := next(errors, None)) is not None:
                raise error
            return super().poll(timeout)

    monkeypatch.setattr(intake, "Consumer", Odd)
    broker = BROKERS["kafka"]
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert "no command can be received" in caplog.text


@asynccontextmanager
async def sqs_of(client: Any, **options: Any) -> Any:
    queue = Queue("at", False)
    channel = SqsChannel(client, sqs.Server("here", **options), Queues(queue, queue, None, queue))
    channel.start()
    yield channel
    await channel.close()


async def test_a_message_of_sqs_is_hidden_again_whatever_becomes_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One request that is not answered must not take the time of all others."""
    monkeypatch.setattr(sqs_channel, "ANSWERED_WITHIN_S", 0.5)
    monkeypatch.setattr(sqs_channel, "CLOSED_WITHIN_S", 0.1)
    hidden: list[str] = []

    class Client:
        brought = 0

        async def receive_message(self, **_: Any) -> Any:
            if self.brought == 10:
                await asyncio.Event().wait()
            self.brought += 10
            ids = [str(n) for n in range(10)]
            return {"Messages": [{"MessageId": n, "ReceiptHandle": n, "Body": "{}"} for n in ids]}

        async def change_message_visibility(self, *, ReceiptHandle: str, **_: Any) -> None:
            hidden.append(ReceiptHandle)
            if ReceiptHandle == "0":
                await asyncio.Event().wait()
            if ReceiptHandle == "1":
                raise RuntimeError("of the library")

    async with sqs_of(Client(), held_for_s=1):

        async def all_are() -> bool | None:
            return True if {"9", "8"} <= set(hidden) and hidden.count("2") > 1 else None

        await eventually(all_are, "one holds up the others")


async def test_what_was_lost_before_it_was_told_of_does_not_stay_in_memory() -> None:
    """A connection that comes and goes while nobody asks for the next message."""
    hold: Hold[int] = Hold()
    waits = weakref.ref(delivery := Delivery(b"{}"))
    kept = Delivery(b"kept")
    assert hold.bring(delivery, 1) and hold.bring(kept, 2)
    hold.trouble("it is lost")
    hold.lose(lambda handle: handle == 1)
    del delivery
    gc.collect()
    assert waits() is None
    assert await hold.next() is kept
    with pytest.raises(ChannelError, match="it is lost"):
        await hold.next()


def test_what_is_settled_behind_an_open_message_does_not_gather() -> None:
    marks = Marks()
    marks.assigned([0])
    first = marks.came(0, 5)
    assert first is not None
    for offset in range(6, 10_000):
        marks.came(0, offset)
        assert marks.settled(0, first, offset) == (5 if offset == 6 else None)
    assert len(marks._partitions[0].offsets) == 1
    assert marks.settled(0, first, 5) == 10_000
    assert marks.settled(0, first, 5) is None, "it was settled before"
    marks.revoked([0])
    assert marks.settled(0, first, 9_999) is None and marks.came(0, 10_000) is None
    marks.assigned([0])
    assert marks.came(0, 7) != first
