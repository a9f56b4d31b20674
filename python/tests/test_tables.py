"""The kit's tables are those of testbed/tables.json, as each database's catalogue says them, and so
those of the kit for Rust: a service may change from one kit to the other on one database."""

from __future__ import annotations

import json
from pathlib import Path

from amends_participant import Participant
from conftest import MARIADB, Stage

GOLDEN = json.loads((Path(__file__).parents[2] / "testbed" / "tables.json").read_text())


async def test_the_tables_are_those_of_both_kits(stage: Stage) -> None:
    await Participant("LedgerService", stage.database, create_tables=True).open()
    golden = GOLDEN["mariadb" if stage.kind in MARIADB else stage.database.dialect.name]
    assert [row[0] for row in await stage.rows("\n".join(golden["query"]))] == golden["rows"]
