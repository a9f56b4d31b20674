"""The guard on every database: what is answered, what is stored, what has run, and by how many
statements."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from amends_participant import (
    Answer,
    Breach,
    Completed,
    Participant,
    Refused,
    RefusedWith,
    Transient,
    UndoAnswered,
    Unknown,
)
from amends_participant.testing import command_body
from conftest import MARIADB, POSTGRES, Shop, Stage, make, open_shop

SOLD = Completed('{"sold":"kettle"}')
UNDONE, NOTHING = UndoAnswered(undone=True), UndoAnswered(undone=False)
ENDED = Unknown(
    "whether it was done is not known, and no command tells: the handler has ended its transaction."
    " See the service's log",
    lasts=True,
)
ALREADY_UNDONE = RefusedWith.of("ALREADY_UNDONE", "this step was undone before it ran")


async def sell(shop: Shop, saga: str, round: int = 1, **data: Any) -> Answer:
    data = {"item": "kettle", **data}
    return await shop.participant.carry_out(
        command_body("Shop.Sell", data, saga_id=saga, round=round)
    )


async def take_back(shop: Shop, saga: str, round: int = 1, **more: Any) -> Answer:
    data = {"item": "kettle", **more.pop("data", {})}
    return await shop.participant.carry_out(
        command_body(
            "Shop.TakeBack", data, saga_id=saga, round=round, direction="compensation", **more
        )
    )


async def test_an_action_is_done_once_and_its_result_said_again(shop: Shop, saga: str) -> None:
    assert await sell(shop, saga) == SOLD
    assert await sell(shop, saga) == SOLD
    assert await sell(shop, saga, round=2) == SOLD
    assert await sell(shop, saga, round=2, item="cup") == SOLD
    assert shop.ran == ["sell"]
    assert await shop.standing() == 1
    assert await shop.guard(saga) == {"action": ("completed", 1)}


async def test_what_is_stored_is_what_the_page_says(shop: Shop, saga: str) -> None:
    await sell(shop, saga)
    await take_back(shop, saga)
    sql = "SELECT saga_id, step, direction, body_sha256, reply FROM amends_guard"
    rows = await shop.stage.rows(f"{sql} WHERE saga_id = '{saga}' ORDER BY direction")
    body = command_body("Shop.Sell", {"item": "kettle"}, saga_id=saga)
    undo = command_body("Shop.TakeBack", {"item": "kettle"}, saga_id=saga, direction="compensation")
    assert rows == [
        (saga, "step", "action", hashlib.sha256(body).digest(), '{"sold":"kettle"}'),
        (saga, "step", "compensation", hashlib.sha256(undo).digest(), "true"),
    ]


async def test_a_refusal_has_no_effect_and_is_asked_anew_by_a_later_round(
    shop: Shop, saga: str
) -> None:
    no = RefusedWith.of("SOLD_OUT", "as the data wants it")
    assert await sell(shop, saga, refuse="SOLD_OUT") == no
    assert await sell(shop, saga, refuse="SOLD_OUT") == no
    assert shop.ran == ["sell"]
    assert await shop.standing() == 0
    assert await shop.guard(saga) == {"action": ("refused", 1)}
    other = RefusedWith.of("STILL_SOLD_OUT", "as the data wants it")
    assert await sell(shop, saga, round=2, refuse="STILL_SOLD_OUT") == other
    assert await shop.guard(saga) == {"action": ("refused", 2)}
    assert await sell(shop, saga, refuse="SOLD_OUT") == other
    assert await sell(shop, saga, round=3) == SOLD
    assert await shop.guard(saga) == {"action": ("completed", 3)}
    assert await shop.standing() == 1


async def test_an_error_rolls_back_and_stores_nothing(shop: Shop, saga: str) -> None:
    assert await sell(shop, saga, fail="the till is jammed") == Transient(
        "HANDLER_FAILED", "RuntimeError"
    )
    assert await shop.standing() == 0
    assert await shop.guard(saga) == {}
    assert await sell(shop, saga) == SOLD
    failed = await take_back(shop, saga, data={"fail": "the drawer is jammed"})
    assert failed == Transient("HANDLER_FAILED", "RuntimeError")
    assert await shop.standing() == 1
    assert await shop.guard(saga) == {"action": ("completed", 1)}
    assert await take_back(shop, saga) == UNDONE
    assert await shop.standing() == 0


async def test_an_undo_is_done_once_with_the_stored_result(shop: Shop, saga: str) -> None:
    await sell(shop, saga, item="cup")
    undo = await take_back(shop, saga, outcome="completed", original_result={"sold": "a lie"})
    assert undo == UNDONE
    for round in (1, 2, 3):
        again = await take_back(
            shop, saga, round, outcome="completed", original_result={"sold": "a lie"}
        )
        assert again == UNDONE
    assert shop.ran == ["sell", "take back cup"]
    assert await shop.guard(saga) == {"action": ("completed", 1), "compensation": ("undone", 1)}
    assert await sell(shop, saga, item="cup") == Completed('{"sold":"cup"}')
    assert await shop.standing() == 0


async def test_an_undo_before_its_action_leaves_a_tombstone(shop: Shop, saga: str) -> None:
    assert await take_back(shop, saga) == NOTHING
    assert await take_back(shop, saga) == NOTHING
    assert await shop.guard(saga) == {"action": ("tombstone", 1), "compensation": ("nothing", 1)}
    assert await sell(shop, saga) == ALREADY_UNDONE
    assert await sell(shop, saga, round=2) == ALREADY_UNDONE
    assert await take_back(shop, saga, round=2) == NOTHING
    assert await shop.guard(saga) == {"action": ("tombstone", 1), "compensation": ("nothing", 2)}
    assert await take_back(shop, saga) == NOTHING
    # What the command says of a result is not believed where there is a tombstone.
    told = await take_back(
        shop, saga, round=3, outcome="completed", original_result={"sold": "cup"}
    )
    assert told == NOTHING
    assert shop.ran == []
    reply = await shop.stage.rows(
        f"SELECT reply FROM amends_guard WHERE saga_id = '{saga}' AND direction = 'action'"
    )
    assert reply == [(None,)]


async def test_a_refused_action_has_nothing_to_undo(shop: Shop, saga: str) -> None:
    await sell(shop, saga, refuse="SOLD_OUT")
    assert await take_back(shop, saga) == NOTHING
    rows = {"action": ("tombstone", 1), "compensation": ("nothing", 1)}
    assert await shop.guard(saga) == rows
    # A late copy is told its refusal, and a later round that was still on its way is told the same.
    no = RefusedWith.of("SOLD_OUT", "as the data wants it")
    assert await sell(shop, saga, refuse="SOLD_OUT") == no
    assert await sell(shop, saga, round=2) == no
    assert await take_back(shop, saga, round=2) == NOTHING
    assert await shop.guard(saga) == {**rows, "compensation": ("nothing", 2)}
    assert shop.ran == ["sell"]
    assert await shop.standing() == 0


async def test_an_undo_whose_record_is_gone_believes_the_command_and_warns(
    shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    undo = await take_back(shop, saga, outcome="completed", original_result={"sold": "cup"})
    assert undo == UNDONE
    assert shop.ran == ["take back cup"]
    assert await shop.guard(saga) == {"action": ("tombstone", 1), "compensation": ("undone", 1)}
    assert await sell(shop, saga) == ALREADY_UNDONE
    (warning,) = [r for r in caplog.records if "record of this action is gone" in r.message]
    assert warning.levelno == logging.WARNING
    assert warning.saga_id == saga  # type: ignore[attr-defined]


async def test_the_same_round_with_other_bytes_changes_nothing(shop: Shop, saga: str) -> None:
    reused = Breach("KEY_REUSED", "this idempotency key came before with another body")
    await sell(shop, saga)
    assert await sell(shop, saga, item="cup") == reused
    await take_back(shop, saga)
    assert await take_back(shop, saga, data={"item": "cup"}) == reused
    assert await shop.guard(saga) == {"action": ("completed", 1), "compensation": ("undone", 1)}
    assert shop.ran == ["sell", "take back kettle"]


async def test_a_step_is_compared_byte_for_byte(shop: Shop, saga: str) -> None:
    steps = ["reserve", "Reserve", "réserve", "reserve.1", "reserve.10"]
    for step in steps:
        body = command_body("Shop.Sell", {"item": step}, saga_id=saga, step=step)
        assert isinstance(await shop.participant.carry_out(body), Completed)
    assert shop.ran == ["sell"] * len(steps)


async def test_what_json_can_say_is_kept_as_it_is(shop: Shop, saga: str) -> None:
    item = "\0 zero, 🫖 é ' \" \\ :colon %s %(p)s"
    first = await sell(shop, saga, item=item)
    assert isinstance(first, Completed)
    assert await sell(shop, saga, item=item) == first
    await take_back(shop, saga, data={"item": item})
    assert shop.ran == ["sell", f"take back {item}"]


async def test_a_refusal_is_cut_and_cleaned_as_an_engine_would_do_it(shop: Shop, saga: str) -> None:
    """And as the kit for Rust does: 128 and 2,048 bytes, and no control characters."""

    @shop.participant.action("Refuse")
    async def refuse(command: dict[str, Any]) -> None:
        raise Refused("A\0B" + "x" * 200, "one\ntwo\t\x1b[31m\ud800" + "é" * 2000)

    answer = await shop.participant.carry_out(command_body("Shop.Refuse", {}, saga_id=saga))
    assert isinstance(answer, RefusedWith)
    error = json.loads(answer.error)
    assert error["code"] == ("A\ufffdB" + "x" * 200)[:126]
    assert error["message"].startswith("one two \ufffd[31m\ufffd\u00e9")
    assert len(error["code"].encode()) == 128
    assert 2046 <= len(error["message"].encode()) <= 2048
    assert await shop.participant.carry_out(command_body("Shop.Refuse", {}, saga_id=saga)) == answer


async def test_many_copies_at_once_run_once(shop: Shop, saga: str) -> None:
    answers = await asyncio.gather(*(sell(shop, saga) for _ in range(8)))
    while any(isinstance(answer, Transient) for answer in answers):
        answers = [await sell(shop, saga) for _ in answers]
    assert answers == [SOLD] * 8
    assert await shop.standing() == 1


async def test_an_undo_waits_for_the_action_at_work(stage: Stage, saga: str) -> None:
    """The action holds its row; the undo that comes meanwhile sees what it came to."""
    shop = await open_shop(stage)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @shop.participant.action("SellSlowly")
    async def sell_slowly(command: dict[str, Any], db: Any) -> dict[str, Any]:
        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{command['saga_id']}')"
        await stage.write(db, insert)
        begun.set()
        await go_on.wait()
        return {"sold": "kettle"}

    body = command_body("Shop.SellSlowly", {}, saga_id=saga)
    action = asyncio.create_task(shop.participant.carry_out(body))
    await begun.wait()
    undo = asyncio.create_task(take_back(shop, saga))
    await asyncio.sleep(0.05)
    assert not undo.done()
    go_on.set()
    assert await action == SOLD
    assert await undo == UNDONE
    assert await shop.standing() == 0


@pytest.mark.parametrize("kind", [k for k in (*POSTGRES, *MARIADB) if k != "psycopg connection"])
async def test_a_command_waits_for_no_other_sagas(kind: str, tmp_path: Path) -> None:
    """Whose row would be the next in the table: it must not be locked with what is before it."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)
        first = uuid.uuid4().int
        act, next_one, sold, next_to_it = (str(uuid.UUID(int=first + n)) for n in (0, 1, 5, 6))
        at_work, go_on = asyncio.Event(), asyncio.Event()

        async def wait(command: dict[str, Any], db: Any) -> str:
            at_work.set()
            await go_on.wait()
            return "done"

        async def undo(command: dict[str, Any], db: Any) -> None:
            await wait(command, db)

        shop.participant.action("Wait")(wait)
        shop.participant.compensation("WaitToUndo")(undo)
        await sell(shop, sold)
        for body, other in (
            (command_body("Shop.Wait", {}, saga_id=act), next_one),
            (
                command_body("Shop.WaitToUndo", {}, saga_id=sold, direction="compensation"),
                next_to_it,
            ),
        ):
            at_work.clear()
            go_on.clear()
            waiting = asyncio.create_task(shop.participant.carry_out(body))
            await at_work.wait()
            try:
                # Below innodb_lock_wait_timeout, and far above what it takes.
                assert await asyncio.wait_for(sell(shop, other), 30) == SOLD
            finally:
                go_on.set()
                await waiting


