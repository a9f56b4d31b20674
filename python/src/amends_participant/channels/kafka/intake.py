"""The way in: messages are taken as there is room, settled in any order, and brought again where
they were given back. The client blocks, so it has a thread of its own; all else is in the event
loop, but for the marks, which both look at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ...messages.channel import Delivery
from ..envelope import opened
from ..hold import UNSETTLED_MAX, Hold
from .client import Complaints, config, not_made
from .marks import Marks
from .place import AnyPlace, Server
from .waiting import Line, Waiting

SILENT_MS_MAX = 10_000
"""How long a copy may say nothing before its partitions go to the others; so it is also how long a
message waits whose service was killed. The client says something every three seconds from a thread
of its own, however busy the rest is. Shorter, and a network that hiccups takes partitions away from
copies that are well; a cluster takes no less than six seconds unless told otherwise."""

SAYS_EVERY_MS = 3_000

MARKED_EVERY_MS = 1_000
"""How often the marks are told to the cluster: what was settled since comes again after a crash."""

READ_AHEAD_KIB = UNSETTLED_MAX * 64
"""What is taken into memory before it is asked for: what may be held, each of the size that is
usual, a dozen times over."""

FULL_FOR_S = 1.0
"""How long a service without room asks for nothing before it says so to the client, which throws
away what it has read ahead then, and reads it again."""

ASKED_EVERY_S = 0.1
"""How long the client is asked at a time: so long a stop may wait, and a new partition that is to
pause."""

PAUSE_S = 0.2
"""After the cluster could not be read from."""

_PASSES = frozenset((KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE))
"""One broker's connection, and it is made again. That all are gone is said, too."""

_log = logging.getLogger("amends_participant")


@dataclass(frozen=True, eq=False)
class Record:
    """A message that is held."""

    message: Message
    partition: int
    offset: int
    assignment: int
    """In which assignment of its partition it came."""

    @property
    def line(self) -> Line:
        """Where it waits."""
        key = self.message.key()
        return Line(self.partition, self.offset if key is None else key)


