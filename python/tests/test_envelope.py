"""The envelope of a message, what a channel holds, and the marks of a topic, without any broker."""

from __future__ import annotations

import asyncio
import importlib
import sys

import pytest

from amends_participant import Delivery, Outgoing
from amends_participant.channels import ChannelError
from amends_participant.channels.envelope import (
    header_name,
    header_text,
    header_value,
    opened,
    structured,
)
from amends_participant.channels.errors import shown
from amends_participant.channels.hold import UNSETTLED_MAX, Hold
from amends_participant.channels.kafka.marks import Marks
from amends_participant.channels.kafka.waiting import Line, Waiting
from amends_participant.channels.kafka.weak import weaknesses
from amends_participant.channels.nats.subjects import lacking, takes
from amends_participant.channels.rabbitmq.settings import difference, of_exchange, of_queue
from amends_participant.channels.sqs.characters import restored, sendable
from amends_participant.channels.sqs.letter import outgoing
from amends_participant.channels.sqs.place import Place, Server
from amends_participant.channels.sqs.queue import weaknesses as of_sqs

ATTRIBUTES = {
    "specversion": "1.0",
    "id": "s/write/action:1",
    "type": "Desk.Write",
    "traceparent": "00-1-2-01",
    "datacontenttype": "application/json",
}


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "Ce-"])
def test_an_envelope_opens_to_the_same_in_either_mode(prefix: str) -> None:
    body = '{"n": 1.50, "big": 12345678901234567890e400, "é": "\\u00e9"}'.encode()
    binary = [(header_name(prefix, name), value) for name, value in ATTRIBUTES.items()]
    own = ("Amends-Attempt", "2")
    in_headers = opened([*binary, own], body)
    in_structure = opened([own], structured(ATTRIBUTES, body))
    assert in_headers.body == in_structure.body == body
    expected = {n: v for n, v in ATTRIBUTES.items() if n != "datacontenttype"}
    expected["amends-attempt"] = "2"
    for delivery in (in_headers, in_structure):
        assert {n: delivery.attributes[n] for n in expected} == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"\xff",
        b"[]",
        b'{"type":"SagaStepCompleted"}',
        b'{"specversion":"0.3","data":{}}',
        b'{"specversion":"1.0"}',
        b'{"specversion":"1.0","data":1,"data":2}',
        b'{"specversion":"1.0","specversion":"1.1","data":NaN}',
        b'{"specversion":"1.0","data_base64":"e30="}',
        b'{"specversion":"1.0","data":{}} {}',
        b'{"specversion":"1.0","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_envelope_is_left_as_it_is(body: bytes) -> None:
    delivery = opened([("X-Own", "1")], body)
    assert (delivery.body, delivery.attributes) == (body, {"x-own": "1"})


def test_what_stands_twice_says_nothing() -> None:
    assert opened([("ce-id", "1"), ("ce_id", "2"), ("a-b", "3")], b"{}").attributes == {"a-b": "3"}


def test_header_values_are_plain_ascii_and_read_back() -> None:
    assert header_value("a/b:c") == "a/b:c"
    assert header_value('5% "é"\n') == "5%25%20%22%C3%A9%22%0A"
    assert header_text(header_value('5% "é"\n~')) == '5% "é"\n~'
    for value in ("50%", "%", "%4", "%zz", "%FF", "a%2", "plain"):
        assert header_text(value) == value


def test_an_address_is_shown_without_its_password() -> None:
    for address, plain in (
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("amqp://me:s3cr3t@h:1/v, amqps://me:s3cr3t@i", "amqp://h:1/v,amqps://i"),
        ("me:s3@cr3t@h:1", "h:1"),
        ("h:1,i:2", "h:1,i:2"),
    ):
        assert shown(address) == plain