async def test_a_migration_creates_the_same_tables(stage: Stage) -> None:
    """Of the guard, the outbox and the inbox; those that are there stay."""
    await stage.database.open()
    wanted = ("amends_guard", "amends_outbox", "amends_inbox")
    for table in wanted:
        assert any(f"TABLE IF NOT EXISTS {table} " in sql for sql in stage.database.tables)
    for sql in stage.database.tables:
        await stage.run(sql)
    for table in wanted:
        await stage.rows(f"SELECT 1 FROM {table} WHERE 1 = 0")


async def test_the_tables_may_be_created_by_many_at_once(stage: Stage) -> None:
    participants = [Participant("Shop", stage.database, create_tables=True) for _ in range(4)]
    await asyncio.gather(*(participant.open() for participant in participants))


async def test_two_services_on_one_database_carry_out_a_storm_once(
    stage: Stage, tmp_path: Path
) -> None:
    """Every command at both, all at once, each again until it is answered: whichever of them came
    first, nothing stands in the end, and no step was done more often than undone."""
    async with make(stage.kind, tmp_path) as second:
        shops = [await open_shop(stage), await open_shop(second)]
        shops[1].table = shops[0].table

        async def until_answered(
            send: Callable[..., Awaitable[Answer]], shop: Shop, saga: str
        ) -> Answer:
            answer = await send(shop, saga)
            while isinstance(answer, Transient):
                answer = await send(shop, saga)
            return answer

        async def storm(saga: str) -> None:
            sends = [(send, shop) for send in (sell, take_back, sell) for shop in shops]
            answers = await asyncio.gather(*(until_answered(s, shop, saga) for s, shop in sends))
            undos = [answer for answer in answers if isinstance(answer, UndoAnswered)]
            assert undos[0] == undos[1]
            actions = [answer for answer in answers if not isinstance(answer, UndoAnswered)]
            assert actions == [SOLD if undos[0].undone else ALREADY_UNDONE] * 4

        await asyncio.gather(*(storm(str(uuid.uuid4())) for _ in range(8)))
        assert await shops[0].standing() == 0
