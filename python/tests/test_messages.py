"""Outbox, inbox, and a participant that answers by message, on every database."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amends_participant import (
    Database,
    Delivery,
    MemoryChannel,
    Outbox,
    Outgoing,
    Refused,
    RefusedWith,
    Retention,
    Transaction,
    Transient,
    Unknown,
    retention,
)
from amends_participant.database.sqlite import SqliteTransaction
from amends_participant.http.signature import Secret, verify
from amends_participant.messages import outbox
from amends_participant.messages.outbox import MESSAGES_AT_ONCE, Relay
from amends_participant.testing import command_body, losing_commits
from conftest import Shop, Stage, make, open_shop
from test_guard import ALREADY_UNDONE, ENDED, SOLD, sell
from test_retention import AGED

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextlib.asynccontextmanager
async def serving(shop: Shop, **options: Any) -> AsyncIterator[MemoryChannel]:
    channel = MemoryChannel()
    task = asyncio.create_task(shop.participant.serve(channel, **options))
    await asyncio.sleep(0)  # it has begun, with the database as it is now
    yield channel
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def with_events(shop: Shop) -> None:
    @shop.participant.action("SellAndTell")
    async def sell_and_tell(command: dict[str, Any], db: Any, outbox: Outbox) -> str:
        for n in range(command.get("events", 1)):
            await outbox.publish("StockLow", {"n": n}, attributes={"subject": "kettle"})
        if command.get("refuse"):
            raise Refused("NO")
        if command.get("fail"):
            raise RuntimeError
        return "sold"


def tell(saga: str, **data: Any) -> bytes:
    return command_body("Shop.SellAndTell", data, saga_id=saga)


async def in_outbox(shop: Shop) -> int:
    return int((await shop.stage.rows("SELECT count(*) FROM amends_outbox"))[0][0])


async def test_an_event_goes_out_if_and_only_if_its_transaction_commits(shop: Shop) -> None:
    with_events(shop)
    done, refused, failed, lost = (str(uuid.uuid4()) for _ in range(4))
    carry_out = shop.participant.carry_out
    assert isinstance(await carry_out(tell(refused, refuse=True)), RefusedWith)
    assert isinstance(await carry_out(tell(failed, fail=True)), Transient)
    with losing_commits(shop.participant, hold=False):
        assert isinstance(await carry_out(tell(lost)), Unknown)
    assert await in_outbox(shop) == 0
    for _ in range(2):
        await carry_out(tell(done))
    channel = MemoryChannel()
    assert await Relay(shop.participant.database, channel).once() == 1
    assert await in_outbox(shop) == 0
    (event,) = channel.published
    assert (event.saga_id, event.kind, event.name) == (done, "event", "StockLow")
    assert event.body == b'{"n":0}'
    assert event.attributes == {
        "specversion": "1.0",
        "id": event.id,
        "source": "/services/Shop",
        "type": "StockLow",
        "correlationid": done,
        "datacontenttype": "application/json",
        "subject": "kettle",
    }


class Choosy(MemoryChannel):
    """Does not take what is of a certain saga."""

    def __init__(self, refuses: str) -> None:
        super().__init__()
        self.refuses = refuses

    async def publish(self, outgoing: Outgoing) -> None:
        if outgoing.saga_id == self.refuses and outgoing.body == b'{"n":1}':
            raise ConnectionError
        await super().publish(outgoing)


async def test_what_the_broker_does_not_take_stays_and_holds_up_its_own_saga_only(
    shop: Shop,
) -> None:
    with_events(shop)
    bad, good = str(uuid.uuid4()), str(uuid.uuid4())
    for saga in (bad, good):
        await shop.participant.carry_out(tell(saga, events=3))
    channel = Choosy(bad)
    relay = Relay(shop.participant.database, channel)
    with pytest.raises(ConnectionError):
        await relay.once()
    assert [(m.saga_id, m.body) for m in channel.published] == [
        (bad, b'{"n":0}'),
        *((good, b'{"n":%d}' % n) for n in range(3)),
    ]
    assert await in_outbox(shop) == 2
    assert await in_outbox(shop) == 2
    with pytest.raises(ConnectionError):
        await relay.once()
    channel.refuses = ""
    assert await relay.once() == 2
    assert [m.body for m in channel.published if m.saga_id == bad] == [
        b'{"n":%d}' % n for n in range(3)
    ]


async def test_what_is_refused_for_ever_holds_up_no_other(shop: Shop) -> None:
    """However many sagas it is of, and although they are the oldest."""

    class Strict(MemoryChannel):
        async def publish(self, outgoing: Outgoing) -> None:
            if outgoing.body == b'{"n":0}' and outgoing.saga_id in refused:
                raise ConnectionError
            await super().publish(outgoing)

    with_events(shop)
    refused = [str(uuid.uuid4()) for _ in range(MESSAGES_AT_ONCE // 2 + 5)]
    for saga in refused:
        await shop.participant.carry_out(tell(saga, events=2))
    good = str(uuid.uuid4())
    await shop.participant.carry_out(tell(good))
    channel = Strict()
    relay = Relay(shop.participant.database, channel)
    passes = 0
    while not channel.published:
        with contextlib.suppress(ConnectionError):
            await relay.once()
        passes += 1
    assert passes == 6
    assert [message.saga_id for message in channel.published] == [good]
    refused.clear()
    while await relay.once():
        pass
    assert await in_outbox(shop) == 0


async def test_a_broker_that_confirms_nothing_is_not_waited_for_for_ever(
    small_shop: Shop, saga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "CONFIRMED_WITHIN_S", 0.01)
    with_events(small_shop)
    await small_shop.participant.carry_out(tell(saga))
    with pytest.raises(outbox.Unconfirmed):
        await Relay(small_shop.participant.database, Slow()).once()
    assert await in_outbox(small_shop) == 1


async def test_a_relay_has_its_turn_until_its_deletes_hold(tmp_path: Path) -> None:
    """Another that began before would publish all of it again."""

    class SlowCommit(Database):
        def __init__(self, database: Database) -> None:
            self.database, self.dialect = database, database.dialect
            self.asked, self.go_on = asyncio.Event(), asyncio.Event()

        async def begin(self) -> Transaction:
            transaction = await self.database.begin()
            commit = transaction.commit

            async def slowly() -> None:
                self.asked.set()
                await self.go_on.wait()
                await commit()

            transaction.commit = slowly  # type: ignore[method-assign]
            return transaction

    for kind in ("psycopg pool", "alchemy asyncpg", "alchemy aiomysql"):
        async with make(kind, tmp_path) as stage, make(kind, tmp_path) as second:
            shop = await open_shop(stage)
            await second.database.open()
            with_events(shop)
            await shop.participant.carry_out(tell(str(uuid.uuid4())))
            slow, other = SlowCommit(stage.database), MemoryChannel()
            relaying = asyncio.create_task(Relay(slow, MemoryChannel()).once())
            await slow.asked.wait()
            assert await Relay(second.database, other).once() == 0, kind
            slow.go_on.set()
            assert await relaying == 1
            await shop.participant.carry_out(tell(str(uuid.uuid4())))
            assert await Relay(second.database, other).once() == 1, kind


async def test_more_than_fits_at_once(shop: Shop, saga: str) -> None:
    with_events(shop)
    many = MESSAGES_AT_ONCE + 5
    await shop.participant.carry_out(tell(saga, events=many))
    channel = MemoryChannel()
    relay = asyncio.create_task(shop.participant.relay(channel))
    await channel.has_published(many)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    assert [json.loads(m.body)["n"] for m in channel.published] == list(range(many))


class Slow(MemoryChannel):
    """Confirms when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def publish(self, outgoing: Outgoing) -> None:
        self.asked.set()
        await self.go_on.wait()
        await super().publish(outgoing)


