"""A participant that answers by message: commands come from a channel, replies go through the
outbox, written in the transaction that they tell of."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..about import About, at_none
from ..answers import Answer, Breach, Transient, Unknown
from ..apart import apart
from ..command import BODY_BYTES_MAX, Sending
from ..database import Transaction
from ..http.signature import NotSigned, Secret, verify
from .channel import Channel, Delivery, Outgoing
from .outbox import Outbox, Relay, publish
from .pauses import Pauses
from .replies import reply_of
from .signing import Signing

if TYPE_CHECKING:
    from ..participant import Participant

AGAIN_AFTER_S = 0.2
"""After a broker could not be asked for the next command."""

SETTLED_WITHIN_S = 10.0
"""How long a broker may take to settle a message, as it may to confirm one: one that never does
must not keep the message's place among those at work."""

_log = logging.getLogger("amends_participant")


class Serving:
    """One participant at one channel."""

    def __init__(
        self, participant: Participant, channel: Channel, secrets: Sequence[str] = ()
    ) -> None:
        self._secrets = [Secret(secret) for secret in secrets]
        self._participant = participant
        self._channel = Signing(channel, self._secrets) if secrets else channel
        self._relay = Relay(participant.database, self._channel, participant.open)
        self._pauses = Pauses()
        self._at_work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled: then no more is received, and what is at work is answered, unless
        it is cancelled once more. What the broker does not take then in time goes out when it runs
        again."""
        relay = asyncio.create_task(self._relay.run())
        room = asyncio.Semaphore(self._participant.at_work_max)
        try:
            while True:
                await room.acquire()
                await self._take_next(room)
        finally:
            try:
                if self._at_work:
                    await asyncio.wait(list(self._at_work))
            finally:
                # Who is cancelled again waits for nobody: what is at work is rolled back, and its
                # message comes again.
                left = [relay, *self._at_work]
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
            await self._relay.rest()

    async def _take_next(self, room: asyncio.Semaphore) -> None:
        """A broker that is away comes back: until then it is asked again."""

        async def take() -> None:
            # It is at work as soon as it is received, also when nobody waits for it any more.
            task = asyncio.create_task(self._settle(await self._channel.receive()))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
            task.add_done_callback(lambda _: room.release())

        while True:
            try:
                return await apart(take())
            except Exception as e:
                _log.warning("no command can be received: %s", type(e).__name__, exc_info=True)
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _settle(self, delivery: Delivery) -> None:
        """Settles a delivery once, or gives it back. If the broker does not take that either, it
        delivers it again, which the guard makes harmless."""
        try:
            is_settled = await apart(self._answer(delivery))
        except Exception as e:
            _log.warning(
                "a message is not settled and is given back: %s", type(e).__name__, exc_info=True
            )
            is_settled = False
        if is_settled:
            return self._pauses.over(_of(delivery))
        # It would come again at once otherwise, and again.
        pause_s = self._pauses.next_s(_of(delivery))
        try:
            await apart(self._channel.give_back(delivery, pause_s), SETTLED_WITHIN_S)
        except Exception as e:
            _log.warning("a message is not given back: %s", type(e).__name__, exc_info=True)

    async def _answer(self, delivery: Delivery) -> bool:
        """Is it settled? Else it is to be given back."""
        reason = self._no_command(delivery)
        if reason is not None:
            with at_none(delivery.body, Sending.of(delivery.attributes)):
                _log.warning("contract breach %s", reason)
            await self._bury(delivery, reason)
            return True
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
            return False
        if isinstance(answer, Transient) and about is not None:
            try:
                await self._say_again_later(about, answer, causation)
            except Exception as e:
                _log.warning("a reply is not taken: %s", type(e).__name__, exc_info=True)
                return False
        if isinstance(answer, (Breach, Unknown)):
            await self._bury(delivery, f"{answer.code}: {answer.message}")
        else:
            self._relay.nudge()
            await apart(self._channel.ack(delivery), SETTLED_WITHIN_S)
        return True

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        await apart(self._channel.dead_letter(delivery, reason), SETTLED_WITHIN_S)

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
                # A message may lie in its queue for days, and what comes twice is done once.
                verify(self._secrets, delivery.attributes, delivery.body, None)
            except NotSigned as e:
                return f"NOT_SIGNED: {e}"
        return None


def _of(delivery: Delivery) -> bytes:
    """What is the same each time that a message comes."""
    return hashlib.sha256(delivery.body).digest()


__all__ = ["Outbox", "Serving"]
