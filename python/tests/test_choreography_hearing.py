"""What a choreography's service has heard, and that it hears whatever its handlers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Choreographies, MemoryEvents, Participant, Sqlite, Unheard
from amends_participant.choreography import heard, reacting, turn
from amends_participant.choreography.heard import Heard
from amends_participant.choreography.service import Service
from amends_participant.choreography.turn import Turned
from test_choreography import SERVICES, in_time, order


@dataclass
class Time:
    """Passes as the test says."""

    at: float = 1_000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(heard, "time", made)
    return made


def looks(channel: Heard, passing: Time) -> int:
    """How many seconds pass, about, with a look every 200 ms, until it has caught up."""
    passing.at += 0.2
    begun = passing.at
    while True:
        at = round(passing.at * 1000)
        channel.look(at)
        if channel.until() == at:
            return round(passing.at - begun)
        passing.at += 0.2


def test_all_is_heard_when_nothing_old_comes_for_a_while(passing: Time) -> None:
    def now() -> int:
        return round(passing.at * 1000)

    channel = Heard(30_000, now())
    channel.waits()
    assert looks(channel, passing) == 60, "it may not be in its group yet"
    channel.received()
    before = channel.until()
    passing.at += 0.2
    channel.look(now())
    assert channel.until() == before, "something is in hand"
    channel.took(now(), now())
    channel.waits()
    assert looks(channel, passing) == 0, "what is new says nothing against it"
    for at, why in ((now() - 30_000, "there is a backlog"), (None, "it cannot be read")):
        channel.received()
        channel.took(at, now())
        channel.waits()
        assert looks(channel, passing) == 15, why
    channel.brings_none()
    channel.waits()
    assert looks(channel, passing) == 15, "it was away"
    passing.at += 60
    assert looks(channel, passing) == 15, "the process stood still"


class Asking:
    """Handlers that are at work until they are let go."""

    def __init__(self, *_: object) -> None:
        pass

    begun: asyncio.Queue[str]
    let_go: asyncio.Semaphore

    async def carry_out(self, service: Service, saga_id: str, turned: Turned) -> None:
        self.begun.put_nowait(saga_id)
        await self.let_go.acquire()


@dataclass
class Bed:
    """One service behind a place in memory, whose steps are all at work for long."""

    service: Choreographies
    place: MemoryEvents

    async def start(self) -> str:
        return await self.service.start("Order", {"reserve": "", "charge": "", "ship": ""})

    async def is_heard(self, saga: str) -> None:
        async for _ in in_time():
            with contextlib.suppress(Unheard):
                await self.service.record(saga)
                return
        raise AssertionError("it is not heard")

    @contextlib.asynccontextmanager
    async def reacting(self, at_once: int) -> AsyncIterator[asyncio.Task[None]]:
        listener = self.place.listener(SERVICES[0])
        task = asyncio.create_task(self.service.react(listener, at_once=at_once))
        try:
            yield task
        finally:
            task.cancel()
            for _ in range(100):
                Asking.let_go.release()
            await asyncio.wait([task])


@pytest.fixture
async def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    monkeypatch.setattr(reacting, "Asking", Asking)
    monkeypatch.setattr(reacting, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(turn, "LEFT_FOR_MS", 200)
    Asking.begun, Asking.let_go = asyncio.Queue(), asyncio.Semaphore(0)
    participant = Participant(SERVICES[0], Sqlite(tmp_path / "service.db"))

    @participant.action("Act")
    async def act(command: dict[str, Any], db: Any) -> None:
        pass

    @participant.compensation("Undo")
    async def undo(command: dict[str, Any], db: Any, result: Any) -> None:
        pass

    service = participant.choreographies([order()])
    await service.create_tables()
    yield Bed(service, MemoryEvents(*SERVICES))
    await participant.close()


async def test_events_are_heard_while_all_handlers_are_at_work(bed: Bed) -> None:
    async with bed.reacting(at_once=1):
        at_work = await bed.start()
        assert await asyncio.wait_for(Asking.begun.get(), 60) == at_work
        others = [await bed.start() for _ in range(5)]
        for saga in others:
            await bed.is_heard(saga)
        assert Asking.begun.empty(), "one at once"
        # Each has its turn.
        begun = set()
        for _ in others:
            Asking.let_go.release()
            begun.add(await asyncio.wait_for(Asking.begun.get(), 60))
        assert begun == set(others)


async def test_what_the_queue_has_no_room_for_is_left_to_its_row(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reacting, "WAITING_MAX", 1)
    async with bed.reacting(at_once=1):
        sagas = [await bed.start() for _ in range(4)]
        for saga in sagas:
            await bed.is_heard(saga)
        begun = set()
        async for _ in in_time():
            Asking.let_go.release()
            while not Asking.begun.empty():
                begun.add(Asking.begun.get_nowait())
            if begun == set(sagas):
                break
        assert begun == set(sagas)


async def test_a_stop_is_seen_while_all_handlers_are_at_work(bed: Bed) -> None:
    """No more is received, and nothing that waits is begun."""
    async with bed.reacting(at_once=1) as task:
        at_work, waiting = await bed.start(), await bed.start()
        await bed.is_heard(at_work)
        await bed.is_heard(waiting)
        await asyncio.wait_for(Asking.begun.get(), 60)
        task.cancel()
        await asyncio.sleep(0.05)
        bed.place.publish(bed.place.said[0])
        await asyncio.sleep(0.05)
        assert bed.place.waiting(SERVICES[0]).qsize() == 1
        Asking.let_go.release()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled() and Asking.begun.empty()