async def test_two_services_relay_one_outbox_one_at_a_time(tmp_path: Path) -> None:
    for kind in ("psycopg pool", "alchemy asyncpg", "alchemy aiomysql"):
        async with make(kind, tmp_path) as stage, make(kind, tmp_path) as second:
            shop = await open_shop(stage)
            await second.database.open()
            with_events(shop)
            await shop.participant.carry_out(tell(str(uuid.uuid4())))
            slow, other = Slow(), MemoryChannel()
            relaying = asyncio.create_task(Relay(stage.database, slow).once())
            await slow.asked.wait()
            assert await Relay(second.database, other).once() == 0
            # Nobody who has something to put waits for the broker.
            await shop.participant.carry_out(tell(str(uuid.uuid4())))
            slow.go_on.set()
            assert await relaying == 1
            assert await Relay(second.database, other).once() == 1
            assert len(slow.published) == len(other.published) == 1


async def test_the_business_does_not_wait_for_a_slow_broker(small_shop: Shop, saga: str) -> None:
    with_events(small_shop)
    await small_shop.participant.carry_out(tell(saga))
    slow = Slow()
    relaying = asyncio.create_task(Relay(small_shop.participant.database, slow).once())
    await slow.asked.wait()
    assert await sell(small_shop, str(uuid.uuid4())) == SOLD
    slow.go_on.set()
    assert await relaying == 1


