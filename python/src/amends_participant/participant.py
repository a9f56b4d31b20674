"""A participant: a service's name, its database, and a handler for each of its commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from .about import About, at_none, at_work, carry_in_log_records
from .answers import Answer, Breach, Completed, RefusedWith, Transient, UndoAnswered, Unknown
from .apart import apart
from .choreography.choreographies import Choreographies, GivenPlan
from .command import UNSAID, Command, Direction, Sending, quoted, read_command
from .database import CommitRefused, Database, Transaction, TransactionAborted
from .endings import BadData, OutcomeUnknown, Refused, refusals_alone
from .fields import NotACommand
from .guard.carry_out import (
    Aside,
    Conflict,
    Done,
    First,
    carry_out_action,
    carry_out_compensation,
)
from .guard.claim import DatabaseUnavailable
from .guard.table import ALREADY_UNDONE
from .handlers import F, Handler, handlers_of
from .http.asgi import Asgi
from .messages.channel import Channel
from .messages.inbox import once
from .messages.outbox import Outbox, Relay
from .messages.serving import Serving
from .retention import Retention, prune
from .upkeep import Upkeep

AT_WORK_MAX = 64
"""How many commands are carried out at the same moment: the engine opens up to 64 requests at once
to a service."""

RETRY_AFTER_S = 1
"""When to come again if there are as many at work, or the database is away: soon, not at once."""

Reply = Callable[[Transaction, About, Answer], Awaitable[None]]
"""Writes an answer down as a message."""

_log = logging.getLogger("amends_participant")


class Participant:
    """Carries out the commands of a service, each once.

    `create_tables` makes the kit's tables in the database at the first use, where they are not
    there; leave it out where a migration does that.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        *,
        create_tables: bool = False,
        at_work_max: int = AT_WORK_MAX,
    ) -> None:
        self.name, self.database = name, database
        self._create_tables = create_tables
        self.at_work_max = at_work_max
        self._at_work = 0
        self._handlers: dict[str, Handler] = {}
        self._open = False
        self._opening = asyncio.Lock()
        carry_in_log_records()

    @classmethod
    def of(cls, service: object, database: Database, **options: Any) -> Participant:
        """From an object with methods `handle_<command in snake case>`, named as its class."""
        participant = cls(type(service).__name__, database, **options)
        for handler in handlers_of(service):
            participant._add(handler)
        return participant

    def action(self, command: str) -> Callable[[F], F]:
        """Registers the handler of an action."""
        return self._registers(command, "action")

    def compensation(self, command: str) -> Callable[[F], F]:
        """Registers the handler of a compensation."""
        return self._registers(command, "compensation")

    @property
    def commands(self) -> frozenset[str]:
        """The names of all commands that have a handler."""
        return frozenset(self._handlers)

    def has_handler(self, command: str, direction: Direction) -> bool:
        """Is there one for this command?"""
        handler = self._handlers.get(command)
        return handler is not None and handler.direction == direction

    def choreographies(self, plans: Iterable[GivenPlan]) -> Choreographies:
        """Its side of sagas without a coordinator, by the plans that `amends plan FILE` prints. Of
        a saga type there may be several: a saga goes by the one that it was started with. Raises
        `BadPlan`, and `Unfitting` where it has no handler for a step of its own."""
        return Choreographies(self, plans)

    async def open(self) -> None:
        """Makes the database ready. Done at the first command, if not before."""
        async with self._opening:
            if not self._open:
                await self.database.open()
                if self._create_tables:
                    await self.database.create_tables()
                self._open = True

    async def close(self) -> None:
        """Gives the database's connections back."""
        async with self._opening:
            self._open = False
            await self.database.close()
        # It is of the event loop in which it was first waited for, and the next may be another.
        self._opening = asyncio.Lock()

    def asgi(self, *, secrets: Sequence[str] = (), upkeep: Upkeep | None = None) -> Asgi:
        """The application that answers over HTTP. Its server runs the upkeep; where it is mounted
        in another application nobody does, and it is that one's `lifespan`."""
        return Asgi(self, secrets, upkeep or self.upkeep())

    def upkeep(
        self, *, relay_to: Channel | None = None, prune_by: Retention | None = None
    ) -> Upkeep:
        """The relay of the outbox and the pruning, for a service that answers over HTTP."""
        return Upkeep(self, relay_to, prune_by)

    async def serve(
        self,
        channel: Channel,
        *,
        secrets: Sequence[str] = (),
        prune_by: Retention | None = None,
    ) -> None:
        """Answers by message until it is cancelled, and relays the outbox meanwhile. It prunes too
        where it is told by what; else `prune` is to be called now and then."""
        async with self.upkeep(prune_by=prune_by)():
            await Serving(self, channel, secrets).run()

    async def relay(self, channel: Channel) -> None:
        """Only relays the outbox, until it is cancelled: for a service that answers over HTTP and
        publishes events."""
        await Relay(self.database, channel, self.open).run()

    async def once(
        self, source: str, message_id: str, work: Callable[[Any], Awaitable[None]]
    ) -> bool:
        """Does some work for a received message in a transaction, which `work` is given, and only
        if the message was not here before: was it done now?"""
        await self.open()
        return await once(self.database, source, message_id, work)

    async def carry_out(
        self, body: bytes, sending: Sending = UNSAID, *, path: str | None = None
    ) -> Answer:
        """Carries out the command in a body: only what comes back may be said.

        `path` is the command's name as the transport knows it, where it does.
        """
        return (await self._carry_out(body, sending, path, None))[1]

    async def carry_out_and_reply(
        self, body: bytes, sending: Sending, reply: Reply
    ) -> tuple[About | None, Answer]:
        """The same, and `reply` writes down each answer but a breach in the transaction that it
        tells of. Of what is no command nothing is known."""
        return await self._carry_out(body, sending, None, reply)

    async def carry_out_beside(
        self, body: bytes, sending: Sending, first: First, also: Reply
    ) -> Answer:
        """The same, with something that stands beside the command: `first` comes before its claim,
        and may raise `Aside`, which comes out of here."""
        return (await self._carry_out(body, sending, None, also, first))[1]

    @property
    def source(self) -> str:
        """What its messages name as theirs."""
        return f"/services/{self.name}"

    def outbox_of(self, transaction: Transaction, about: About) -> Outbox:
        """The outbox in a transaction."""
        return Outbox(transaction, self.database, about, self.source)

    async def _carry_out(
        self,
        body: bytes,
        sending: Sending,
        path: str | None,
        reply: Reply | None,
        first: First | None = None,
    ) -> tuple[About | None, Answer]:
        try:
            command = read_command(body, self.name, path)
        except NotACommand as e:
            with at_none(body, sending):
                return None, _breach(e)
        about = About.of(command, sending)
        with at_work(about):
            try:
                handler = self._handler_of(command)
            except NotACommand as e:
                return about, _breach(e)
            if self._at_work >= self.at_work_max:
                _log.warning("transient BUSY: %d commands are at work", self._at_work)
                return about, Transient("BUSY", "too many commands at work", RETRY_AFTER_S)
            self._at_work += 1
            try:
                return about, await self._guarded(command, handler, about, reply, first)
            finally:
                self._at_work -= 1

    async def prune(self, retention: Retention) -> int:
        """Deletes the guard's rows that are older than a retention: how many. To be called now and
        then, once a day say; several services of one database may do it at once."""
        await self.open()
        return await prune(self.database, retention)

    async def _guarded(
        self,
        command: Command,
        handler: Handler,
        about: About,
        reply: Reply | None,
        first: First | None,
    ) -> Answer:
        """Each ending is logged once, here: its class, and no data."""
        try:
            if not self._open:
                await self._opened()
            done = await self._done(command, handler, about, reply, first)
        except Aside:
            raise
        except OutcomeUnknown as e:
            _log.error("unknown OUTCOME_UNKNOWN: %s: %s", type(e).__name__, e, exc_info=True)
            return Unknown(e.said, e.lasts)
        except DatabaseUnavailable as e:
            _log.warning("transient DATABASE_UNAVAILABLE: %s", e, exc_info=True)
            return Transient("DATABASE_UNAVAILABLE", str(e), RETRY_AFTER_S)
        except Conflict as e:
            what = "other transactions were in the way"
            _log.warning("transient CONFLICT: %s: %s", what, e, exc_info=True)
            return Transient("CONFLICT", what)
        except TransactionAborted as e:
            _log.warning("transient TRANSACTION_ABORTED: %s", e, exc_info=True)
            what = "the handler went on after a statement that had failed"
            return Transient("TRANSACTION_ABORTED", what)
        except CommitRefused as e:
            what = "the commit was refused"
            _log.warning("transient HANDLER_FAILED: %s: %s", what, e, exc_info=True)
            return Transient("HANDLER_FAILED", what)
        except BadData as e:
            _log.warning("contract breach BAD_DATA: %s", e)
            return Breach("BAD_DATA", str(e))
        except Exception as e:
            _log.warning("transient HANDLER_FAILED: %s", type(e).__name__, exc_info=True)
            return Transient("HANDLER_FAILED", type(e).__name__)
        _log.log(*_ending(done))
        return done.answer

    async def _opened(self) -> None:
        try:
            await apart(self.open(), self.database.connection_wait_s)
        except Exception as e:
            raise DatabaseUnavailable(type(e).__name__) from e

    async def _done(
        self,
        command: Command,
        handler: Handler,
        about: About,
        reply: Reply | None,
        first: First | None,
    ) -> Done:
        def given(transaction: Transaction) -> dict[str, Any]:
            outbox = self.outbox_of(transaction, about)
            return {"db": transaction.handle, "about": about, "outbox": outbox}

        async def also(transaction: Transaction, answer: Answer) -> None:
            if reply is not None:
                await reply(transaction, about, answer)

        follows = None if reply is None else also

        if command.direction == "compensation":

            async def undo(transaction: Transaction, result: str) -> None:
                await apart(handler.undo(command, result, **given(transaction)))

            return await carry_out_compensation(self.database, command, undo, follows, first)

        async def act(transaction: Transaction) -> str:
            try:
                return await apart(handler.act(command, **given(transaction)))
            except BadData as e:
                raise Refused("BAD_DATA", str(e)) from None
            except Exception as e:
                refusals = refusals_alone(e)
                if not refusals:
                    raise
                # The group stays its cause: what came of a conflict is known by that.
                raise Refused(refusals[0].code, refusals[0].message) from e

        return await carry_out_action(self.database, command, act, follows, first)

    def _handler_of(self, command: Command) -> Handler:
        handler = self._handlers.get(command.name)
        if handler is None:
            what = f"{self.name} has no command {quoted(command.name)}"
            raise NotACommand("UNKNOWN_COMMAND", what)
        if handler.direction != command.direction:
            what = f"{handler.command} is no {command.direction} of {self.name}"
            raise NotACommand("WRONG_DIRECTION", what)
        return handler

    def _registers(self, command: str, direction: Direction) -> Callable[[F], F]:
        def register(function: F) -> F:
            self._add(Handler(function, direction, command))
            return function

        return register

    def _add(self, handler: Handler) -> None:
        if handler.command in self._handlers:
            raise ValueError(f"{handler.command} has a handler already")
        self._handlers[handler.command] = handler


def _breach(error: NotACommand) -> Breach:
    _log.warning("contract breach %s: %s", error.code, error.message)
    return Breach(error.code, error.message)


def _ending(done: Done) -> tuple[int, str]:
    """The level and the text by which an ending stands in the log."""
    again = "" if done.is_new else " (as answered before)"
    answer = done.answer
    if isinstance(answer, Completed):
        return logging.INFO, f"completed{again}"
    if isinstance(answer, RefusedWith):
        if answer.code == ALREADY_UNDONE:
            return logging.INFO, f"refused {ALREADY_UNDONE}"
        return logging.INFO, f"refused {answer.code}{again}"
    if isinstance(answer, UndoAnswered):
        return logging.INFO, ("undone" if answer.undone else "nothing to undo") + again
    return logging.WARNING, f"contract breach {answer.code}"