async def test_no_more_is_held_than_may_be_and_what_was_lost_is_passed_over() -> None:
    freed: list[int] = []
    hold: Hold[int] = Hold(freed=lambda: freed.append(1))
    deliveries = [Delivery(b"") for _ in range(UNSETTLED_MAX)]
    for n, delivery in enumerate(deliveries):
        assert hold.bring(delivery, n)
    assert not hold.bring(Delivery(b""), 0)
    waiting = asyncio.create_task(hold.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert hold.lose(lambda n: n == 0) == [0]
    assert await waiting == 1
    assert await hold.next() is deliveries[1]
    aside = hold.set_aside(deliveries[1])
    assert aside is not None and hold.settle(deliveries[1]) is None
    assert await hold.next() is deliveries[2]
    hold.tell(aside[0])
    assert len(freed) == 1 and hold.settle(aside[0]) == 1 and len(freed) == 2
    hold.trouble("it is away")
    hold.trouble("it is away")
    assert len(hold.end()) == UNSETTLED_MAX - 2
    with pytest.raises(ChannelError, match="it is away"):
        await hold.next()
    assert not hold.bring(Delivery(b""), 0)


def test_the_mark_stays_before_what_is_open() -> None:
    marks = Marks()
    marks.assigned([0])
    assignment = marks.came(0, 5)
    assert assignment is not None
    marks.came(0, 6)
    marks.came(0, 9)  # a broker may leave numbers out
    assert marks.settled(0, assignment, 6) == 5
    assert marks.settled(0, assignment, 9) is None
    assert marks.settled(0, assignment, 5) == 10
    assert marks.settled(0, assignment, 5) is None
    marks.revoked([0])
    assert marks.came(0, 10) is None
    marks.assigned([0])
    again = marks.came(0, 5)
    assert again is not None and marks.settled(0, assignment, 5) is None
    assert marks.settled(0, again, 5) == 6


def test_nothing_overtakes_what_is_before_it_of_its_saga() -> None:
    waiting: Waiting[str] = Waiting()
    a, b = Line(0, b"a"), Line(1, b"b")
    waiting.put(a, 5, 0.0, "a5")
    waiting.put(a, 4, 1.0, "a4")
    waiting.put(b, 6, 0.0, "b6")
    assert a in waiting and Line(0, b"c") not in waiting
    assert waiting.next_due == 0.0
    assert waiting.take_due(0.0) == ["b6"]
    assert waiting.next_due == 1.0
    waiting.put(b, 7, 0.0, "b7")
    waiting.forget({1})
    assert waiting.take_due(1.0) == ["a4", "a5"]
    assert waiting.next_due is None


def test_what_differs_at_rabbitmq_is_read_from_its_words() -> None:
    said = "PRECONDITION_FAILED - inequivalent arg '{}' for queue 'q' in vhost '/': received {}"
    for arg, words, expected in (
        (
            "x-queue-type",
            "the value 'quorum' of type 'longstr' but current is none",
            ("x-queue-type", None, ""),
        ),
        (
            "x-max-length",
            "none but current is the value '10' of type 'signedint'",
            ("x-max-length", "10", "signedint"),
        ),
        ("durable", "'true' but current is 'false'", ("durable", "false", "")),
    ):
        assert difference(said.format(arg, words)) == expected
    assert difference("queue 'q' in vhost '/' in use") is None


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("x-queue-type", None, "x-queue-type quorum"),
        ("durable", "false", "make it durable"),
        ("auto_delete", "true", "auto_delete off"),
        ("x-message-ttl", "60000", "x-message-ttl"),
        ("x-expires", "60000", "x-expires"),
        ("x-quorum-initial-group-size", "1", "3 or more"),
        ("x-delivery-limit", "5", "after 5 deliveries"),
        ("x-delivery-limit", None, "20 deliveries"),
        ("x-delivery-limit", "100000", None),
        ("x-overflow", None, None),
        ("x-max-length", "10", None),
    ],
)
def test_what_is_weak_at_rabbitmq_is_named_with_what_to_set(
    setting: str, value: str | None, named: str | None
) -> None:
    weak = of_queue({setting: value}, brings=True)
    assert (weak == []) if named is None else (len(weak) == 1 and named in weak[0])


def test_what_drops_or_leads_astray_at_rabbitmq_is_weak() -> None:
    full = {"x-max-length": "10"}
    assert len(of_queue({**full, "x-overflow": "drop-head"}, brings=True)) == 1
    assert len(of_queue(full, brings=False)) == 1
    assert of_exchange({"type": "topic"}) == []
    assert len(of_exchange({"type": "fanout", "durable": "false"})) == 2


