"""The way out: messages leave in order, and are kept by as many brokers as the topic asks for. The
client tells on a thread of its own what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ..errors import ChannelError
from .client import Complaints, config, error_of, not_made
from .place import Server
from .topology import Sizes

TRIED_FOR_MS = 8_000
"""How long a message is tried for: less than the broker's word is waited for (10 s). A cluster that
has lost a broker elects another in less."""

UNSENT_KIB_MAX = 64 * 1024
"""What waits to leave at most: as many as are carried out, each of the largest size that is
usual."""

MESSAGE_BYTES_MAX = UNSENT_KIB_MAX * 1024
"""The largest message where only the broker knows what it takes: as large as all that waits."""

BATCH_BYTES_MAX = 1_000_000
"""The client library's own: what it sends in one go."""

PRESSED = {"compression.type": "zstd", "compression.level": 12}
"""What brokers have taken since long, and the library's best at it."""

ASKED_EVERY_S = 0.1
"""How long the client is asked at a time: so long a stop may wait."""

FLUSHED_WITHIN_S = 5.0

_REFUSALS = frozenset(
    (
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    )
)

_log = logging.getLogger("amends_participant")


class TooLarge(ChannelError):
    """A message is larger than its topic takes."""


class Outlet:
    """Publishes."""

    def __init__(self, server: Server, sizes: Sizes, *, pressed: bool = False) -> None:
        self._server, self._sizes = server, sizes
        self._pressing: Outlet | None = None
        self._complaints = Complaints()
        own = {
            # A message that the library sends again is kept once, and in its order.
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": TRIED_FOR_MS,
            # A message leaves at once; what comes while others are on their way leaves together.
            "linger.ms": 0,
            # As clients in Java do, so that whoever publishes, a saga has one partition.
            "partitioner": "murmur2_random",
            "queue.buffering.max.kbytes": UNSENT_KIB_MAX,
            "message.max.bytes": sizes.largest or MESSAGE_BYTES_MAX,
            # A batch that a topic does not take would take small messages down with it.
            "batch.size": min(sizes.smallest or BATCH_BYTES_MAX, BATCH_BYTES_MAX),
            **(PRESSED if pressed else {}),
        }
        self._config = config(server, own, self._complaints)
        try:
            self._producer = Producer(self._config)
        except KafkaException as e:
            raise not_made(e) from e
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-outlet", daemon=True)
        self._thread.start()

    async def publish(
        self,
        topic: str,
        key: bytes | None,
        headers: Sequence[tuple[str, str | bytes | None]],
        body: bytes,
    ) -> None:
        """Returns when the message is kept."""
        word: asyncio.Future[KafkaError | None] = self._loop.create_future()
        producer = self._producer

        def told(error: KafkaError | None, _: Message) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(_settle, word, error)

        try:
            producer.produce(topic, body, key, headers=list(headers), on_delivery=told)
        except KafkaException as e:
            error: KafkaError | None = error_of(e)
        except BufferError as e:
            raise ChannelError("Kafka cannot be used: too much waits to leave") from e
        else:
            error = await word
        if error is None:
            return
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._renew(producer)
        why = self._complaints.explain(error)
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            raise TooLarge(f"Kafka refuses it: {why}")
        if error.code() in _REFUSALS:
            raise ChannelError(f"Kafka refuses it: {why}")
        raise ChannelError(f"Kafka does not confirm it: {why}")

    @property
    def pressing(self) -> Outlet:
        """Another one, for what its topic takes only compressed: how large it is then the broker
        says. Few ever need it."""
        if self._pressing is None:
            self._pressing = Outlet(self._server, replace(self._sizes, largest=None), pressed=True)
        return self._pressing

    async def close(self) -> None:
        """Leaves."""
        if self._pressing is not None:
            await self._pressing.close()
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _renew(self, given_up: Producer) -> None:
        """The library gives a producer up when a broker does not know it any more (it lost what it
        had not synced). The next one is as good."""
        if self._producer is given_up:
            self._producer = Producer(self._config)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(ASKED_EVERY_S)
        self._producer.flush(FLUSHED_WITHIN_S)


def _settle(word: asyncio.Future[KafkaError | None], error: KafkaError | None) -> None:
    if not word.done():  # perhaps nobody waits any more
        word.set_result(error)
