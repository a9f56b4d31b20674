"""Channels that listen to the events of a place, over NATS and Kafka: each who listens hears all of
them, and copies of one name share."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest

from amends_participant import Channel, Outgoing
from amends_participant.channels import kafka, nats
from brokers import WITHIN_S, Broker
from brokers.by_name import BROKERS


@pytest.fixture(params=["nats", "kafka"])
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]


def listening(broker: Broker, place: str, name: str) -> AbstractAsyncContextManager[Channel]:
    if broker.name == "nats":
        return nats.connect(
            nats.Server(broker.url, ack_wait_s=3.0), nats.Events(f"S_{place}", f"{place}.e", name)
        )
    return kafka.connect(kafka.Server(broker.url), kafka.Events(f"{place}.e", name))


def event(n: int) -> Outgoing:
    id_ = str(uuid.uuid4())
    attributes = {"specversion": "1.0", "id": f"{id_}/said", "amends-said": "started"}
    return Outgoing(id_, id_, "event", f"Event{n}", attributes, b'{"n":%d}' % n)


async def heard(channel: Channel, many: int) -> list[bytes]:
    """So many, each acknowledged."""
    bodies = []
    for _ in range(many):
        delivery = await asyncio.wait_for(channel.receive(), WITHIN_S)
        assert delivery.attributes["amends-said"] == "started"
        await channel.ack(delivery)
        bodies.append(delivery.body)
    return sorted(bodies)


async def test_each_who_listens_hears_all(broker: Broker) -> None:
    place = uuid.uuid4().hex[:12]
    said = [event(n) for n in range(3)]
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(listening(broker, place, "OneService"))
        for each in said:
            await one.publish(each)
        # Who comes later has missed nothing.
        other = await stack.enter_async_context(listening(broker, place, "OtherService"))
        bodies = [each.body for each in said]
        assert await heard(one, 3) == bodies
        assert await heard(other, 3) == bodies


async def test_what_is_put_aside_is_heard_by_nobody(broker: Broker) -> None:
    place = uuid.uuid4().hex[:12]
    async with listening(broker, place, "OneService") as one:
        await one.publish(event(0))
        damaged = await asyncio.wait_for(one.receive(), WITHIN_S)
        await one.dead_letter(damaged, "DAMAGED_EVENT: it is")
        await one.publish(event(1))
        assert await heard(one, 1) == [b'{"n":1}']
        async with listening(broker, place, "OtherService") as other:
            assert await heard(other, 2) == [b'{"n":0}', b'{"n":1}']


async def test_copies_of_one_name_share(broker: Broker) -> None:
    place = uuid.uuid4().hex[:12]
    async with AsyncExitStack() as stack:
        copies = [
            await stack.enter_async_context(listening(broker, place, "OneService"))
            for _ in range(2)
        ]
        bodies: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(channel: Channel) -> None:
            while True:
                for body in await heard(channel, 1):
                    bodies.put_nowait(body)

        at_work = [asyncio.create_task(hear(copy)) for copy in copies]
        for n in range(9):
            await copies[n % 2].publish(event(n))
        came = [await asyncio.wait_for(bodies.get(), WITHIN_S) for _ in range(9)]
        for task in at_work:
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
    assert sorted(came) == [b'{"n":%d}' % n for n in range(9)]


def test_names_are_those_of_the_kit_for_rust() -> None:
    """Copies in both languages share."""
    over_kafka = kafka.Events("events", "PayService")
    assert (over_kafka.taken, over_kafka.group) == ("events", "amends-events.PayService")
    assert over_kafka.dead_letters == "events.PayService.dead-letters"
    over_nats = nats.Events("ORDERS", "orders.events", "PayService")
    assert (over_nats.holds, over_nats.taken) == ("ORDERS_EVENTS", "orders.events.>")
    assert over_nats.consumer == "amends-orders-events-PayService"
    assert over_nats.dead_letters == "orders.events-dead-letters.PayService"
    wrong: Any
    for wrong in ["", "a.b", "a b", "*", ">", "é", "x" * 65]:
        with pytest.raises(ValueError, match="letters, digits"):
            nats.Events("S", "e", wrong)
