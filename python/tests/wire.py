"""A wire between a service and its database that can be cut, and counts round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Heard:
    """Who has spoken last on a connection."""

    the_server_last: bool = True


class Wire:
    """Forwards to a server, byte for byte, until it is cut."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_cut = False
        self.cut_at: bytes | None = None
        """What the service must say for the wire to be cut, in capital letters."""
        self.pass_it_on = False
        """Whether the server still hears that. Its answer is then what is cut off."""
        self._answer_is_lost = False
        self.round_trips = 0
        """How often a service has spoken after the server did."""

    def cut(self) -> None:
        """Every connection is gone, and no new one is had."""
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut, self.cut_at, self._answer_is_lost = False, None, False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """The port of its near end."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.is_cut:
                writer.transport.abort()
                return
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            self._writers |= {writer, far_writer}
            await asyncio.gather(
                self._forward(reader, far_writer, heard := Heard(), listens=True),
                self._forward(far_reader, writer, heard, listens=False),
            )
            self._writers -= {writer, far_writer}
        finally:
            self._tasks.discard(task)

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        heard: Heard,
        *,
        listens: bool,
    ) -> None:
        try:
            while said := await reader.read(65_536):
                if listens and heard.the_server_last:
                    self.round_trips += 1
                heard.the_server_last = not listens
                if listens and self.cut_at is not None and self.cut_at in said.upper():
                    self._answer_is_lost = True
                    if not self.pass_it_on:
                        self.cut()
                if not listens and self._answer_is_lost:
                    self.cut()
                if self.is_cut:
                    return
                writer.write(said)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
