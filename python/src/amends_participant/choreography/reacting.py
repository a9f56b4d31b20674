"""A participant that listens: events are heard, acknowledged when what they say is in the database,
and acted on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..about import NoCommand, at_work, trace_id
from ..apart import apart
from ..command import Sending
from ..http.signature import NotSigned, Secret, verify
from ..messages.channel import Channel, Delivery
from ..messages.outbox import Relay
from ..messages.pauses import Pauses
from ..messages.serving import AGAIN_AFTER_S, SETTLED_WITHIN_S
from ..messages.signing import Signing
from .asking import Asking
from .event import Damaged, Newer, NotOurs, SagaEvent
from .heard import LOOK_EVERY_S as HEARD_EVERY_S
from .heard import Heard
from .rules import NoStep, NotTaken
from .service import GRACE_MS, Service
from .turn import Rows, Turned, now

if TYPE_CHECKING:
    from ..participant import Participant

AT_ONCE = 5
"""How many sagas' steps are carried out at once, unless said otherwise. With those who hear, one to
look for what is due and one to relay it makes ten, as many as a small pool has connections."""

HEARING = 3
"""How many events are taken in, or sagas woken, at once: never behind a handler."""

WAITING_MAX = 1_000
"""How many sagas wait to be carried out. Beyond that one is left to its row, which is due again
soon."""

HELD_UP_S = 1.0
"""What is heard of a saga waits so long for the handler that holds its row, and then comes again:
three sagas whose handlers hang must not keep all others from being heard."""

LOOK_EVERY_S = 0.2
"""How often the database is looked at for sagas in which something is due: pauses begin at that."""

DEFINITION_WAIT_MS = 60 * 60 * 1000
"""How long an event waits that this service cannot read yet, counted from when it was said: as long
as it takes to deploy a new definition at all services. After that it is among the dead letters."""

_log = logging.getLogger("amends_participant")


class Reacting:
    """A participant in choreographies, behind a broker."""

    def __init__(
        self,
        participant: Participant,
        rows: Rows,
        services: Mapping[str, Service],
        channel: Channel,
        at_once: int,
        secrets: Sequence[str],
    ) -> None:
        self._secrets = [Secret(secret) for secret in secrets]
        self._channel = Signing(channel, self._secrets) if secrets else channel
        self._participant, self._rows, self._services = participant, rows, services
        self._asking = Asking(participant, rows)
        self.relay = Relay(participant.database, self._channel, participant.open)
        self._pauses = Pauses()
        grace_ms = max((s.grace_ms for s in services.values()), default=GRACE_MS)
        self._heard = Heard(grace_ms, now())
        self._at_once = max(at_once, 1)
        self._room = asyncio.Semaphore(HEARING)
        self._hearing: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, tuple[Service, Turned]] = {}
        """What is to be carried out, by saga: what was found last stands for all before it."""
        self._hands: set[asyncio.Task[None]] = set()
        self._at_work: dict[str, float] = {}
        """The sagas that are carried out, and since when: each by one hand at a time, since its
        handlers wait for one another at its row."""
        self._is_stopped = False

    async def run(self) -> None:
        """Until it is cancelled: then no more is received, and what is at work is ended, unless it
        is cancelled once more. The outbox is relayed meanwhile."""
        await self._participant.open()
        beside = [asyncio.create_task(self.relay.run()), asyncio.create_task(self._look())]
        beside.append(asyncio.create_task(self._watch()))
        self._rows.heard.append(self._heard)
        try:
            while True:
                await self._room.acquire()
                await self._take_next()
        finally:
            # What waits is left to the sagas' rows.
            self._is_stopped = True
            self._waiting.clear()
            self._rows.heard.remove(self._heard)
            for task in beside[1:]:
                task.cancel()
            try:
                while at_work := [*self._hearing, *self._hands]:
                    await asyncio.wait(at_work)
            finally:
                # Who is cancelled again waits for nobody: what is at work is rolled back, and its
                # message comes again.
                left = [*beside, *self._hearing, *self._hands]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
            await self.relay.rest()

    async def _take_next(self) -> None:
        async def take() -> None:
            self._heard.waits()
            try:
                delivery = await self._channel.receive()
            except BaseException:
                self._heard.brings_none()
                raise
            self._heard.received()
            # It is at work as soon as it is received, also when nobody waits for it any more.
            self._hear(self._take(delivery))

        while True:
            try:
                return await apart(take())
            except Exception as e:
                _log.warning("no event can be received: %s", type(e).__name__, exc_info=True)
                await asyncio.sleep(AGAIN_AFTER_S)

    def _hear(self, work: Coroutine[Any, Any, None]) -> None:
        """Some work in the room that was taken for it."""
        task = asyncio.create_task(work)
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)
        task.add_done_callback(lambda _: self._room.release())

    async def _look(self) -> None:
        """Takes up the sagas in which something is due."""
        due: list[str] = []
        while True:
            if len(due) < HEARING:
                await asyncio.sleep(LOOK_EVERY_S)
            try:
                due = await apart(self._rows.due(HEARING))
            except Exception:
                due = []
                _log.error("the sagas in which something is due are not found", exc_info=True)
                continue
            for saga_id in due:
                await self._room.acquire()
                self._hear(self._wake(saga_id))

    async def _watch(self) -> None:
        """Looks whether all that others said has been heard."""
        while True:
            self._heard.look(now())
            await asyncio.sleep(HEARD_EVERY_S)

    async def _wake(self, saga_id: str) -> None:
        with at_work(NoCommand(saga_id, None)):
            try:
                # The row says which definition it goes by.
                record = await self._rows.look_up(saga_id)
                if record is None:
                    return
                service = self._services[record.of.definition_hash]
                turned = await self._rows.turn(service, saga_id, lambda s, record, at: [])
                self._leave(service, saga_id, turned)
            except Exception:
                _log.error("the saga cannot be taken up; it is tried again", exc_info=True)

    def _leave(self, service: Service, saga_id: str, turned: Turned) -> None:
        """To whoever has a hand free. Nobody who hears waits for that."""
        self.relay.nudge()
        is_new = saga_id not in self._waiting
        if not turned.asks or self._is_stopped or (is_new and len(self._waiting) >= WAITING_MAX):
            return
        self._waiting[saga_id] = service, turned
        self._carry_on()

    def _carry_on(self) -> None:
        while len(self._hands) < self._at_once:
            free = (saga_id for saga_id in self._waiting if saga_id not in self._at_work)
            saga_id = next(free, None)
            if saga_id is None:
                return
            self._at_work[saga_id] = time.monotonic()
            task = asyncio.create_task(self._act(saga_id, *self._waiting.pop(saga_id)))
            self._hands.add(task)
            task.add_done_callback(self._put_down)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._hands.discard(task)
        self._carry_on()

    async def _act(self, saga_id: str, service: Service, turned: Turned) -> None:
        traceparent = Sending.of({"traceparent": turned.traceparent or ""}).traceparent
        try:
            with at_work(NoCommand(saga_id, trace_id(traceparent))):
                await self._asking.carry_out(service, saga_id, turned)
        finally:
            del self._at_work[saga_id]
        self.relay.nudge()

    async def _take(self, delivery: Delivery) -> None:
        at: int | None = None
        try:
            at = await self._taken(delivery)
        finally:
            self._heard.took(at, now())

    async def _taken(self, delivery: Delivery) -> int | None:
        """When it was said, where that is known. Nothing that goes wrong leaves a message
        unsettled."""
        try:
            if self._secrets:
                verify(self._secrets, delivery.attributes, delivery.body, None)
            event = SagaEvent.read(delivery.attributes, delivery.body)
        except NotSigned as e:
            await self._bury(delivery, b"unsigned", f"NOT_SIGNED: {e}")
            return now()
        except NotOurs:
            self._rows.counts.others += 1
            await self._settle(delivery, b"", lambda: self._channel.ack(delivery))
            return now()
        except Newer as e:
            self._rows.counts.put_off += 1
            _log.warning("an event is put off: %s", e)
            await self._give_back(delivery, b"a later format")
            return None
        except Damaged as e:
            self._rows.counts.damaged += 1
            await self._bury(delivery, b"damaged", f"DAMAGED_EVENT: {e}")
            return now()
        traceparent = Sending.of({"traceparent": event.traceparent or ""}).traceparent
        with at_work(NoCommand(event.saga_id, trace_id(traceparent))):
            await self._take_event(delivery, event)
        # What is of a definition that is not here is of no saga that is known here.
        return event.at if event.definition_hash in self._services else now()

    async def _take_event(self, delivery: Delivery, event: SagaEvent) -> None:
        key, counts = event.id.encode(), self._rows.counts
        if all(s.of.saga_type != event.saga_type for s in self._services.values()):
            # Several saga types may share a place.
            counts.others += 1
            return await self._settle(delivery, key, lambda: self._channel.ack(delivery))
        service = self._services.get(event.definition_hash)
        if service is None:
            return await self._put_off(delivery, event)
        since = self._at_work.get(event.saga_id)
        if since is not None and time.monotonic() - since > HELD_UP_S:
            # Its handler holds the row.
            return await self._give_back(delivery, key)
        try:
            turned = await self._rows.turn(
                service, event.saga_id, lambda s, record, at: s.hear(record, event, at.at)
            )
        except NotTaken as e:
            counts.contradicted += 1
            code = "UNKNOWN_STEP" if isinstance(e, NoStep) else "CONTRADICTS"
            return await self._bury(delivery, key, f"{code}: {e}")
        except Exception:
            _log.error("an event cannot be taken in; it comes again", exc_info=True)
            return await self._give_back(delivery, key)
        counts.heard += 1
        self._leave(service, event.saga_id, turned)
        await self._settle(delivery, key, lambda: self._channel.ack(delivery))

    async def _put_off(self, delivery: Delivery, event: SagaEvent) -> None:
        """Of a definition that this service does not have: it may get it, and must miss nothing by
        then."""
        why = (
            f"it goes by version {event.version} of {event.saga_type} (definition"
            f" {event.definition_hash}), which this service does not have"
        )
        if event.at + DEFINITION_WAIT_MS <= now():
            self._rows.counts.contradicted += 1
            return await self._bury(delivery, event.id.encode(), f"UNKNOWN_DEFINITION: {why}")
        self._rows.counts.put_off += 1
        _log.warning("an event is put off: %s; deploy it here too", why)
        await self._give_back(delivery, event.id.encode())

    async def _bury(self, delivery: Delivery, key: bytes, reason: str) -> None:
        _log.error("to the dead letters: %s", reason)
        await self._settle(delivery, key, lambda: self._channel.dead_letter(delivery, reason))

    async def _settle(
        self, delivery: Delivery, key: bytes, settle: Callable[[], Awaitable[None]]
    ) -> None:
        async def settled() -> None:
            await settle()

        try:
            await apart(settled(), SETTLED_WITHIN_S)
        except Exception:
            _log.warning("an event is not settled; it comes again", exc_info=True)
            return await self._give_back(delivery, key)
        self._pauses.over(key)

    async def _give_back(self, delivery: Delivery, key: bytes) -> None:
        """Where the broker does not take it in time, it comes again all the same."""
        pause_s = self._pauses.next_s(key)

        async def give_back() -> None:
            await self._channel.give_back(delivery, pause_s)

        try:
            await apart(give_back(), SETTLED_WITHIN_S)
        except Exception as e:
            _log.warning("an event is not given back: %s", type(e).__name__, exc_info=True)
