"""The commands of testbed/answers.json, which the kit for Rust answers the same: each as it is
written there, in its order, over HTTP and by message."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import httpx
import pytest

from amends_participant import About, MemoryChannel, Participant, Refused
from conftest import Stage
from test_messages import serving

CORPUS = Path(__file__).parents[2] / "testbed" / "answers.json"


@dataclass
class Entry:
    """One command, and what it is answered."""

    name: str
    headers: dict[str, str]
    path: str | None = None
    """None for what can come by message only."""
    method: str = "POST"
    body: str = ""
    body_hex: str = ""
    """For what is no text."""
    padded_to: int = 0
    """With so many bytes, the last of them spaces."""
    secret: str | None = None
    """The service takes only what is signed with it."""
    status: int | None = None
    code: str | None = None
    answer: str | None = None
    """The body of the answer, byte for byte."""
    sent: bytes = field(init=False)

    def __post_init__(self) -> None:
        body = bytes.fromhex(self.body_hex) if self.body_hex else self.body.encode()
        self.sent = body.ljust(self.padded_to)

    @property
    def is_a_breach(self) -> bool:
        """Nothing is to come of it, not even a row."""
        return self.status not in (200, 422, 503)


ENTRIES = [Entry(**entry) for entry in json.loads(CORPUS.read_text())]


@dataclass
class Amount:
    amount: int
    # As typing itself has it: in Python 3.10 no annotation of a class is looked at with `|`.
    end: Optional[str] = None  # noqa: UP045


@dataclass
class Acted:
    amount: int
    attempt: int


@dataclass
class Ledger:
    stage: Stage
    participant: Participant
    table: str

    async def written(self) -> tuple[int, int]:
        """How much is: by the business, and by the guard."""
        (ledger,), (guard,) = [
            (await self.stage.rows(f"SELECT count(*) FROM {table}"))[0]
            for table in (self.table, "amends_guard")
        ]
        return ledger, guard


@pytest.fixture
async def ledger(stage: Stage) -> AsyncIterator[Ledger]:
    participant = Participant("LedgerService", stage.database, create_tables=True)
    table = f"ledger_{uuid.uuid4().hex[:12]}"

    @participant.action("Act")
    async def act(data: Amount, about: About, db: Any) -> Acted:
        await stage.write(db, f"INSERT INTO {table} (amount) VALUES ({data.amount})")
        if data.end == "refuse":
            raise Refused("NO", "as the data wants it")
        if data.end == "fail":
            raise RuntimeError("as the data wants it")
        return Acted(data.amount, about.attempt or 0)

    @participant.compensation("Undo")
    async def undo(data: Amount, result: Acted, db: Any) -> None:
        await stage.write(db, f"INSERT INTO {table} (amount) VALUES (-{result.amount})")

    await participant.open()
    await stage.run(f"CREATE TABLE {table} (amount bigint NOT NULL)")
    for left_by_others in ("amends_guard", "amends_outbox"):
        await stage.run(f"DELETE FROM {left_by_others}")
    yield Ledger(stage, participant, table)


async def test_each_command_has_its_answer_over_http(ledger: Ledger) -> None:
    for entry in ENTRIES:
        if entry.path is None:
            continue
        before = await ledger.written()
        secrets = [entry.secret] if entry.secret else []
        transport = httpx.ASGITransport(ledger.participant.asgi(secrets=secrets))
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as http:
            answer = await http.request(
                entry.method, entry.path, content=entry.sent, headers=entry.headers
            )
        said = f"{entry.name}: {answer.status_code} {answer.text}"
        assert answer.status_code == entry.status, said
        is_json = answer.headers["content-type"] == "application/json"
        assert is_json == (entry.status not in (404, 405)), said
        assert entry.answer is None or answer.text == entry.answer, said
        if entry.code is not None:
            error = answer.json()["error"]
            assert error["code"] == entry.code and error["message"], said
            assert answer.json().get("retryable") == (True if entry.status == 503 else None), said
            assert "five" not in answer.text, said
        if entry.is_a_breach:
            assert await ledger.written() == before, said


async def test_each_breach_goes_to_the_dead_letters_by_message(ledger: Ledger) -> None:
    shop: Any = ledger
    async with AsyncExitStack() as stack:
        channels: dict[str | None, MemoryChannel] = {}
        for secret in {entry.secret for entry in ENTRIES}:
            secrets = [secret] if secret else []
            channels[secret] = await stack.enter_async_context(serving(shop, secrets=secrets))
        for entry in ENTRIES:
            if entry.status in (404, 405) or entry.code == "WRONG_PATH":
                continue  # there is no path
            channel, before = channels[entry.secret], await ledger.written()
            channel.dead.clear()
            await channel.send(entry.sent, entry.headers)
            await channel.settled()
            reasons = [reason for _, reason in channel.dead]
            if entry.is_a_breach:
                assert len(reasons) == 1, entry.name
                assert reasons[0].startswith(f"{entry.code}: "), (entry.name, reasons)
                assert reasons[0].isprintable(), (entry.name, reasons)
                assert await ledger.written() == before, entry.name
            else:
                assert reasons == [], entry.name