def replies(channel: MemoryChannel) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in channel.published]


async def test_replies_by_name(shop: Shop) -> None:
    done, refused, early = (str(uuid.uuid4()) for _ in range(3))
    key = "{}/step/{}".format
    sends: list[tuple[bytes, Mapping[str, str]]] = [
        (command_body("Shop.Sell", {"item": "cup"}, saga_id=done), {"amends-attempt": "2"}),
        (command_body("Shop.Sell", {"item": "cup"}, saga_id=done), {}),
        (undo(done), {}),
        (command_body("Shop.Sell", {"item": "cup", "refuse": "NO"}, saga_id=refused), {}),
        (undo(early), {"id": "sending-7", "traceparent": TRACE}),
        (command_body("Shop.Sell", {"item": "cup"}, saga_id=early), {}),
    ]
    async with serving(shop) as channel:
        for n, (body, attributes) in enumerate(sends, 1):
            await channel.send(body, attributes)
            await channel.has_published(n)
        await channel.settled()
    no = {"code": "NO", "message": "as the data wants it"}

    def reply(name: str, saga: str, direction: str, **more: Any) -> dict[str, Any]:
        about = {"saga_id": saga, "step_name": "step", "idempotency_key": key(saga, direction)}
        return {"type": name, **about, **more}

    sold = {"result": {"sold": "cup"}}
    assert replies(channel) == [
        reply("SagaStepCompleted", done, "action", attempt=2, **sold),
        reply("SagaStepCompleted", done, "action", **sold),
        reply("SagaCompensationCompleted", done, "compensation", undone=True),
        reply("SagaStepFailed", refused, "action", error=no),
        reply("SagaCompensationCompleted", early, "compensation", undone=False),
        reply("SagaStepFailed", early, "action", error=json.loads(ALREADY_UNDONE.error)),
    ]
    attributes = channel.published[4].attributes
    assert attributes["causationid"] == "sending-7" and attributes["traceparent"] == TRACE
    assert attributes["type"] == channel.published[4].name == "SagaCompensationCompleted"
    assert channel.dead == [] and channel.given_back == 0
    assert await in_outbox(shop) == 0


def undo(saga: str) -> bytes:
    return command_body("Shop.TakeBack", {}, saga_id=saga, direction="compensation")


async def test_what_is_no_command_goes_to_the_dead_letters(small_shop: Shop, saga: str) -> None:
    async with serving(small_shop) as channel:
        await channel.send(b"{")
        await channel.send(b" " * (1024 * 1024 + 1))
        await channel.send(command_body("Store.Sell", {}, saga_id=saga))
        await channel.send(command_body("Shop.Sell", {"item": "cup"}, saga_id=saga))
        await channel.settled()
        await channel.send(command_body("Shop.Sell", {"item": "pot"}, saga_id=saga))
        await channel.settled()
    reasons = [reason.partition(":")[0] for _, reason in channel.dead]
    assert sorted(reasons) == ["FOREIGN_COMMAND", "KEY_REUSED", "NOT_JSON", "TOO_LARGE"]
    assert small_shop.ran == ["sell"]


