"""A service behind each broker: what comes twice, early, broken, late, or while one is dead."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sqlite3
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiormq
import pytest

from amends_participant import About, Answer, Outbox, Sending, Unknown
from amends_participant.channels import ConnectError
from amends_participant.http.signature import Secret, verify
from amends_participant.participant import Reply
from amends_participant.testing import command_body
from brokers import WITHIN_S, Broker, Peer, Said, eventually
from brokers.by_name import BROKERS
from conftest import Shop

ALREADY_UNDONE = "ALREADY_UNDONE"
PAUSE_S = 1.0


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]


@contextlib.asynccontextmanager
async def served(shop: Shop, broker: Broker, place: Any, **options: Any) -> AsyncIterator[Peer]:
    async with broker.connect(place) as channel:
        task = asyncio.create_task(shop.participant.serve(channel, **options))
        try:
            async with broker.peer(place) as peer:
                yield peer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def new() -> str:
    return str(uuid.uuid4())


def sell(saga: str, **data: Any) -> bytes:
    return command_body("Shop.Sell", {"item": "cup", **data}, saga_id=saga)


def undo(saga: str) -> bytes:
    return command_body("Shop.TakeBack", {}, saga_id=saga, direction="compensation")


def about(said: Said) -> tuple[str, str]:
    body = json.loads(said.body)
    return body["type"], body["saga_id"]


def attribute(said: Said, name: str) -> str | None:
    """By whichever name this broker has for it."""
    return next(
        (said.attributes[p + name] for p in ("ce-", "ce_", "") if p + name in said.attributes), None
    )


async def test_a_command_is_done_once_and_answered_as_often_as_it_comes(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    attributes = {
        "id": f"{saga}/step/action:2",
        "type": "Shop.Sell",
        "source": "/sagas/Order",
        "correlationid": saga,
        "expirytime": "2099-01-01T00:00:00.000Z",
    }
    async with served(small_shop, broker, broker.place()) as peer:
        replies = []
        for _ in range(2):
            await peer.send(sell(saga), attributes)
            replies.append(await peer.reply())
    for reply in replies:
        assert json.loads(reply.body) == {
            "type": "SagaStepCompleted",
            "saga_id": saga,
            "step_name": "step",
            "idempotency_key": f"{saga}/step/action",
            "attempt": 2,
            "result": {"sold": "cup"},
        }
        for name, value in {
            "specversion": "1.0",
            "type": "SagaStepCompleted",
            "source": "/services/Shop",
            "correlationid": saga,
            "causationid": f"{saga}/step/action:2",
        }.items():
            assert attribute(reply, name) == value, name
    assert small_shop.ran == ["sell"] and await small_shop.standing() == 1


async def test_an_undo_that_comes_first_leaves_a_tombstone(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(undo(saga), {})
        undone = await peer.reply()
        await peer.send(sell(saga), {})
        refused = await peer.reply()
    assert json.loads(undone.body)["undone"] is False
    assert json.loads(refused.body)["error"]["code"] == ALREADY_UNDONE
    assert small_shop.ran == []


async def test_what_cannot_be_taken_goes_to_the_dead_letters_and_the_rest_moves_on(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    foreign = command_body("Store.Sell", {"item": "é"}, saga_id=new())
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(b"{", {})
        await peer.send(foreign, {})
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
        dead = [await peer.next("dead_letters") for _ in range(2)]
    reasons = {said.body: said.attributes["amends-dead-letter-reason"] for said in dead}
    assert reasons[b"{"].startswith("NOT_JSON:")
    assert reasons[foreign].startswith("FOREIGN_COMMAND:")


async def test_what_fails_is_said_to_come_again_and_does(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    failures = iter([True, False])

    @small_shop.participant.action("Flaky")
    async def flaky(command: dict[str, Any]) -> str:
        if next(failures):
            raise RuntimeError("jammed")
        return "done"

    body = command_body("Shop.Flaky", {}, saga_id=saga)
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(body, {"amends-attempt": "1"})
        first = json.loads((await peer.reply()).body)
        await peer.send(body, {"amends-attempt": "2"})
        second = json.loads((await peer.reply()).body)
    assert (first["type"], first["retryable"], first["attempt"]) == ("SagaStepFailed", True, 1)
    assert (second["result"], second["attempt"]) == ("done", 2)


async def test_a_command_of_which_nobody_knows_comes_again_until_it_is_known(
    broker: Broker, small_shop: Shop, saga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost commits of which nothing was held, and one that was."""
    carry_out, times = small_shop.participant.carry_out_and_reply, iter(range(3))

    async def lost(body: bytes, sending: Sending, reply: Reply) -> tuple[About | None, Answer]:
        time_ = next(times, None)
        if time_ in (0, 1):
            return None, Unknown("lost")
        about, answer = await carry_out(body, sending, reply)
        return about, Unknown("lost") if time_ == 2 else answer

    monkeypatch.setattr(small_shop.participant, "carry_out_and_reply", lost)
    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(sell(saga), {})
        # Once of the transaction that did hold, and once of the message that came again.
        for _ in range(2):
            assert about(await peer.reply()) == ("SagaStepCompleted", saga)
    assert next(times, None) is None
    assert small_shop.ran == ["sell"] and await small_shop.standing() == 1


