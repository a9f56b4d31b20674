"""Handlers that end the guard's own transaction, on every database: what they committed does not
run again, and what they rolled back is not said to be done."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Refused, Transient
from amends_participant.testing import command_body
from conftest import MARIADB, Shop, make, open_shop
from test_guard import ENDED, NOTHING, SOLD, UNDONE, sell, take_back


async def test_a_handler_that_ends_the_transaction_is_told_so(
    shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a driver prevents it, the handler fails and all is rolled back. Where it cannot, what
    the handler did since is not undone: nobody knows, and asking again tells nothing."""

    @shop.participant.action("Meddle")
    async def meddle(command: dict[str, Any], db: Any) -> None:
        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{command['saga_id']}')"
        await shop.stage.write(db, insert)
        if hasattr(db, "rollback"):
            await db.rollback()
        else:
            await shop.stage.write(db, "ROLLBACK")

    body = command_body("Shop.Meddle", {}, saga_id=saga)
    answer = await shop.participant.carry_out(body)
    if "psycopg" in shop.stage.kind and "alchemy" not in shop.stage.kind:
        assert answer == Transient("HANDLER_FAILED", "ProgrammingError")
    else:
        assert answer == ENDED
        assert "leave COMMIT and ROLLBACK to the guard" in caplog.text
    assert await shop.standing() == 0
    if answer == ENDED:
        assert await shop.guard(saga) == {"action": ("claimed", 1)}
        assert await shop.participant.carry_out(body) == ENDED
    else:
        assert await shop.guard(saga) == {}
        assert await sell(shop, saga) == SOLD


async def test_an_undo_whose_handler_rolls_back_is_not_answered_over_its_actions_row(
    shop: Shop, saga: str
) -> None:
    """The action's row is still there then; it is the undo's own that is asked for."""

    @shop.participant.compensation("RollBack")
    async def roll_back(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, "ROLLBACK")

    await sell(shop, saga)
    body = command_body("Shop.RollBack", {}, saga_id=saga, direction="compensation")
    for _ in range(2):
        assert await shop.participant.carry_out(body) == ENDED
    assert await shop.guard(saga) == {"action": ("completed", 1), "compensation": ("claimed", 1)}
    await shop.stage.run(
        f"DELETE FROM amends_guard WHERE saga_id = '{saga}' AND direction = 'compensation'"
    )
    assert await take_back(shop, saga) == UNDONE


