"""The decision table of the guard: what to do with a command, given the rows that are there.

Pure: no database, no clock. The rules are those of docs/guard.md, in its order and its words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

from ..answers import Answer, Breach, Completed, RefusedWith, UndoAnswered
from ..command import Command
from ..endings import BadData

KEY_REUSED = "KEY_REUSED"
ALREADY_UNDONE = "ALREADY_UNDONE"


class State(str, Enum):
    """What a row says. `CLAIMED` is seen only by the transaction that claims: it is never
    committed, unless a handler commits behind the guard's back."""

    CLAIMED = "claimed"
    COMPLETED = "completed"
    REFUSED = "refused"
    TOMBSTONE = "tombstone"
    UNDONE = "undone"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Row:
    """A committed row of the guard's table."""

    round: int
    body_sha256: bytes
    state: State
    reply: str | None


@dataclass(frozen=True)
class Say:
    """Nothing runs and nothing changes: this is the answer."""

    answer: Answer


@dataclass(frozen=True)
class Run:
    """The action's handler runs."""


@dataclass(frozen=True)
class Undo:
    """The compensation's handler runs, with the action's result as JSON text."""

    result: str
    record_lost: bool = False
    """The action's row is gone, and the result is the command's own word."""


@dataclass(frozen=True)
class LeaveTombstone:
    """There is nothing to undo; that is written down, so that the action never runs, also where it
    was refused: a later round of it may still be on its way."""


def decide_action(command: Command, row: Row | None) -> Run | Say:
    """An action that has claimed its row; `None` when the row is new."""
    if row is None:
        return Run()
    if row.state is State.TOMBSTONE and row.reply is None:
        return Say(RefusedWith.of(ALREADY_UNDONE, "this step was undone before it ran"))
    if _reused(command, row):
        return Say(key_reused())
    if row.state is State.COMPLETED:
        return Say(Completed(_stored(row)))
    # A tombstone that holds a refusal was one when its compensation came. A later round may still
    # have been on its way then, and it must not run any more.
    if row.state is State.TOMBSTONE or row.round >= command.round:
        return Say(RefusedWith(_stored(row)))
    return Run()


def decide_compensation(
    command: Command, own: Row | None, action: Row | None
) -> Undo | LeaveTombstone | Say:
    """A compensation that has claimed both rows; `None` for one that is new."""
    if own is not None:
        if _reused(command, own):
            return Say(key_reused())
        if own.state is State.UNDONE:
            return Say(UndoAnswered(undone=True))
        if own.round >= command.round:
            return Say(UndoAnswered(undone=False))
    if action is None:
        if command.outcome == "completed":
            return Undo(_brought_by(command), record_lost=True)
        return LeaveTombstone()
    if action.state is State.COMPLETED:
        return Undo(_stored(action))
    return LeaveTombstone()


def key_reused() -> Breach:
    """The same round with other bytes: a broken sender."""
    return Breach(KEY_REUSED, "this idempotency key came before with another body")


def _brought_by(command: Command) -> str:
    try:
        return json.dumps(command.original_result)
    except TypeError:
        raise BadData("original_result holds a number with too many digits") from None


def _reused(command: Command, row: Row) -> bool:
    return row.round == command.round and row.body_sha256 != command.body_sha256


def _stored(row: Row) -> str:
    return "null" if row.reply is None else row.reply
