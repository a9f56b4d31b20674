"""The quick start of docs/participant-python.md is a program that does what the page says."""

from __future__ import annotations

import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest

from amends_participant.testing import Trial

PAGE = Path(__file__).parents[2] / "docs" / "participant-python.md"


def quick_start() -> str:
    section = PAGE.read_text().split("## Quick start\n", 1)[1].split("\n## ", 1)[0]
    lines = section.splitlines()
    last = max(n for n, line in enumerate(lines) if line.startswith("    "))
    return textwrap.dedent("\n".join(lines[: last + 1]))


async def test_it_runs_and_passes_every_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(quick_start().splitlines()) <= 35
    shop: Any = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", shop)
    exec(compile(quick_start(), "shop.py", "exec"), shop.__dict__)
    participant = shop.inventory
    await participant.open()

    async def rows(sql: str) -> list[Any]:
        transaction = await participant.database.begin()
        found = list((await transaction.statement(sql, {})).rows)
        await transaction.commit()
        return found

    await rows("INSERT INTO stock VALUES ('kettle', 1000)")

    async def reserved() -> int:
        ((available,),) = await rows("SELECT available FROM stock")
        return 1000 - int(available)

    await Trial(
        participant,
        action="ReserveItems",
        compensation="ReleaseReservation",
        data={"sku": "kettle"},
        refusing={"sku": "sold out"},
        standing=reserved,
    ).every()
    await participant.close()
