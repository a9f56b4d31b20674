"""A participant that answers by message: commands come from a channel, replies go through the
outbox, written in the transaction that they tell of."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..about import About
from ..answers import Answer, Breach, Transient, Unknown
from ..command import BODY_BYTES_MAX, Sending
from ..database import Transaction
from ..http.signature import NotSigned, Secret, verify
from .channel import Channel, Delivery, Outgoing
from .outbox import Outbox, Relay, publish
from .pauses import Pauses, wait_for
from .replies import reply_of

if TYPE_CHECKING:
    from ..participant import Participant

AGAIN_AFTER_S = 0.2
"""After a broker could not be asked for the next command."""

_log = logging.getLogger("amends_participant")


class Serving:
    """One participant at one channel."""

    def __init__(
        self, participant: Participant, channel: Channel, secrets: Sequence[str] = ()
    ) -> None:
        self._participant, self._channel = participant, channel
        self._secrets = [Secret(secret) for secret in secrets]
        self._relay = Relay(participant.database, channel)
        self._pauses = Pauses()
        self._stopping = asyncio.Event()
        self._at_work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled: then no more is received, what waits is given back, and what is
        at work is answered. What is in the outbox then goes out when it runs again."""
        relay = asyncio.create_task(self._relay.run())
        room = asyncio.Semaphore(self._participant.at_work_max)
        try:
            while True:
                await room.acquire()
                delivery = await self._next()
                task = asyncio.create_task(self._settle(delivery))
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)
                task.add_done_callback(lambda _: room.release())
        finally:
            self._stopping.set()
            if self._at_work:
                await asyncio.wait(list(self._at_work))
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)

    async def _next(self) -> Delivery:
        """A broker that is away comes back: until then it is asked again."""
        while True:
            try:
                return await self._channel.receive()
            except Exception as e:
                _log.warning("no command can be received: %s", type(e).__name__, exc_info=True)
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _settle(self, delivery: Delivery) -> None:
        """Settles a delivery once. If the broker does not take that, it delivers it again, which
        the guard makes harmless."""
        try:
            await self._answer(delivery)
        except Exception as e:
            _log.warning("a message is not settled: %s", type(e).__name__, exc_info=True)

    async def _answer(self, delivery: Delivery) -> None:
        reason = self._no_command(delivery)
        if reason is not None:
            _log.warning("contract breach: %s", reason)
            await self._channel.dead_letter(delivery, reason)
            return
        cause = delivery.attributes.get("id")
        causation = {} if cause is None else {"causationid": cause}

        async def put(transaction: Transaction, about: About, answer: Answer) -> None:
            name, body = reply_of(about, answer)
            outbox = self._participant.outbox_of(transaction, about)
            await outbox.put("reply", name, body, causation)

        about, answer = await self._participant.carry_out_and_reply(
            delivery.body, Sending.of(delivery.attributes), put
        )
        if isinstance(answer, Unknown) and not answer.lasts:
            return await self._give_back(delivery)
        if isinstance(answer, Transient) and about is not None:
            try:
                await self._say_again_later(about, answer, causation)
            except Exception as e:
                _log.warning("a reply is not taken: %s", type(e).__name__, exc_info=True)
                return await self._give_back(delivery)
        self._pauses.over(_of(delivery))
        if isinstance(answer, (Breach, Unknown)):
            await self._channel.dead_letter(delivery, f"{answer.code}: {answer.message}")
        else:
            self._relay.nudge()
            await self._channel.ack(delivery)

    async def _give_back(self, delivery: Delivery) -> None:
        """It would come again at once otherwise, and again. Its place among those at work is its
        own until then: where all wait, no more are taken."""
        await wait_for(self._stopping, self._pauses.next_s(_of(delivery)))
        await self._channel.give_back(delivery)

    async def _say_again_later(
        self, about: About, answer: Transient, causation: dict[str, str]
    ) -> None:
        """Nothing was written, and perhaps nothing can be: the reply goes out directly."""
        name, body = reply_of(about, answer)
        attributes = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": self._participant.source,
            "type": name,
            "correlationid": about.saga_id,
            "datacontenttype": "application/json",
            **causation,
        }
        outgoing = Outgoing(
            attributes["id"], about.saga_id, "reply", name, attributes, body.encode()
        )
        await publish(self._channel, outgoing)

    def _no_command(self, delivery: Delivery) -> str | None:
        """Why a message is not looked at."""
        if len(delivery.body) > BODY_BYTES_MAX:
            return f"TOO_LARGE: a command has at most {BODY_BYTES_MAX} bytes"
        if self._secrets:
            try:
                verify(self._secrets, delivery.attributes, delivery.body, time.time())
            except NotSigned as e:
                return f"NOT_SIGNED: {e}"
        return None


def _of(delivery: Delivery) -> bytes:
    """What is the same each time that a message comes."""
    return hashlib.sha256(delivery.body).digest()


__all__ = ["Outbox", "Serving"]