class Intake:
    """What a service takes from its topic."""

    def __init__(self, server: Server, place: AnyPlace) -> None:
        self._topic = place.taken
        self._room = threading.Semaphore(UNSETTLED_MAX)
        self.hold: Hold[Record] = Hold(freed=self._room.release)
        self._waiting: Waiting[Delivery] = Waiting()
        self._timer: asyncio.TimerHandle | None = None
        self._marks, self._lock = Marks(), threading.Lock()
        self._moved: dict[int, int] = {}
        """Marks that the client was not told of yet: it would have us wait while it is asked for
        messages."""
        self._is_paused = False
        self._stop = threading.Event()
        self._complaints = Complaints()
        own = {
            "group.id": place.group,
            # A mark is ours to set; the client tells it, also when a partition goes.
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": MARKED_EVERY_MS,
            # What was published before the first copy came.
            "auto.offset.reset": "earliest",
            # The others keep what they have when a copy comes or goes.
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SILENT_MS_MAX,
            "heartbeat.interval.ms": SAYS_EVERY_MS,
            "queued.max.messages.kbytes": READ_AHEAD_KIB,
            "allow.auto.create.topics": False,
        }
        try:
            self._consumer = Consumer(config(server, own, self._complaints))
            self._consumer.subscribe(
                [self._topic],
                on_assign=lambda _, of: self._assigned(of),
                on_revoke=lambda _, of: self._revoked(of),
                on_lost=lambda _, of: self._revoked(of),
            )
        except KafkaException as e:
            raise not_made(e) from e
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="kafka-intake", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def settle(self, delivery: Delivery) -> None:
        """Ends the hold on a message, and moves the mark where nothing before it is open."""
        record = self.hold.settle(delivery)
        if record is None:
            return
        with self._lock:
            mark = self._marks.settled(record.partition, record.assignment, record.offset)
            if mark is not None:
                self._moved[record.partition] = mark

    def give_back(self, delivery: Delivery, after_s: float) -> None:
        """Brings a message again after this time, and what comes of its saga meanwhile behind
        it."""
        aside = self.hold.set_aside(delivery)
        if aside is None:
            return
        again, record = aside
        self._waiting.put(record.line, record.offset, self._loop.time() + after_s, again)
        self._look_when_due()

    async def close(self) -> None:
        """Leaves: the marks are told, and others have our partitions."""
        self.hold.end()
        if self._timer is not None:
            self._timer.cancel()
        self._stop.set()
        await asyncio.to_thread(self._thread.join)

    def _look_when_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._waiting.next_due
        self._timer = None if due is None else self._loop.call_at(due, self._bring_what_is_due)

    def _bring_what_is_due(self) -> None:
        for delivery in self._waiting.take_due(self._loop.time()):
            self.hold.tell(delivery)
        self._look_when_due()

    def _take(self, record: Record) -> None:
        """Takes a message, and tells of it unless one of its saga waits."""
        headers = [
            (name, text)
            for name, value in headers_of(record.message)
            if (text := _text(value)) is not None
        ]
        delivery = opened(headers, record.message.value() or b"")
        if not self.hold.keep(delivery, record):
            self._room.release()  # we have left
        elif record.line in self._waiting:
            self._waiting.put(record.line, record.offset, self._loop.time(), delivery)
        else:
            self.hold.tell(delivery)

    def _lose(self, partitions: set[int], until: int) -> None:
        """Forgets what is held of partitions that are somebody else's now: they bring it again."""
        self._waiting.forget(partitions)
        self.hold.lose(lambda of: of.partition in partitions and of.assignment <= until)
        self._look_when_due()

    # What follows is the thread's.

    def _run(self) -> None:
        has_room, full_for_s = False, 0.0
        while not self._stop.is_set():
            if not has_room:
                has_room = self._room.acquire(timeout=0 if self._is_paused else ASKED_EVERY_S)
                full_for_s = 0.0 if has_room else full_for_s + ASKED_EVERY_S
            if has_room and self._is_paused:
                self._pause(False)
            if not has_room and not self._is_paused:
                if full_for_s < FULL_FOR_S:
                    continue
                self._pause(True)
            self._tell_marks()
            # A client that is not asked for so long that it is taken for dead is asked also where
            # there is no room: it has paused.
            try:
                message = self._consumer.poll(ASKED_EVERY_S)
            except Exception as e:
                # Whatever it is: a thread that ends leaves a service that hears nothing.
                self._say(str(e) or type(e).__name__)
                continue
            if message is None:
                continue
            error = message.error()
            if error is not None:
                self._complain(error)
            elif not has_room:
                self._leave(message)
            else:
                has_room = not self._came(message)
        self._tell_marks()
        with contextlib.suppress(KafkaException, RuntimeError):
            self._consumer.close()

    def _tell_marks(self) -> None:
        """The client tells them to the cluster every now and then, and when a partition goes."""
        with self._lock:
            moved, self._moved = self._moved, {}
        if not moved:
            return
        marks = [TopicPartition(self._topic, of, mark) for of, mark in moved.items()]
        try:
            self._consumer.store_offsets(offsets=marks)
        except (KafkaException, RuntimeError) as e:
            # The next mark says the same and more; without one it comes again.
            _log.debug("a mark of %s is not kept: %s", self._topic, e)

    def _came(self, message: Message) -> bool:
        """Has it taken up the room?"""
        partition, offset = message.partition() or 0, message.offset() or 0
        with self._lock:
            assignment = self._marks.came(partition, offset)
        if assignment is None:
            return False  # somebody else's by now
        self._in_loop(self._take, Record(message, partition, offset, assignment))
        return True

    def _leave(self, message: Message) -> None:
        """Has a message that there is no room for come again."""
        partition, offset = message.partition() or 0, message.offset() or 0
        try:
            self._consumer.seek(TopicPartition(self._topic, partition, offset))
        except KafkaException as e:
            _log.debug("%s/%d is somebody else's: %s", self._topic, partition, e)

    def _pause(self, pause: bool) -> None:
        """Has the client read nothing, or go on. It answers at once: no broker is asked."""
        with self._lock:
            ours = [TopicPartition(self._topic, of) for of in self._marks.partitions]
        try:
            (self._consumer.pause if pause else self._consumer.resume)(ours)
            self._is_paused = pause
        except KafkaException as e:
            _log.warning("the client for Kafka does not pause: %s", e)
            self._stop.wait(PAUSE_S)

    def _assigned(self, of: Iterable[TopicPartition]) -> None:
        partitions = [one.partition for one in of]
        with self._lock:
            self._marks.assigned(partitions)
        if self._is_paused:
            # Where it does not, what comes is left, and comes again.
            self._is_paused = False

    def _revoked(self, of: Iterable[TopicPartition]) -> None:
        """Before the client lets go of a partition, and tells the cluster its mark."""
        partitions = {one.partition for one in of}
        self._tell_marks()
        with self._lock:
            self._marks.revoked(partitions)
            for partition in partitions:
                self._moved.pop(partition, None)
            until = self._marks.assignments
        self._in_loop(self._lose, partitions, until)

    def _complain(self, error: KafkaError) -> None:
        if error.code() not in _PASSES:
            self._say(self._complaints.explain(error))

    def _say(self, why: str) -> None:
        self._in_loop(self.hold.trouble, why)
        self._stop.wait(PAUSE_S)

    def _in_loop(self, do: object, *of: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(do, *of)  # type: ignore[arg-type]


def headers_of(message: Message) -> list[tuple[str, str | bytes | None]]:
    """As they came; none where the client cannot read them, since a name of theirs is no text: what
    it cannot say to us is nothing of ours, and the message is to be settled all the same."""
    try:
        headers = message.headers() or []
    except Exception as e:
        _log.debug("headers that cannot be read: %s", type(e).__name__)
        return []
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


def _text(value: object) -> str | None:
    """A value that is no text says nothing to us."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