async def test_what_is_not_signed_goes_to_the_dead_letters(small_shop: Shop, saga: str) -> None:
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    now = int(time.time())
    signed = {
        "webhook-id": "1",
        "webhook-timestamp": str(now),
        "webhook-signature": Secret("ours").sign("1", now, body),
    }
    async with serving(small_shop, secrets=["ours"]) as channel:
        await channel.send(body)
        await channel.settled()
        assert small_shop.ran == []
        await channel.send(body, signed)
        await channel.has_published(1)
    assert [reason.partition(":")[0] for _, reason in channel.dead] == ["NOT_SIGNED"]


async def test_a_transient_reply_goes_out_at_once_and_names_its_attempt(
    small_shop: Shop, saga: str
) -> None:
    body = command_body("Shop.Sell", {"item": "cup", "fail": "jammed"}, saga_id=saga)
    async with serving(small_shop) as channel:
        await channel.send(body, {"amends-attempt": "3"})
        await channel.settled()
        (reply,) = replies(channel)
    assert reply["type"] == "SagaStepFailed"
    assert (reply["retryable"], reply["attempt"]) == (True, 3)
    assert reply["error"] == {"code": "HANDLER_FAILED", "message": "RuntimeError"}
    assert await in_outbox(small_shop) == 0


async def test_a_broker_that_is_down_gets_it_later(small_shop: Shop, saga: str) -> None:
    """What was done is in the outbox; what was not done is given back."""
    async with serving(small_shop) as channel:
        channel.is_down = True
        await channel.send(command_body("Shop.Sell", {"item": "cup"}, saga_id=saga))
        await channel.settled()
        assert channel.published == []
        failing = command_body(
            "Shop.Sell", {"item": "cup", "fail": "jammed"}, saga_id=str(uuid.uuid4())
        )
        await channel.send(failing)
        await channel.was_given_back(3)
        channel.is_down = False
        await channel.settled()
        await channel.has_published(2)
    assert {reply["type"] for reply in replies(channel)} == {"SagaStepCompleted", "SagaStepFailed"}


async def test_a_broker_that_goes_away_does_not_end_the_service(
    small_shop: Shop, saga: str
) -> None:
    class Away(MemoryChannel):
        times_away = 2

        async def receive(self) -> Delivery:
            if self.times_away > 0:
                self.times_away -= 1
                raise ConnectionError("the broker is away")
            return await super().receive()

    channel = Away()
    await channel.send(command_body("Shop.Sell", {"item": "kettle"}, saga_id=saga))
    task = asyncio.create_task(small_shop.participant.serve(channel))
    await asyncio.wait_for(channel.has_published(1), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await small_shop.standing() == 1


async def test_a_lost_commit_gets_no_reply_and_is_given_back(shop: Shop, saga: str) -> None:
    async with serving(shop) as channel:
        with losing_commits(shop.participant, hold=True, times=1):
            await channel.send(command_body("Shop.Sell", {"item": "cup"}, saga_id=saga))
            await channel.settled()
        # Once of the transaction that did hold, and once of the message that came again.
        await channel.has_published(2)
    assert channel.given_back == 1
    assert [reply["result"] for reply in replies(channel)] == [{"sold": "cup"}] * 2
    assert shop.ran == ["sell"]


async def test_a_signature_may_be_as_old_as_its_message(small_shop: Shop, saga: str) -> None:
    """Which may lie in its queue for days."""
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    signed = {
        "webhook-id": "1",
        "webhook-timestamp": "1",
        "webhook-signature": Secret("ours").sign("1", 1, body),
    }
    async with serving(small_shop, secrets=["ours"]) as channel:
        await channel.send(body, signed)
        await channel.settled()
        await channel.send(body, {**signed, "webhook-timestamp": "2"})
        await channel.settled()
    assert [reason.partition(":")[0] for _, reason in channel.dead] == ["NOT_SIGNED"]
    assert small_shop.ran == ["sell"]


async def test_what_goes_out_is_signed_where_what_comes_in_is(small_shop: Shop, saga: str) -> None:
    """By each of the secrets: an engine that has one takes no other reply. What is said at once
    too."""
    failing = command_body("Shop.Sell", {"item": "cup", "fail": "x"}, saga_id=str(uuid.uuid4()))
    ours, former = Secret("ours"), Secret("former")
    async with serving(small_shop, secrets=["ours", "former"]) as channel:
        for body in (command_body("Shop.Sell", {"item": "cup"}, saga_id=saga), failing):
            signature = ours.sign("1", 1, body)
            stamp = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": signature}
            await channel.send(body, stamp)
        for reply in await channel.has_published(2):
            for secret in (ours, former):
                verify([secret], reply.attributes, reply.body, time.time())
            assert reply.attributes["id"] == reply.id


async def test_a_stored_result_is_said_byte_for_byte(small_shop: Shop, saga: str) -> None:
    """As another kit has written it."""
    result = '{"sold":1.50,"n":' + "9" * 5000 + "}"
    await sell(small_shop, saga)
    await small_shop.stage.run(f"UPDATE amends_guard SET reply = '{result}'")
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga, round=2)
    async with serving(small_shop) as channel:
        await channel.send(body)
        (reply,) = await channel.has_published(1)
    assert reply.body.endswith(b',"result":' + result.encode() + b"}")


