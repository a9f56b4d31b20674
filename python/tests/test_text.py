"""Values in the text of a statement."""

from __future__ import annotations

import pytest

from amends_participant.database.text import as_one, of_mysql, of_postgres
from conftest import Shop
from test_guard import sell

HOSTILE = "'; DROP TABLE amends_guard; -- \\ :step % é \U0001f4a5 \n\""


def test_no_value_gets_out_of_its_literal() -> None:
    assert of_postgres("'; --\\") == "convert_from(decode('273b202d2d5c', 'hex'), 'UTF8')"
    assert of_postgres(b"\x00'") == "decode('0027', 'hex')"
    assert of_mysql("'; --") == "_utf8mb4 x'273b202d2d'"
    assert of_mysql("") == "_utf8mb4 x''"
    assert as_one(("SELECT :a", "SELECT :a + :b"), {"a": 1, "b": -2}, of_mysql) == (
        "SELECT 1; SELECT 1 + -2"
    )


@pytest.mark.parametrize("text", [HOSTILE, "plain"])
async def test_a_refusal_is_stored_as_it_was_said_whatever_is_in_it(
    shop: Shop, saga: str, text: str
) -> None:
    first = await sell(shop, saga, refuse=text)
    assert await sell(shop, saga, refuse=text) == first
    assert shop.ran == ["sell"]