@pytest.mark.parametrize(
    ("copies", "settings", "named"),
    [
        (1, {}, "flush.messages"),
        (1, {"flush.messages": "1"}, None),
        (3, {"min.insync.replicas": "1"}, "min.insync.replicas"),
        (3, {"min.insync.replicas": "2"}, None),
        (1, {"flush.messages": "1", "cleanup.policy": "compact,delete"}, "cleanup.policy"),
        (1, {"flush.messages": "1", "retention.ms": "3600000"}, "after 1 h"),
        (1, {"flush.messages": "1", "retention.ms": "-1"}, None),
        (1, {"flush.messages": "1", "retention.bytes": "10"}, "retention.bytes"),
        (1, {"flush.messages": "1", "unclean.leader.election.enable": "true"}, "unclean"),
    ],
)
def test_what_is_weak_at_kafka_is_named(
    copies: int, settings: dict[str, str | None], named: str | None
) -> None:
    weak = weaknesses(604_800_000, copies, settings)
    assert (weak == []) if named is None else (len(weak) == 1 and named in weak[0])


def test_a_subject_that_a_stream_of_nats_lacks_is_named() -> None:
    for held in ("a.b", "a.*", "*.b", "a.>", ">"):
        assert takes(held, "a.b"), held
    for held in ("a", "a.b.c", "a.c", "a.b.>", "*", "b.>"):
        assert not takes(held, "a.b"), held
    assert takes("a.>", "a.>") and takes("a.>", "a.b.>") and not takes("a.*", "a.>")
    assert lacking(["a.commands", "b.>"], ["a.commands", "a.replies", "b.c"]) == ["a.replies"]


def test_what_is_weak_at_sqs_is_named() -> None:
    weak = of_sqs(
        {
            "MessageRetentionPeriod": "345600",
            "RedrivePolicy": '{"deadLetterTargetArn": "arn:aws:sqs:r:1:d", "maxReceiveCount":"5"}',
            "MaximumMessageSize": "262144",
        }
    )
    for why, part in zip(
        weak, ("after 96 h", "after 5 deliveries", "of 262144 bytes"), strict=True
    ):
        assert part in why
    assert of_sqs({"MessageRetentionPeriod": "1209600"}) == of_sqs({}) == []


def test_what_sqs_does_not_take_is_escaped_and_comes_back_as_it_was() -> None:
    for text in (
        '{"a":"\uffff\ufffeé\\u0000"}',
        '"\\\\\uffff\\\\"',
        '{"plain": [1, "\\uffff", "\\uFFFE"]}',
        '"\\\\uFfFf is six letters after a backslash, \ufffe is one"',
    ):
        sent = sendable(text.encode())
        assert "\uffff" not in sent and "\ufffe" not in sent
        assert restored(sent) == text
    for body, why in ((b"", "empty"), (b'"\0"', "control"), (b"\xff", "UTF-8")):
        with pytest.raises(ChannelError, match=why):
            sendable(body)


def test_sqs_is_sent_what_it_takes() -> None:
    beside = {f"h-{n}": "v" for n in range(9)}
    message = Outgoing("é" * 200, "s", "reply", "R", {**ATTRIBUTES, **beside}, b"{}")
    letter = outgoing(message)
    assert letter.group == "s" and len(letter.id) == 65 and letter.id.isascii()
    assert letter.headers["traceparent"]["StringValue"] == "00-1-2-01"
    with pytest.raises(ChannelError, match="10 headers"):
        outgoing(Outgoing("i", "s", "reply", "R", {**message.attributes, "h-9": "v"}, b"{}"))


def test_names_and_addresses_of_sqs() -> None:
    assert Place("desk.fifo", "r").dead_letters == "desk-dead-letters.fifo"
    assert Place("https://h/1/desk", "r").dead_letters == "https://h/1/desk-dead-letters"
    for name in ("", ".fifo", "desk.commands", "x" * 80):
        with pytest.raises(ValueError, match="letters, digits"):
            Place(name, "r")
    assert Server("eu-central-1").address is None
    assert Server("http://127.0.0.1:9324").address == "http://127.0.0.1:9324"


@pytest.mark.parametrize(
    ("room", "client", "module"),
    [
        ("nats", "nats-py", "nats"),
        ("rabbitmq", "aiormq", "aiormq"),
        ("kafka", "confluent-kafka", "confluent_kafka"),
        ("sqs", "aiobotocore", "aiobotocore"),
    ],
)
def test_a_client_that_is_missing_is_named_with_how_to_get_it(
    room: str, client: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"amends_participant.channels.{room}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError) as told:
        importlib.import_module(name)
    assert client in str(told.value) and f"amends-participant[{room}]" in str(told.value)