@pytest.mark.parametrize("name", ["id", "type", "source", "correlationid", "Subject", "a b", ""])
async def test_an_event_says_itself_what_it_is(small_shop: Shop, saga: str, name: str) -> None:
    @small_shop.participant.action("Tell")
    async def tell_it(command: dict[str, Any], outbox: Outbox) -> None:
        with pytest.raises(ValueError, match="attribute"):
            await outbox.publish("StockLow", {}, attributes={name: "other"})

    await small_shop.participant.carry_out(command_body("Shop.Tell", {}, saga_id=saga))
    assert await small_shop.guard(saga) == {"action": ("completed", 1)}


async def test_what_is_unknown_for_good_goes_to_the_dead_letters(small_shop: Shop) -> None:
    """Nothing that a broker does again tells what a handler has committed behind the guard."""
    shop = small_shop

    @shop.participant.action("CommitAndFail")
    async def commit_and_fail(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, "COMMIT")
        raise RuntimeError

    @shop.participant.action("RollBack")
    async def roll_back(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, "ROLLBACK")

    left_behind = command_body("Shop.CommitAndFail", {}, saga_id=str(uuid.uuid4()))
    rolled_back = command_body("Shop.RollBack", {}, saga_id=str(uuid.uuid4()))
    async with serving(shop) as channel:
        for body in (left_behind, left_behind, rolled_back):
            await channel.send(body)
            await channel.settled()
    assert [(delivery.body, reason) for delivery, reason in channel.dead] == [
        (body, f"OUTCOME_UNKNOWN: {ENDED.message}")
        for body in (left_behind, left_behind, rolled_back)
    ]
    assert channel.given_back == 0 and channel.published == []


async def test_a_message_that_comes_again_and_again_waits_longer_each_time(
    small_shop: Shop, saga: str
) -> None:
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    async with serving(small_shop) as channel:
        waited = channel.pauses_s
        with losing_commits(small_shop.participant, hold=False, times=8):
            await channel.send(body)
            await channel.settled()
        assert waited == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
        with losing_commits(small_shop.participant, hold=False, times=1):
            await channel.send(undo(saga))
            await channel.settled()
        assert waited[8:] == [0.2]


async def test_a_stop_gives_back_what_is_not_settled(small_shop: Shop, saga: str) -> None:
    begun = asyncio.Event()

    class Down(MemoryChannel):
        async def publish(self, outgoing: Outgoing) -> None:
            begun.set()
            raise ConnectionError

    channel = Down()
    task = asyncio.create_task(small_shop.participant.serve(channel))
    await channel.send(command_body("Shop.Sell", {"item": "cup", "fail": "x"}, saga_id=saga))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert channel.given_back == 1


