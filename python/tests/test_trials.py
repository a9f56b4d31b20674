"""The test kit itself: it passes a participant that is right, on every database, and names the
rule that a wrong one breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from amends_participant.guard import carry_out
from amends_participant.guard.table import (
    LeaveTombstone,
    Run,
    Say,
    State,
    Undo,
    decide_action,
    decide_compensation,
)
from amends_participant.testing import Trial
from conftest import Shop
from storm_service import handled_over_any_row


def trial_of(shop: Shop) -> Trial:
    return Trial(
        shop.participant,
        action="Sell",
        compensation="TakeBack",
        data={"item": "kettle"},
        refusing={"item": "kettle", "refuse": "SOLD_OUT"},
        standing=shop.standing,
    )


async def test_a_participant_of_the_kit_passes_every_trial(shop: Shop) -> None:
    await trial_of(shop).every()


def runs_again(command: Any, row: Any) -> Any:
    return Run() if row and row.state is State.COMPLETED else decide_action(command, row)


def no_tombstone(command: Any, row: Any) -> Any:
    return Run() if row and row.state is State.TOMBSTONE else decide_action(command, row)


def always_undoes(command: Any, own: Any, action: Any) -> Any:
    if action is None or action.state is not State.COMPLETED:
        return Undo('{"sold":"kettle"}')
    return decide_compensation(command, own, action)


def never_undoes(command: Any, own: Any, action: Any) -> Any:
    decided = decide_compensation(command, own, action)
    return decided if isinstance(decided, Say) else LeaveTombstone()


@pytest.mark.parametrize(
    ("table", "mistake", "rule"),
    [
        ("decide_action", runs_again, "a repeated action does nothing"),
        ("decide_action", no_tombstone, "a late action is refused"),
        ("decide_compensation", always_undoes, "a refused action has nothing to undo|there is"),
        ("decide_compensation", never_undoes, "`undone: true`"),
    ],
)
async def test_a_guard_with_a_mistake_is_caught(
    small_shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    mistake: Callable[..., Any],
    rule: str,
) -> None:
    monkeypatch.setattr(carry_out, table, mistake)
    monkeypatch.setattr(carry_out, "handled", handled_over_any_row)
    with pytest.raises(AssertionError, match=rule):
        await trial_of(small_shop).every()
