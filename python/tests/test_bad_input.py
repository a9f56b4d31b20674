"""What is no command, or no command of this service: each gets its class of answer and one line in
the log, and nothing is done."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from amends_participant import Participant
from amends_participant.testing import command_body
from conftest import Shop

SAGA = "018f0000-0000-7000-8000-000000000001"


def client(participant: Participant, **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(participant.asgi(**options))
    return httpx.AsyncClient(transport=transport, base_url="http://shop")


def body(**change: Any) -> dict[str, Any]:
    whole = json.loads(command_body("Shop.Sell", {"item": "kettle"}, saga_id=SAGA))
    return {key: value for key, value in {**whole, **change}.items() if value is not ...}


def undo(**change: Any) -> dict[str, Any]:
    whole = json.loads(
        command_body("Shop.TakeBack", {"item": "kettle"}, saga_id=SAGA, direction="compensation")
    )
    return {key: value for key, value in {**whole, **change}.items() if value is not ...}


# What the corpus of both kits (test_corpus.py) does not have.
BREACHES: dict[str, tuple[bytes | dict[str, Any], str, str]] = {
    "UTF-16": ("{}".encode("utf-16"), "NOT_JSON", "not UTF-8"),
    "an endless number": (b"9" * 100_000, "NOT_JSON", "no object"),
    "far too deep": (b"[" * 200_000, "NOT_JSON", "nested over 128 deep"),
    "too deep, and then not": (b'{"a":' + b"[" * 128 + b"]" * 128 + b"}", "NOT_JSON", "nested"),
    "half a character": (body(step_name="\ud800"), "BAD_FIELD", "step_name"),
    "a command of a line's end": (
        body(command="Sh\nop.Sell"),
        "FOREIGN_COMMAND",
        'the command is of "Sh\\nop", and this is Shop',
    ),
    "an action that is none here": (
        undo(command="Shop.Sell"),
        "WRONG_DIRECTION",
        "Sell is no compensation of Shop",
    ),
}


@pytest.mark.parametrize("what", BREACHES)
async def test_a_breach_of_the_contract(
    what: str, small_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    sent, code, word = BREACHES[what]
    content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    caplog.set_level(logging.INFO)
    async with client(small_shop.participant) as http:
        answer = await http.post("/Sell", content=content)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == code and word in error["message"]
    lines = [r for r in caplog.records if r.name == "amends_participant"]
    assert [(r.levelname, r.getMessage()) for r in lines] == [
        ("WARNING", f"contract breach {code}: {error['message']}")
    ]
    assert small_shop.ran == []
    assert await small_shop.stage.rows("SELECT * FROM amends_guard") == []


@pytest.mark.parametrize(
    "data",
    [[[]] * 500, "[" * 500, '"' + "[" * 500, "\\" + "{" * 500, json.loads("[" * 126 + "]" * 126)],
    ids=["many beside each other", "a text", "a text with a quote", "a backslash", "just so deep"],
)
async def test_what_is_not_nested_too_deep(small_shop: Shop, data: object) -> None:
    async with client(small_shop.participant) as http:
        answer = await http.post("/Sell", json=body(data={"item": "kettle", "more": data}))
    assert answer.status_code == 200


LONG = b"9" * 5000


def with_long(whole: dict[str, Any]) -> bytes:
    """With a number that has more digits than Python reads."""
    return json.dumps(whole).encode().replace(b'"LONG"', LONG)


async def test_a_long_number_that_nobody_reads_does_not_matter(small_shop: Shop) -> None:
    async with client(small_shop.participant) as http:
        data = {"item": "kettle", "more": ["LONG"]}
        answer = await http.post("/Sell", content=with_long(body(data=data, other="LONG")))
        assert (answer.status_code, answer.text) == (200, '{"sold":"kettle"}')
        answer = await http.post("/TakeBack", content=with_long(undo(original_result="LONG")))
        assert (answer.status_code, answer.text) == (200, '{"undone":true}')


@dataclass
class Many:
    many: int


async def test_a_long_number_that_is_read_is_bad_data(small_shop: Shop) -> None:
    @small_shop.participant.action("SellMany")
    async def sell_many(data: Many) -> int:
        return data.many

    async with client(small_shop.participant) as http:
        whole = body(command="Shop.SellMany", data={"many": "LONG"})
        answer = await http.post("/SellMany", content=with_long(whole))
        assert answer.status_code == 422
        message = "many is not a whole number but a number"
        assert answer.json() == {"error": {"code": "BAD_DATA", "message": message}}
        # Nothing else is known of what is to be undone.
        whole = undo(step_name="lost", outcome="completed", original_result={"n": "LONG"})
        whole["idempotency_key"] = f"{SAGA}/lost/compensation"
        answer = await http.post("/TakeBack", content=with_long(whole))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_DATA")


@pytest.mark.parametrize(
    "change", [{"outcome": ...}, {"outcome": "perhaps"}, {"direction": "action"}], ids=str
)
async def test_a_compensation_that_breaks_the_contract(
    change: dict[str, Any], small_shop: Shop
) -> None:
    async with client(small_shop.participant) as http:
        answer = await http.post("/TakeBack", json=undo(**change))
    assert answer.status_code == 400
    assert await small_shop.stage.rows("SELECT * FROM amends_guard") == []


async def test_a_path_that_is_no_command_is_answered_as_plain_text(small_shop: Shop) -> None:
    async with client(small_shop.participant) as http:
        for path in ("/", "/Nothing", "/Sell/More", "/sell"):
            answer = await http.post(path, json=undo())
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/plain")
        answer = await http.get("/Sell")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_body_that_is_too_large(small_shop: Shop) -> None:
    async def pieces() -> Any:
        for _ in range(17):
            yield b" " * 65_536

    async with client(small_shop.participant) as http:
        whole = await http.post("/Sell", content=b" " * (1024 * 1024 + 1))
        in_pieces = await http.post("/Sell", content=pieces())
        fits = await http.post("/Sell", content=json.dumps(body()).encode().ljust(1024 * 1024))
    assert [whole.status_code, in_pieces.status_code, fits.status_code] == [413, 413, 200]


@dataclass
class Item:
    item: str
    quantity: int = 1


async def test_data_that_the_handlers_type_cannot_hold(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an action refused, and stored; of an undo a breach, and nothing is changed."""
    shop, caught = small_shop, []

    @shop.participant.action("Buy")
    async def buy(data: Item) -> dict[str, int]:
        caught.append(data)
        return {"bought": data.quantity}

    @shop.participant.compensation("GiveBack")
    async def give_back(data: Item, result: dict[str, int]) -> None:
        caught.append(data)

    caplog.set_level(logging.INFO, "amends_participant")
    bad = {"item": "kettle", "quantity": "my secret"}
    bad_action = command_body("Shop.Buy", bad, saga_id=saga)
    async with client(shop.participant) as http:
        for _ in range(2):
            answer = await http.post("/Buy", content=bad_action)
            assert answer.status_code == 422
            assert answer.json() == {
                "error": {
                    "code": "BAD_DATA",
                    "message": "quantity is not a whole number but a text",
                }
            }
        assert await shop.guard(saga) == {"action": ("refused", 1)}
        good = command_body("Shop.Buy", {"item": "kettle"}, saga_id=saga, round=2)
        assert (await http.post("/Buy", content=good)).json() == {"bought": 1}
        answer = await http.post(
            "/GiveBack",
            content=command_body("Shop.GiveBack", bad, saga_id=saga, direction="compensation"),
        )
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "BAD_DATA"
    assert await shop.guard(saga) == {"action": ("completed", 2)}
    assert caught == [Item("kettle")]
    assert "my secret" not in caplog.text
    assert [record.getMessage() for record in caplog.records] == [
        "refused BAD_DATA",
        "refused BAD_DATA (as answered before)",
        "completed",
        "contract breach BAD_DATA: quantity is not a whole number but a text",
    ]