async def test_a_message_that_is_not_acknowledged_is_answered_again(
    small_shop: Shop, saga: str
) -> None:
    class Forgetful(MemoryChannel):
        """Its connection breaks at the first two acknowledgements, and it delivers again."""

        forgets = 2

        async def ack(self, delivery: Delivery) -> None:
            if self.forgets and not self.given_back:
                self.forgets -= 1
                await super().give_back(delivery)
                self.given_back = 0
                raise ConnectionError
            await super().ack(delivery)

    channel = Forgetful()
    task = asyncio.create_task(small_shop.participant.serve(channel))
    await channel.send(command_body("Shop.Sell", {"item": "cup"}, saga_id=saga))
    await channel.has_published(3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert small_shop.ran == ["sell"]


async def test_a_stop_answers_what_is_at_work(small_shop: Shop, saga: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @small_shop.participant.action("Wait")
    async def wait(data: dict[str, Any]) -> str:
        begun.set()
        await go_on.wait()
        return "waited"

    channel = MemoryChannel()
    task = asyncio.create_task(small_shop.participant.serve(channel))
    await channel.send(command_body("Shop.Wait", {}, saga_id=saga))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(task, return_exceptions=True)
    await channel.settled()
    assert await small_shop.guard(saga) == {"action": ("completed", 1)}


async def test_the_inbox_takes_a_message_once(shop: Shop, saga: str) -> None:
    source = f"/services/{saga}"

    async def work(db: Any) -> None:
        await shop.stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('{saga}')")

    async def broken(db: Any) -> None:
        await work(db)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await shop.participant.once(source, "1", broken)
    assert await shop.standing() == 0
    both = await asyncio.gather(*(shop.participant.once(source, "1", work) for _ in range(2)))
    assert sorted(both) == [False, True]
    assert not await shop.participant.once(source, "1", broken)
    assert await shop.participant.once(source, "2", work)
    assert await shop.participant.once(source + "/other", "1", work)
    assert await shop.standing() == 3
    for bad in ("", "x" * 201, "\0", "1 ", "\t1"):
        with pytest.raises(ValueError):
            await shop.participant.once(source, bad, work)


async def test_the_inbox_is_pruned_by_the_same_age(stage: Stage, saga: str) -> None:
    shop = await open_shop(stage)

    async def nothing(db: Any) -> None: ...

    await shop.participant.once(saga, "old", nothing)
    aged = AGED[stage.database.dialect.name].format(26 * 3600)
    await stage.run(f"UPDATE amends_inbox SET written_at = {aged} WHERE source = '{saga}'")
    await shop.participant.once(saga, "young", nothing)
    await shop.participant.prune(Retention(timedelta(hours=1)))
    assert await shop.participant.once(saga, "old", nothing)
    assert not await shop.participant.once(saga, "young", nothing)


async def test_the_inbox_is_pruned_some_at_a_time(
    small_shop: Shop, saga: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody waits long for the lock of all."""
    monkeypatch.setattr(retention, "MESSAGES_MAX", 2)
    told = SqliteTransaction.statement
    gone: list[int] = []

    async def counted(transaction: SqliteTransaction, sql: str, parameters: Any) -> Any:
        returned = await told(transaction, sql, parameters)
        if sql.startswith("DELETE FROM amends_inbox"):
            gone.append(returned.changed)
        return returned

    async def nothing(db: Any) -> None: ...

    for n in range(5):
        await small_shop.participant.once(saga, str(n), nothing)
    aged = AGED["sqlite"].format(26 * 3600)
    await small_shop.stage.run(f"UPDATE amends_inbox SET written_at = {aged}")
    monkeypatch.setattr(SqliteTransaction, "statement", counted)
    await small_shop.participant.prune(Retention(timedelta(hours=1)))
    assert gone == [2, 2, 1, 0]


async def test_serving_prunes_where_it_is_told_by_what(small_shop: Shop, saga: str) -> None:
    await sell(small_shop, saga)
    written_at = AGED[small_shop.stage.database.dialect.name].format(26 * 3600)
    await small_shop.stage.run(f"UPDATE amends_guard SET written_at = {written_at}")
    async with serving(small_shop) as channel:
        await channel.send(
            command_body("Shop.Sell", {"item": "cup"}, saga_id=str(uuid.uuid4())), {}
        )
        await channel.settled()
    assert await small_shop.guard(saga) == {"action": ("completed", 1)}
    async with serving(small_shop, prune_by=Retention(timedelta(hours=1))):
        while await small_shop.guard(saga):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the table tells it in no other way