@pytest.mark.parametrize("ends", ["with a value", "refused", "failed"])
async def test_what_a_handler_does_after_its_rollback_is_not_done_again(
    shop: Shop, saga: str, ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands, or may: nothing runs over it until a person has looked."""
    ran: list[str] = []

    async def roll_back_and_go_on(command: dict[str, Any], db: Any) -> None:
        ran.append(command["direction"])
        await shop.stage.write(db, "ROLLBACK")
        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{command['saga_id']}')"
        await shop.stage.write(db, insert)
        if ends == "refused":
            raise Refused("NO")
        if ends == "failed":
            raise RuntimeError("the till is jammed")

    shop.participant.action("GoOn")(roll_back_and_go_on)
    shop.participant.compensation("UndoGoOn")(roll_back_and_go_on)
    body = command_body("Shop.GoOn", {}, saga_id=saga)
    for _ in range(2):
        assert await shop.participant.carry_out(body) == ENDED
    assert "set the row of amends_guard" in caplog.text
    assert await shop.guard(saga) == {"action": ("claimed", 1)}
    assert await take_back(shop, saga) == ENDED
    undone = str(uuid.uuid4())
    await sell(shop, undone)
    undo = command_body("Shop.UndoGoOn", {}, saga_id=undone, direction="compensation")
    for _ in range(2):
        assert await shop.participant.carry_out(undo) == ENDED
    assert await shop.guard(undone) == {"action": ("completed", 1), "compensation": ("claimed", 1)}
    assert ran == ["action", "compensation"]


async def test_an_undo_that_commits_and_refuses_is_seen_at_once(shop: Shop, saga: str) -> None:
    """No undo can be refused: it has failed."""

    @shop.participant.compensation("CommitAndRefuse")
    async def commit_and_refuse(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, "COMMIT")
        raise Refused("NO")

    await sell(shop, saga)
    undo = command_body("Shop.CommitAndRefuse", {}, saga_id=saga, direction="compensation")
    for _ in range(2):
        assert await shop.participant.carry_out(undo) == ENDED


async def test_a_handler_that_commits_and_then_fails_is_not_said_to_have_changed_nothing(
    shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    insert = "INSERT INTO {} (saga_id) VALUES ('{}')"

    @shop.participant.action("CommitAndFail")
    async def commit_and_fail(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, insert.format(shop.table, command["saga_id"]))
        await shop.stage.write(db, "COMMIT")
        raise RuntimeError("the till is jammed")

    @shop.participant.compensation("UndoCommitAndFail")
    async def undo_commit_and_fail(command: dict[str, Any], db: Any) -> None:
        await commit_and_fail(command, db)

    body = command_body("Shop.CommitAndFail", {}, saga_id=saga)
    assert await shop.participant.carry_out(body) == ENDED
    assert "HandlerCommitted: a claim without an answer was committed" in caplog.text
    assert await shop.participant.carry_out(body) == ENDED
    assert await shop.guard(saga) == {"action": ("claimed", 1)}
    other = str(uuid.uuid4())
    assert await sell(shop, other) == SOLD
    undo = command_body("Shop.UndoCommitAndFail", {}, saga_id=other, direction="compensation")
    assert await shop.participant.carry_out(undo) == ENDED
    assert await shop.participant.carry_out(undo) == ENDED
    assert await shop.standing() == 3


async def test_a_handler_that_commits_and_refuses_has_not_refused(shop: Shop, saga: str) -> None:
    @shop.participant.action("CommitAndRefuse")
    async def commit_and_refuse(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, f"INSERT INTO {shop.table} (saga_id) VALUES ('{saga}')")
        await shop.stage.write(db, "COMMIT")
        raise Refused("NO")

    body = command_body("Shop.CommitAndRefuse", {}, saga_id=saga)
    for _ in range(2):
        answer = await shop.participant.carry_out(body)
        assert answer == ENDED
    assert await shop.standing() == 1


@pytest.mark.parametrize("kind", MARIADB)
async def test_a_statement_that_commits_by_itself_is_seen_when_the_handler_fails(
    kind: str, tmp_path: Path, saga: str
) -> None:
    """As every change of a table does in MySQL and MariaDB."""
    async with make(kind, tmp_path) as stage:
        shop = await open_shop(stage)

        @shop.participant.action("Migrate")
        async def migrate(command: dict[str, Any], db: Any) -> None:
            await stage.write(db, f"CREATE TABLE {shop.table}_too (id integer)")
            raise RuntimeError

        answer = await shop.participant.carry_out(command_body("Shop.Migrate", {}, saga_id=saga))
        assert answer == ENDED


async def test_a_claim_that_was_committed_without_its_answer_is_not_done_again(
    shop: Shop, saga: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As a handler leaves it that commits behind the guard's back, and dies."""
    await sell(shop, saga)
    await shop.stage.run(
        f"UPDATE amends_guard SET state = 'claimed', reply = 'x' WHERE saga_id = '{saga}'"
    )
    assert await sell(shop, saga) == ENDED
    assert await take_back(shop, saga) == ENDED
    assert shop.ran == ["sell"]


async def test_a_later_round_that_committed_and_failed_does_not_run_again(
    shop: Shop, saga: str
) -> None:
    """A row that was there before the round is none the less its own."""
    insert = "INSERT INTO {} (saga_id) VALUES ('{}')"

    @shop.participant.action("CommitAndEnd")
    async def commit_and_end(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, insert.format(shop.table, command["saga_id"]))
        await shop.stage.write(db, "COMMIT")
        raise Refused("NO") if command["data"]["refuse"] else RuntimeError("the till is jammed")

    @shop.participant.compensation("CommitAndFail")
    async def commit_and_fail(command: dict[str, Any], db: Any) -> None:
        await shop.stage.write(db, insert.format(shop.table, command["saga_id"]))
        await shop.stage.write(db, "COMMIT")
        raise RuntimeError("the drawer is jammed")

    for refuse in (False, True):
        one = str(uuid.uuid4())
        await sell(shop, one, refuse="SOLD_OUT")
        data = {"refuse": refuse}
        again = command_body("Shop.CommitAndEnd", data, saga_id=one, round=2)
        assert await shop.participant.carry_out(again) == ENDED
        assert await shop.participant.carry_out(again) == ENDED
    assert await shop.standing() == 2
    assert await take_back(shop, saga) == NOTHING
    await shop.come_to_light(saga)
    undo = command_body("Shop.CommitAndFail", {}, saga_id=saga, direction="compensation", round=2)
    assert await shop.participant.carry_out(undo) == ENDED
    assert await shop.participant.carry_out(undo) == ENDED
    assert await shop.standing() == 3


async def test_a_later_round_that_rolled_back_is_not_said_to_be_done(shop: Shop, saga: str) -> None:
    async def roll_back(command: dict[str, Any], db: Any) -> None:
        insert = f"INSERT INTO {shop.table} (saga_id) VALUES ('{command['saga_id']}')"
        await shop.stage.write(db, insert)
        await shop.stage.write(db, "ROLLBACK")

    shop.participant.action("RollBack")(roll_back)
    shop.participant.compensation("RollBackTheUndo")(roll_back)
    await sell(shop, saga, refuse="SOLD_OUT")
    again = command_body("Shop.RollBack", {}, saga_id=saga, round=2)
    for _ in range(2):
        assert await shop.participant.carry_out(again) == ENDED
    assert await shop.guard(saga) == {"action": ("claimed", 1)}
    other = str(uuid.uuid4())
    assert await take_back(shop, other) == NOTHING
    await shop.come_to_light(other)
    undo = command_body(
        "Shop.RollBackTheUndo", {}, saga_id=other, direction="compensation", round=2
    )
    for _ in range(2):
        assert await shop.participant.carry_out(undo) == ENDED
    rows = {"action": ("completed", 1), "compensation": ("claimed", 1)}
    assert await shop.guard(other) == rows
