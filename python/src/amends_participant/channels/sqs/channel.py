"""A service's end of a place: its messages are asked for as there is room, hidden from others for
as long as they are held, and settled one by one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from ...apart import apart
from ...messages.channel import Delivery, Outgoing
from ..envelope import REASON
from ..errors import ChannelError
from ..hold import UNSETTLED_MAX, Hold
from . import letter
from .letter import Letter
from .place import Place, Server
from .queue import Queue, Queues, code, prepare, words

BROUGHT_AT_ONCE = 10
"""How many messages SQS brings at once."""

ASKING_MAX = 8
"""How many questions for messages are open at once while there are more than one brings: what may
be held, in three round trips. Where nothing comes one is open, since each is paid for."""

ASKED_ASIDE_FOR_S = 1
"""How long one of several is kept open: longer than no time at all, so that the service looks
everywhere."""

PAUSE_S, PAUSE_S_MAX = 0.2, 5.0
"""After the service could not be asked: twice as long after each other time, up to this."""

CONNECTED_WITHIN_S = 5
ANSWERED_WITHIN_S = 8
"""How long an answer may take: less than a confirmation is waited for (10 s)."""

CLOSED_WITHIN_S = 5.0
"""How long the service may take to hear what is left to others. What it does not hear comes to them
all the same when its time is over."""

HIDDEN_S_MAX = 12 * 60 * 60 - 60
"""How long a message may be hidden, from when it was taken: less than the twelve hours that SQS
allows, which are counted there."""

NO_REGION = "us-east-1"
"""The region of whoever says an address and no region: what speaks SQS on a laptop has none."""

_log = logging.getLogger("amends_participant")


@contextlib.asynccontextmanager
async def connect(
    server: Server, place: Place, *, create: bool = True
) -> AsyncIterator[SqsChannel]:
    """A channel to a place, where what is missing is made, or, without `create`, is an error."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(_client(server))
        queues, topology = await prepare(client, server, place, create)
        topology.say(f"SQS {server.shown}")
        channel = SqsChannel(client, server, queues)
        stack.push_async_callback(channel.close)
        channel.start()
        yield channel


def _client(server: Server) -> Any:
    session, address = get_session(), server.address
    key, secret, token = (*(server.login or (None, None)), None)[:3]
    region = server.at
    if address is not None:
        region = session.get_config_variable("region") or NO_REGION
    return session.create_client(
        "sqs",
        region_name=region,
        endpoint_url=address,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=AioConfig(
            user_agent_extra="amends",
            connect_timeout=CONNECTED_WITHIN_S,
            read_timeout=server.asked_for_s + ANSWERED_WITHIN_S,
            # Whoever publishes decides when it is tried again.
            retries={"total_max_attempts": 1},
            max_pool_connections=UNSETTLED_MAX,
        ),
    )


class _Held:
    """A message that is hidden from others until a time."""

    def __init__(self, message: dict[str, Any], until: float) -> None:
        self.message = message
        """As it came first."""
        self.brought(message, until)

    def brought(self, message: dict[str, Any], until: float) -> None:
        """By this delivery, whose receipt it is settled by."""
        self.receipt, self.taken, self.until = message["ReceiptHandle"], time.monotonic(), until

    def is_due(self, held_for_s: float) -> bool:
        """Whether it is time to hide it for as long again: a third of the time is over. What has
        been hidden for as long as there is comes again, whatever is said."""
        now = time.monotonic()
        is_time = now + held_for_s * 2 / 3 >= self.until
        return is_time and now + held_for_s <= self.taken + HIDDEN_S_MAX

    def hidden_at_most(self, after_s: float) -> int:
        """In whole seconds, as SQS counts: no sooner than it may."""
        most = self.taken + HIDDEN_S_MAX - time.monotonic()
        return max(0, min(math.ceil(after_s), int(most)))