async def test_what_is_signed_comes_and_goes_signed(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    body, ours, former = sell(saga), Secret("ours"), Secret("former")
    signed = {
        "webhook-id": "1",
        "webhook-timestamp": "1",
        "webhook-signature": f"v1,other {ours.sign('1', 1, body)}",
        "type": "Shop.Sell",
    }
    async with served(small_shop, broker, broker.place(), secrets=["ours", "former"]) as peer:
        await peer.send(body, {})
        dead = await peer.next("dead_letters")
        await peer.send(body, signed)
        reply = await peer.reply()
    assert dead.attributes["amends-dead-letter-reason"].startswith("NOT_SIGNED:")
    headers = {name: value.replace("%20", " ") for name, value in reply.attributes.items()}
    for secret in (ours, former):
        verify([secret], headers, reply.body, time.time())


async def test_events_go_where_whoever_listens_finds_them(
    broker: Broker, small_shop: Shop, saga: str
) -> None:
    @small_shop.participant.action("SellAndTell")
    async def sell_and_tell(command: dict[str, Any], outbox: Outbox) -> str:
        for n in range(3):
            await outbox.publish("StockLow", {"n": n}, attributes={"subject": "a kettle"})
        return "sold"

    async with served(small_shop, broker, broker.place()) as peer:
        await peer.send(command_body("Shop.SellAndTell", {}, saga_id=saga), {})
        events = [await peer.next("events") for _ in range(3)]
    assert [event.body for event in events] == [b'{"n":%d}' % n for n in range(3)]
    for event in events:
        assert attribute(event, "type") == "StockLow"
        assert attribute(event, "correlationid") == saga
        assert (attribute(event, "subject") or "").replace("%20", " ") == "a kettle"


async def test_what_is_given_back_comes_again_no_sooner_than_it_may(broker: Broker) -> None:
    place, first, second = broker.place(), sell(new()), sell(new())
    async with broker.connect(place) as channel, broker.peer(place) as peer:
        await peer.send(first, {})
        given_back = await asyncio.wait_for(channel.receive(), WITHIN_S)
        began = time.monotonic()
        await channel.give_back(given_back, PAUSE_S)
        await peer.send(second, {})
        other = await asyncio.wait_for(channel.receive(), WITHIN_S)
        assert other.body in (second, first)
        again = await asyncio.wait_for(channel.receive(), WITHIN_S)
        assert {other.body, again.body} == {first, second}
        # Brokers count in whole milliseconds, or begin a little before we do.
        assert time.monotonic() - began >= 0.9 * PAUSE_S
        await channel.ack(given_back)  # nothing happens: it is another delivery
        await channel.ack(other)
        await channel.ack(again)


async def test_who_leaves_leaves_to_others_what_is_not_settled(broker: Broker) -> None:
    place, bodies = broker.place(), [sell(new()) for _ in range(3)]
    async with broker.connect(place) as channel, broker.peer(place) as peer:
        for body in bodies:
            await peer.send(body, {})
        held = [await asyncio.wait_for(channel.receive(), WITHIN_S) for _ in bodies]
        if not broker.keeps_pauses:
            await channel.give_back(held[1], 1000.0)
    async with broker.connect(place) as channel:
        left = set(bodies)
        while left:
            # The server of Debian 12 (2.9) brings the last message of a stream once more after one
            # before it was given back.
            delivery = await asyncio.wait_for(channel.receive(), WITHIN_S)
            left.discard(delivery.body)
            await channel.ack(delivery)


async def test_copies_of_a_service_share_what_comes(broker: Broker, small_shop: Shop) -> None:
    place, sagas = broker.place(), [new() for _ in range(30)]
    async with served(small_shop, broker, place) as peer, served(small_shop, broker, place):
        for saga in sagas:
            await peer.send(sell(saga), {})
        replies = [about(await peer.reply()) for _ in sagas]
    assert sorted(replies) == sorted(("SagaStepCompleted", saga) for saga in sagas)
    assert await small_shop.standing() == len(sagas)


async def test_more_than_may_be_held_is_done(broker: Broker, small_shop: Shop) -> None:
    place, many = broker.place(), 300
    async with broker.connect(place), broker.peer(place) as peer:
        pass
    async with broker.peer(place) as peer:
        sagas = [new() for _ in range(many)]
        for some in (sagas[n : n + 20] for n in range(0, many, 20)):
            await asyncio.gather(*(peer.send(sell(saga), {}) for saga in some))
        async with served(small_shop, broker, place):
            # A broker may bring one twice.
            left = set(sagas)
            while left:
                left.discard(about(await peer.reply())[1])
    assert await small_shop.standing() == many


async def test_a_broker_that_is_killed_and_comes_back_ends_nothing(
    broker: Broker, small_shop: Shop
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @small_shop.participant.action("Wait")
    async def wait(data: dict[str, Any]) -> str:
        begun.set()
        await go_on.wait()
        return "waited"

    waits, before, after = new(), [new() for _ in range(5)], [new() for _ in range(5)]
    async with served(small_shop, broker, broker.place()) as peer:
        for saga in before:
            await peer.send(sell(saga), {})
        answered = {about(await peer.reply())[1] for _ in before}
        await peer.send(command_body("Shop.Wait", {}, saga_id=waits), {})
        await asyncio.wait_for(begun.wait(), WITHIN_S)
        await broker.kill()
        go_on.set()  # its reply is in the outbox while nobody takes it
        await broker.start()
        for saga in after:
            await peer.send(sell(saga), {})

        async def all_are_answered() -> bool | None:
            said = await peer.look("replies")
            if said is not None:
                answered.add(about(said)[1])
            return True if answered == {waits, *before, *after} else None

        await eventually(all_are_answered, "not every saga is answered")
    assert await small_shop.standing() == len(before) + len(after)


async def test_a_service_that_is_killed_before_its_reply_says_it_when_it_is_back(
    broker: Broker, tmp_path: Path, saga: str
) -> None:
    place, database = broker.place(), tmp_path / "service.db"
    async with broker.connect(place):
        pass

    async def service(dies: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("broker_service.py")),
            broker.name,
            json.dumps(dataclasses.asdict(place)),
            str(database),
            dies,
            stdout=asyncio.subprocess.DEVNULL,
        )

    def effects() -> int:
        with contextlib.closing(sqlite3.connect(database)) as db:
            return int(db.execute("SELECT count(*) FROM effect").fetchone()[0])

    async with broker.peer(place) as peer:
        await peer.send(sell(saga), {})
        assert await asyncio.wait_for((await service("dies")).wait(), WITHIN_S) == -9
        assert effects() == 1
        again = await service("lives")
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
        again.kill()
        await again.wait()
    assert effects() == 1


async def test_what_is_missing_is_made_once_and_named_where_it_may_not_be(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    place = broker.place()
    with pytest.raises(ConnectError, match=r"commands.*make it, or allow it to be made"):
        async with broker.connect(place, create=False):
            pass
    caplog.set_level("INFO", "amends_participant")
    async with broker.connect(place):
        assert "made at " in caplog.text
    caplog.clear()
    async with broker.connect(place, create=False):
        assert "made at " not in caplog.text


async def test_a_queue_that_goes_is_noticed_and_found_again(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At RabbitMQ, which tells it to nobody who does not listen."""
    broker = BROKERS["rabbitmq"]
    place = broker.place()
    async with served(small_shop, broker, place) as peer:
        connection = await aiormq.connect(broker.url)
        channel = await connection.channel()
        await channel.queue_delete(place.commands)

        async def noticed() -> bool | None:
            return True if "no command can be received" in caplog.text else None

        await eventually(noticed, "nobody notices")
        async with broker.connect(place):
            pass  # it is made anew
        await peer.send(sell(saga), {})
        assert about(await peer.reply()) == ("SagaStepCompleted", saga)
        await connection.close()


async def test_a_broker_that_is_not_there_is_told_without_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from amends_participant.channels import kafka, nats, rabbitmq
    from amends_participant.channels.kafka import topology

    # Kafka's client does not say that nobody is there: it is asked for so long.
    monkeypatch.setattr(topology, "REACHED_WITHIN_S", 1.0)

    nowhere = "me:s3cr3t@127.0.0.1:1"
    for channel in (
        nats.connect(nats.Server(f"nats://{nowhere}"), nats.Place("S", "c", "r")),
        rabbitmq.connect(rabbitmq.Server(f"amqp://{nowhere}"), rabbitmq.Place("c", "r")),
        kafka.connect(kafka.Server("127.0.0.1:1"), kafka.Place("c", "r")),
        kafka.connect(kafka.Server(nowhere), kafka.Place("c", "r")),
        kafka.connect(
            kafka.Server("127.0.0.1:1", {"security.protocol": "s3cr3t"}), kafka.Place("c", "r")
        ),
    ):
        with pytest.raises(ConnectError) as told:
            async with channel:
                pass
        assert "s3cr3t" not in str(told.value)
