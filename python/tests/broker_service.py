"""A service behind a broker in a process of its own, which may be told to die between the commit
and the reply."""

# ruff: noqa: E402

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parent)]

from amends_participant import Participant, Sqlite
from brokers import by_name


async def main(broker_name: str, place: str, database: str, dies: str) -> None:
    shop = Participant("Shop", Sqlite(Path(database)), create_tables=True)

    @shop.action("Sell")
    async def sell(command: dict[str, Any], db: Any) -> str:
        await db.execute("CREATE TABLE IF NOT EXISTS effect (saga_id TEXT)")
        await db.execute("INSERT INTO effect VALUES (?1)", (command["saga_id"],))
        return "sold"

    if dies == "dies":
        carry_out = shop.carry_out_and_reply

        async def and_die(*of: Any) -> Any:
            await carry_out(*of)
            os.kill(os.getpid(), signal.SIGKILL)

        shop.carry_out_and_reply = and_die  # type: ignore[method-assign,assignment]
    broker = by_name.BROKERS[broker_name]
    async with broker.connect(broker.place_of(json.loads(place))) as channel:
        print("serving", flush=True)
        await shop.serve(channel)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