class SqsChannel:
    """See the module."""

    def __init__(self, client: Any, server: Server, queues: Queues) -> None:
        self._client, self._server, self._queues = client, server, queues
        self._hold: Hold[_Held] = Hold()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to ask for messages."""
        self._tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._hide())]

    async def receive(self) -> Delivery:
        return await self._hold.next()

    async def ack(self, delivery: Delivery) -> None:
        held = self._hold.settle(delivery)
        if held is not None:
            await self._told(
                self._client.delete_message(
                    QueueUrl=self._queues.commands.url, ReceiptHandle=held.receipt
                )
            )

    async def give_back(self, delivery: Delivery, after_s: float = 0.0) -> None:
        held = self._hold.settle(delivery)
        if held is not None:
            await self._told(self._hidden(held, held.hidden_at_most(after_s)))

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        held = self._hold.peek(delivery)
        if held is None:
            return
        queue = self._queues.dead_letters
        aside = letter.put_aside(held.message, reason, queue.bytes_max)
        if REASON not in aside.headers:
            _log.warning("a dead letter has no room for its reason: %s", reason)
        await self._send(queue, aside)
        await self.ack(delivery)

    async def publish(self, outgoing: Outgoing) -> None:
        queue = self._queues.replies if outgoing.kind == "reply" else self._queues.events
        if queue is None:
            why = "nothing says where events are published: give the place `events`"
            raise ChannelError(f"{outgoing.name} is not published: {why}")
        leaves = letter.outgoing(outgoing)
        if leaves.bytes > queue.bytes_max:
            raise ChannelError(
                f"the message has {leaves.bytes} bytes with its envelope, and the queue takes"
                f" {queue.bytes_max} (MaximumMessageSize)"
            )
        await self._send(queue, leaves)

    async def close(self) -> None:
        """Leaves: takes nothing more, and leaves to others what it holds and has not settled."""
        # Before anything is given back, so that no question is open that would bring it here.
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        leaving = [asyncio.ensure_future(self._hidden(held, 0)) for held in self._hold.end()]
        if leaving:
            await asyncio.wait(leaving, timeout=CLOSED_WITHIN_S)
            for one in leaving:
                one.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)

    async def _take(self) -> None:
        """Brings what the service has, as there is room. Where this is ended a question that is
        open is hung up: what the service might still answer stays hidden until its time is over."""
        asking, pause_s = 1, PAUSE_S
        while True:
            room = await self._hold.room()
            questions = min(asking, math.ceil(room / BROUGHT_AT_ONCE))
            brought = await asyncio.gather(
                *(self._ask(min(room, BROUGHT_AT_ONCE), questions > 1) for _ in range(questions)),
                return_exceptions=True,
            )
            trouble = next((one for one in brought if isinstance(one, BaseException)), None)
            if trouble is not None:
                self._hold.trouble(words(trouble))
                await asyncio.sleep(pause_s)
                asking, pause_s = 1, min(2 * pause_s, PAUSE_S_MAX)
                continue
            is_full = all(many == BROUGHT_AT_ONCE for many in brought)
            # Order is kept by one question after the other.
            more = 1 if self._queues.commands.is_fifo else min(2 * asking, ASKING_MAX)
            asking, pause_s = (more if is_full else 1), PAUSE_S

    async def _ask(self, most: int, is_aside: bool) -> int:
        """How many came."""
        asked_for_s = self._server.asked_for_s
        until = time.monotonic() + self._server.held_for_s
        answer = await self._client.receive_message(
            QueueUrl=self._queues.commands.url,
            MaxNumberOfMessages=most,
            VisibilityTimeout=self._server.held_for_s,
            WaitTimeSeconds=min(ASKED_ASIDE_FOR_S, asked_for_s) if is_aside else asked_for_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        for message in messages:
            self._holds(message, until)
        return len(messages)

    def _holds(self, message: dict[str, Any], until: float) -> None:
        """One that is held already was not hidden in time: it is at work here, and settled by its
        new receipt. One that there is no room for comes when its time is over."""
        for held in self._hold.held:
            if held.message["MessageId"] == message["MessageId"]:
                return held.brought(message, until)
        self._hold.bring(letter.incoming(message), _Held(message, until))

    async def _hide(self) -> None:
        """Has the service hide what is held from others for as long again."""
        held_for_s = self._server.held_for_s
        while True:
            await asyncio.sleep(held_for_s / 6)
            # All at once: one that is not answered must not hold up the others, whose time runs.
            due = [held for held in self._hold.held if held.is_due(held_for_s)]
            await asyncio.gather(*map(self._hide_again, due))

    async def _hide_again(self, held: _Held) -> None:
        held_for_s = self._server.held_for_s
        until = time.monotonic() + held_for_s
        try:
            await apart(self._hidden(held, held_for_s), ANSWERED_WITHIN_S)
        except Exception as e:
            # It is brought to another copy then, whose guard knows it.
            _log.debug("a message is not hidden for longer: %s", words(e))
        else:
            held.until = until

    async def _hidden(self, held: _Held, time_s: int) -> None:
        await self._client.change_message_visibility(
            QueueUrl=self._queues.commands.url,
            ReceiptHandle=held.receipt,
            VisibilityTimeout=time_s,
        )

    async def _send(self, queue: Queue, leaves: Letter) -> None:
        of_order = {"MessageGroupId": leaves.group, "MessageDeduplicationId": leaves.id}
        await self._told(
            self._client.send_message(
                QueueUrl=queue.url,
                MessageBody=leaves.body,
                MessageAttributes=leaves.headers,
                **(of_order if queue.is_fifo else {}),
            )
        )

    async def _told(self, request: Awaitable[Any]) -> None:
        try:
            await asyncio.wait_for(request, ANSWERED_WITHIN_S)
        except ClientError as e:
            if code(e) in ("ReceiptHandleIsInvalid", "InvalidParameterValue.Receipt"):
                return  # it is somebody else's by now, and comes to them
            raise ChannelError(f"SQS refuses it, or cannot now: {words(e)}") from e
        except (BotoCoreError, OSError, asyncio.TimeoutError) as e:
            raise ChannelError(f"the answer of SQS was lost: {words(e)}") from e
