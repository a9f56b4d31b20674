"""Every row of the two tables in docs/guard.md, without a database."""

from __future__ import annotations

import json
import uuid

import pytest

from amends_participant import Breach, Completed, RefusedWith, UndoAnswered
from amends_participant.command import Command, read_command
from amends_participant.guard.table import (
    LeaveTombstone,
    Row,
    Run,
    Say,
    State,
    Undo,
    decide_action,
    decide_compensation,
)
from amends_participant.testing import command_body

SAGA = str(uuid.UUID(int=1))
OTHER_BYTES = b"\1" * 32
STORED, STORED_NO = '{"n":1}', '{"code":"NO","message":"no"}'
ALREADY_UNDONE = RefusedWith.of("ALREADY_UNDONE", "this step was undone before it ran")
KEY_REUSED = Breach("KEY_REUSED", "this idempotency key came before with another body")


def action(round: int = 1) -> Command:
    return read_command(command_body("Shop.Sell", {}, saga_id=SAGA, round=round), "Shop")


def undo(round: int = 1, outcome: str = "unknown", original_result: object = None) -> Command:
    return read_command(
        command_body(
            "Shop.TakeBack",
            {},
            saga_id=SAGA,
            direction="compensation",
            round=round,
            outcome=outcome,
            original_result=original_result,
        ),
        "Shop",
    )


def row(state: State, of: Command, reply: str | None = None, *, same_bytes: bool = True) -> Row:
    return Row(of.round, of.body_sha256 if same_bytes else OTHER_BYTES, state, reply)


COMPLETED, REFUSED, TOMBSTONE = State.COMPLETED, State.REFUSED, State.TOMBSTONE
UNDONE, NOTHING = State.UNDONE, State.NOTHING


@pytest.mark.parametrize(
    ("what", "command", "found", "then"),
    [
        ("new", action(), None, Run()),
        ("completed", action(), row(COMPLETED, action(), STORED), Say(Completed(STORED))),
        (
            "completed, a later round",
            action(2),
            row(COMPLETED, action(), STORED, same_bytes=False),
            Say(Completed(STORED)),
        ),
        (
            "completed by a later round",
            action(),
            row(COMPLETED, action(2), STORED, same_bytes=False),
            Say(Completed(STORED)),
        ),
        ("refused", action(), row(REFUSED, action(), STORED_NO), Say(RefusedWith(STORED_NO))),
        (
            "refused by a later round",
            action(),
            row(REFUSED, action(2), STORED_NO, same_bytes=False),
            Say(RefusedWith(STORED_NO)),
        ),
        (
            "refused by an earlier round",
            action(2),
            row(REFUSED, action(), STORED_NO, same_bytes=False),
            Run(),
        ),
        ("tombstone", action(), row(TOMBSTONE, undo()), Say(ALREADY_UNDONE)),
        ("tombstone, a later round", action(2), row(TOMBSTONE, undo()), Say(ALREADY_UNDONE)),
        (
            "refused and undone, a later round",
            action(2),
            row(TOMBSTONE, action(), STORED_NO, same_bytes=False),
            Say(RefusedWith(STORED_NO)),
        ),
        (
            "refused and undone, same round, other bytes",
            action(),
            row(TOMBSTONE, action(), STORED_NO, same_bytes=False),
            Say(KEY_REUSED),
        ),
        (
            "completed, same round, other bytes",
            action(),
            row(COMPLETED, action(), STORED, same_bytes=False),
            Say(KEY_REUSED),
        ),
        (
            "refused, same round, other bytes",
            action(),
            row(REFUSED, action(), STORED_NO, same_bytes=False),
            Say(KEY_REUSED),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_action(what: str, command: Command, found: Row | None, then: object) -> None:
    assert decide_action(command, found) == then


TOLD_COMPLETED = undo(outcome="completed", original_result={"n": 2})


@pytest.mark.parametrize(
    ("what", "command", "own", "found", "then"),
    [
        ("undone", undo(), row(UNDONE, undo()), None, Say(UndoAnswered(True))),
        (
            "undone, a later round",
            undo(2),
            row(UNDONE, undo(), same_bytes=False),
            row(COMPLETED, action(), STORED),
            Say(UndoAnswered(True)),
        ),
        (
            "undone by a later round",
            undo(),
            row(UNDONE, undo(2), same_bytes=False),
            row(COMPLETED, action(), STORED),
            Say(UndoAnswered(True)),
        ),
        ("new, completed", undo(), None, row(COMPLETED, action(), STORED), Undo(STORED)),
        (
            "nothing of an earlier round, completed",
            undo(2),
            row(NOTHING, undo(), same_bytes=False),
            row(COMPLETED, action(2), STORED),
            Undo(STORED),
        ),
        ("new, refused", undo(), None, row(REFUSED, action(), STORED_NO), LeaveTombstone()),
        ("new, tombstone", undo(), None, row(TOMBSTONE, undo()), LeaveTombstone()),
        ("new, new", undo(), None, None, LeaveTombstone()),
        (
            "new, tombstone, outcome completed",
            TOLD_COMPLETED,
            None,
            row(TOMBSTONE, undo()),
            LeaveTombstone(),
        ),
        (
            "nothing of an earlier round, tombstone",
            undo(2),
            row(NOTHING, undo(), same_bytes=False),
            row(TOMBSTONE, undo()),
            LeaveTombstone(),
        ),
        (
            "new, new, outcome completed",
            TOLD_COMPLETED,
            None,
            None,
            Undo('{"n": 2}', record_lost=True),
        ),
        (
            "nothing of this round",
            undo(),
            row(NOTHING, undo()),
            row(TOMBSTONE, undo()),
            Say(UndoAnswered(False)),
        ),
        (
            "nothing of this round, completed by a later round",
            undo(),
            row(NOTHING, undo()),
            row(COMPLETED, action(2), STORED),
            Say(UndoAnswered(False)),
        ),
        (
            "nothing of a later round",
            undo(),
            row(NOTHING, undo(2), same_bytes=False),
            row(TOMBSTONE, undo()),
            Say(UndoAnswered(False)),
        ),
        (
            "undone, same round, other bytes",
            undo(),
            row(UNDONE, undo(), same_bytes=False),
            row(COMPLETED, action(), STORED),
            Say(KEY_REUSED),
        ),
        (
            "nothing, same round, other bytes",
            undo(),
            row(NOTHING, undo(), same_bytes=False),
            row(TOMBSTONE, undo()),
            Say(KEY_REUSED),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_compensation(
    what: str, command: Command, own: Row | None, found: Row | None, then: object
) -> None:
    assert decide_compensation(command, own, found) == then


def test_the_result_of_a_lost_record_is_the_commands_own_word() -> None:
    decided = decide_compensation(TOLD_COMPLETED, None, None)
    assert isinstance(decided, Undo)
    assert json.loads(decided.result) == TOLD_COMPLETED.original_result
