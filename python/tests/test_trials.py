"""The test kit itself: it passes a participant that is right, on every database, and names the
rule that a wrong one breaks."""

from __future__ import annotations

from amends_participant.testing import Trial
from conftest import Shop


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