async def test_a_result_that_is_no_json_is_an_error_of_the_handler(
    small_shop: Shop, saga: str
) -> None:
    results: list[Any] = [object(), float("nan"), {1: 2}, {"set"}]

    @small_shop.participant.action("Odd")
    async def odd(data: dict[str, Any]) -> Any:
        return results.pop()

    async with client(small_shop.participant) as http:
        while results:
            answer = await http.post("/Odd", content=command_body("Shop.Odd", {}, saga_id=saga))
            assert answer.status_code == 503
            assert answer.json()["retryable"] is True
    assert await small_shop.guard(saga) == {}


async def test_what_an_error_says_to_the_outside_is_its_class(
    small_shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"item": "kettle", "fail": "db.internal is not reachable"}
    async with client(small_shop.participant) as http:
        answer = await http.post("/Sell", content=command_body("Shop.Sell", data, saga_id=saga))
    assert answer.status_code == 503
    assert answer.json() == {
        "error": {"code": "HANDLER_FAILED", "message": "RuntimeError"},
        "retryable": True,
    }
    (record,) = caplog.records
    assert record.exc_info is not None and "db.internal" in str(record.exc_info[1])


async def test_too_many_at_work_are_told_to_come_again(small_shop: Shop, saga: str) -> None:
    shop = small_shop
    participant = Participant("Shop", shop.stage.database, at_work_max=1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @participant.action("Wait")
    async def wait(data: dict[str, Any]) -> None:
        begun.set()
        await go_on.wait()

    async with client(participant) as http:
        first = asyncio.create_task(
            http.post("/Wait", content=command_body("Shop.Wait", {}, saga_id=saga))
        )
        await begun.wait()
        second = await http.post("/Wait", content=command_body("Shop.Wait", {}, saga_id=saga))
        assert (second.status_code, second.headers["retry-after"]) == (503, "1")
        assert second.json()["error"]["code"] == "BUSY"
        go_on.set()
        assert (await first).status_code == 200


async def test_the_answers_over_http(small_shop: Shop, saga: str) -> None:
    async with client(small_shop.participant) as http:
        sold = await http.post(
            "/Sell", content=command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
        )
        assert (sold.status_code, sold.content) == (200, b'{"sold":"cup"}')
        assert sold.headers["content-type"] == "application/json"
        for _ in range(2):
            undone = await http.post(
                "/TakeBack",
                content=command_body("Shop.TakeBack", {}, saga_id=saga, direction="compensation"),
            )
            assert (undone.status_code, undone.json()) == (200, {"undone": True})
        no = await http.post(
            "/Sell",
            content=command_body(
                "Shop.Sell", {"item": "cup", "refuse": "NO"}, saga_id=saga, step="other"
            ),
        )
        assert no.status_code == 422
        assert no.json() == {"error": {"code": "NO", "message": "as the data wants it"}}
        reused = await http.post(
            "/Sell", content=command_body("Shop.Sell", {"item": "pot"}, saga_id=saga)
        )
        assert (reused.status_code, reused.json()["error"]["code"]) == (400, "KEY_REUSED")
