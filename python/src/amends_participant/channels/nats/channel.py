"""A service's end of a place: its messages are pulled as there is room, said to be at work as long
as they are, and settled one by one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError
from nats.js.errors import NoStreamResponseError

from ...apart import apart
from ...messages.channel import Delivery, Outgoing
from ..envelope import REASON, header_name, header_text, header_value, opened
from ..errors import ChannelError, ConnectError
from ..hold import Hold
from .client import CONNECTED_WITHIN_S, NatsClient
from .letter import MESSAGE_ID, put_aside
from .place import AnyPlace, Server
from .topology import prepare

BATCH_MAX = 64
"""How many messages are asked for at once: enough to hide the way to the server and back."""

ASKED_FOR_S = 30.0
"""How long the server keeps such a request open when it has nothing."""

PAUSE_S, PAUSE_S_MAX = 0.2, 5.0
"""After the server could not be reached: twice as long after each try, up to this."""

TIME_IS_OVER = "408"
"""What the server says of a request that it has kept open so long."""

AS_IT_SHOULD_BE = "over"
"""A request ends and the next one begins."""

_ACK, _GIVE_BACK, _AT_WORK, _NEVER_AGAIN = b"+ACK", b"-NAK", b"+WPI", b"+TERM"

_log = logging.getLogger("amends_participant")


@contextlib.asynccontextmanager
async def connect(
    server: Server, place: AnyPlace, *, create: bool = True
) -> AsyncIterator[NatsChannel]:
    """A channel to a place, where what is missing is made, or, without `create`, is an error."""
    channel = NatsChannel(server, place)
    await channel.open(create)
    try:
        yield channel
    finally:
        await channel.close()


class NatsChannel:
    """See the module. It connects again by itself."""

    def __init__(self, server: Server, place: AnyPlace) -> None:
        self._server, self._place = server, place
        self._client = NatsClient()
        self._hold: Hold[Msg] = Hold()
        self._came: asyncio.Queue[str] = asyncio.Queue()
        """What has come of what the server was asked for: nothing said is a message, anything else
        is why there comes no more."""
        self._inbox = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._ack_wait_s = server.ack_wait_s

    async def open(self, create: bool) -> None:
        """Connects."""
        await self._enter()
        try:
            topology, self._ack_wait_s = await prepare(
                self._client.jetstream(), self._server, self._place, create
            )
        except BaseException:
            await self._client.leave()
            raise
        topology.say(f"NATS {self._server.shown}")
        self._tasks = [asyncio.create_task(self._pull()), asyncio.create_task(self._say_at_work())]

    async def receive(self) -> Delivery:
        return await self._hold.next()

    async def ack(self, delivery: Delivery) -> None:
        await self._settle(delivery, _ACK)

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        pause = json.dumps({"delay": int(after_s * 1e9)}).encode()
        await self._settle(delivery, _GIVE_BACK + b" " + pause if after_s > 0 else _GIVE_BACK)

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        message = self._hold.peek(delivery)
        if message is None:
            return
        headers = put_aside(
            message.headers or {}, reason, lambda of: self._client.fits(of, message.data)
        )
        if REASON not in headers:
            _log.warning("a dead letter has no room for its reason: %s", reason)
        await self._confirmed(self._place.dead_letters, message.data, headers)
        await self._settle(delivery, _NEVER_AGAIN)

    async def publish(self, outgoing: Outgoing) -> None:
        subject = self._place.subject(outgoing.kind, outgoing.name)
        if subject is None:
            why = "nothing says where events are published: give the place `events`"
            raise ChannelError(f"{outgoing.name} is not published: {why}")
        headers = {MESSAGE_ID: header_value(outgoing.id)}
        for name, value in outgoing.attributes.items():
            headers[header_name("ce-", name)] = header_value(value)
        await self._confirmed(subject, outgoing.body, headers)

    async def close(self) -> None:
        """Leaves: takes nothing more, and leaves to others what it holds and has not settled."""
        # Before anything is given back: the server would bring it to the request that is open.
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        held = self._hold.end()
        if self._client.is_connected:  # else it comes to others when its time is over
            with contextlib.suppress(Exception):
                await apart(self._left(held), CONNECTED_WITHIN_S)
        await self._client.leave()

    async def _left(self, held: list[Msg]) -> None:
        for message in held:
            await self._client.publish(message.reply, _GIVE_BACK)
        await self._client.flush(int(CONNECTED_WITHIN_S))

    async def _enter(self) -> None:
        """Connects, and listens where what is asked for comes to."""
        client = NatsClient()
        try:
            await client.enter(self._server, self._is_forgotten)
            self._inbox = client.new_inbox()
            await client.subscribe(self._inbox, cb=self._take)
        except (ConnectError, ModuleNotFoundError):
            raise
        except Exception as e:
            await client.leave()
            how = "does not let us in" if client.turned_away.is_set() else "cannot be reached"
            why = str(e).removeprefix("nats: ") or type(e).__name__
            raise ConnectError(f"NATS at {self._server.shown} {how}: {why}") from e
        self._client = client

    async def _pull(self) -> None:
        """Brings what the server has, as there is room."""
        pause_s = PAUSE_S
        while True:
            try:
                if self._client.is_closed:
                    await apart(self._enter())
                await apart(self._pull_once())
                pause_s = PAUSE_S
            except Exception as e:
                # Whatever it is: a service that stops asking hears nothing any more.
                self._hold.trouble(str(e) or type(e).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _pull_once(self) -> None:
        if not self._client.is_connected:
            raise NatsError(f"not connected ({self._client.why})")
        many = min(BATCH_MAX, await self._hold.room())
        request = {"batch": many, "expires": int(ASKED_FOR_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._place.holds}.{self._place.consumer}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=self._inbox)
        for _ in range(many):
            over = await self._came.get()
            if over == AS_IT_SHOULD_BE:
                return
            if over:
                raise NatsError(over)

    async def _say_at_work(self) -> None:
        """Tells the server that what is held is still at work."""
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for message in self._hold.held:
                # Unsaid, it is brought to another copy, whose guard knows it.
                with contextlib.suppress(Exception):
                    await self._client.publish(message.reply, _AT_WORK)

    async def _settle(self, delivery: Delivery, how: bytes) -> None:
        message = self._hold.settle(delivery)
        if message is None:
            return
        try:
            await self._client.publish(message.reply, how)
        except (NatsError, OSError) as e:
            raise ChannelError(f"NATS cannot be told: {e}") from e

    async def _confirmed(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        # It would wait in our memory for the next connection.
        if not self._client.is_connected:
            raise ChannelError(f"NATS cannot be used: not connected ({self._client.why})")
        over = -self._client.fits(headers, body)
        if over > 0:
            most = self._client.max_payload
            raise ChannelError(
                f"NATS refuses it: with its headers it has {over} bytes more than the {most} that"
                " the server takes (max_payload)"
            )
        try:
            await self._client.jetstream().publish(
                subject, body, timeout=CONNECTED_WITHIN_S, headers=headers or None
            )
        except NoStreamResponseError as e:
            # Also while a server that has just been started reads what it has.
            raise ChannelError(f"no stream of NATS takes {subject}") from e
        except TimeoutError as e:
            raise ChannelError("the word of NATS was lost: it said nothing in time") from e
        except (NatsError, OSError) as e:
            raise ChannelError(f"NATS does not confirm it: {e}") from e

    async def _take(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        if status is not None:
            said = f"{status} {(message.headers or {}).get('Description', '')}"
            self._came.put_nowait(AS_IT_SHOULD_BE if status == TIME_IS_OVER else said)
            return
        headers = ((n, header_text(value)) for n, value in (message.headers or {}).items())
        if self._hold.bring(opened(headers, message.data), message):
            self._came.put_nowait("")
        else:
            await self._client.publish(message.reply, _GIVE_BACK)

    async def _is_forgotten(self) -> None:
        """By the server: what it was asked for over another connection it knows no more."""
        self._came.put_nowait(AS_IT_SHOULD_BE)


__all__ = ["NatsChannel", "connect"]
