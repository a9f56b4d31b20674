"""The rows of testbed/rows.json, which the kit for Rust writes and reads the same: a service may
change from one kit to the other on one table."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amends_participant import About, Participant, Refused
from amends_participant.command import Sending
from amends_participant.http.asgi import http_answer
from conftest import Stage
from test_retention import AGED

CASES = json.loads((Path(__file__).parents[2] / "testbed" / "rows.json").read_text())

DIGEST = {"postgresql": "decode('{}', 'hex')"}
"""The bytes of hexadecimal digits, where it is not x'…'."""


@dataclass
class Ledger:
    stage: Stage
    participant: Participant
    table: str

    async def tell(self, told: dict[str, Any]) -> None:
        answer = await self.participant.carry_out(told["body"].encode(), Sending(attempt=1))
        assert http_answer(answer)[:2] == (told["status"], told["answer"])

    async def effects(self) -> int:
        return int((await self.stage.rows(f"SELECT count(*) FROM {self.table}"))[0][0])

    async def rows(self) -> list[dict[str, Any]]:
        names = ("direction", "round", "body_sha256", "state", "reply")
        sql = f"SELECT {', '.join(names)} FROM amends_guard ORDER BY direction"
        rows = [dict(zip(names, row, strict=True)) for row in await self.stage.rows(sql)]
        return [{**row, "body_sha256": bytes(row["body_sha256"]).hex()} for row in rows]

    async def write(self, saga_id: str, row: dict[str, Any]) -> None:
        """A row as another has written it."""
        dialect = self.stage.database.dialect.name
        digest = DIGEST.get(dialect, "x'{}'").format(row["body_sha256"])
        transaction = await self.stage.database.begin()
        await transaction.statement(
            "INSERT INTO amends_guard"
            " (saga_id, step, direction, round, body_sha256, state, reply, written_at) VALUES"
            f" ('{saga_id}', 'pay', '{row['direction']}', {row['round']}, {digest},"
            f" '{row['state']}', :reply, {AGED[dialect].format(0)})",
            {"reply": row["reply"]},
        )
        await transaction.commit()


@pytest.fixture
async def ledger(stage: Stage) -> AsyncIterator[Ledger]:
    participant = Participant("LedgerService", stage.database, create_tables=True)
    table = f"ledger_{uuid.uuid4().hex[:12]}"

    @participant.action("Act")
    async def act(command: dict[str, Any], about: About, db: Any) -> dict[str, Any]:
        amount = command["data"]["amount"]
        await stage.write(db, f"INSERT INTO {table} (amount) VALUES ({amount})")
        if command["data"].get("end") == "refuse":
            raise Refused("NO", f"round {about.round}")
        return {"amount": amount, "attempt": about.attempt}

    @participant.compensation("Undo")
    async def undo(command: dict[str, Any], result: dict[str, Any], db: Any) -> None:
        await stage.write(db, f"INSERT INTO {table} (amount) VALUES (-{result['amount']})")

    await participant.open()
    await stage.run(f"CREATE TABLE {table} (amount bigint NOT NULL)")
    yield Ledger(stage, participant, table)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_the_rows_are_those_of_both_kits(ledger: Ledger, case: dict[str, Any]) -> None:
    await ledger.stage.run("DELETE FROM amends_guard")
    for told in case["commands"]:
        await ledger.tell(told)
    assert await ledger.rows() == case["rows"]
    # Written by another, and read by this one.
    await ledger.stage.run("DELETE FROM amends_guard")
    for row in case["rows"]:
        await ledger.write(json.loads(case["commands"][0]["body"])["saga_id"], row)
    before = await ledger.effects()
    await ledger.tell(case["commands"][-1])
    assert await ledger.effects() == before
    assert await ledger.rows() == case["rows"]
