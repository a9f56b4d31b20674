"""A small HTTP/1.1 server for an ASGI application, from the standard library alone.

For development, examples and small services on a private network. In production use a server such
as uvicorn: this one speaks no TLS, and knows of HTTP what the engine's client says.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..command import BODY_BYTES_MAX
from .asgi import Message, Receive, Scope, Send

HEAD_BYTES_MAX = 16 * 1024
"""A command's head is a few hundred bytes."""

IDLE_S_MAX = 90.0
"""How long a connection may stay open between requests, or a request take to arrive."""

CONNECTIONS_MAX = 256
"""The engine opens up to 64 at once to a service; the rest is for whoever looks."""

BACKLOG = 128

TURNS_UNTIL_READ = 10
"""From a socket with bytes in it to the task that waits for them: four turns or less."""

App = Callable[[Scope, Receive, Send], Any]

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class HttpServer:
    """Serves an application from `start` to `stop`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tasks: dict[asyncio.Task[None], bool] = {}
        """Each connection, and whether a request of it is at work."""
        self._stopping = False
        self._server: asyncio.Server | None = None
        self._lifespan: _Lifespan | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens, on any free port for 0: the port."""
        self._lifespan = _Lifespan(self._app)
        await self._lifespan.start()
        self._server = await asyncio.start_server(
            self._connection, host, port, limit=HEAD_BYTES_MAX, backlog=BACKLOG
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Takes no more requests, answers those at work, and ends the application's lifespan."""
        if self._server is not None:
            self._server.close()
        # What has already arrived is read, which takes the loop some turns, and then counts as at
        # work.
        for _ in range(TURNS_UNTIL_READ):
            await asyncio.sleep(0)
        self._stopping = True
        for task, at_work in list(self._tasks.items()):
            if not at_work:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        if self._lifespan is not None:
            await self._lifespan.stop()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._stopping or len(self._tasks) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._tasks[task] = False
        try:
            while not self._stopping and await self._exchange(reader, writer, task):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            pass  # a client that hung up, or fell silent, asks again
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            del self._tasks[task]
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> bool:
        """One request and its answer: may another one follow?"""
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_S_MAX)
        except asyncio.LimitOverrunError:
            return await _refuse(writer, 431)
        self._tasks[task] = True
        try:
            request = _read_head(head)
            if request is None:
                return await _refuse(writer, 400)
            scope, length, keep_alive = request
            if length is None:
                return await _refuse(writer, 411)
            if length > BODY_BYTES_MAX:
                return await _refuse(writer, 413)
            body = await asyncio.wait_for(reader.readexactly(length), IDLE_S_MAX)
            answer = _Answer(writer, keep_alive and not self._stopping)
            try:
                await self._app(scope, _one_message(body), answer.send)
            except Exception:
                if not answer.started:
                    await _refuse(writer, 500)
                raise ConnectionAbortedError from None
            return answer.keep_alive
        finally:
            self._tasks[task] = False


async def serve_http(
    app: App, host: str, port: int, *, listening: Callable[[int], None] = lambda port: None
) -> None:
    """Serves until SIGTERM or Ctrl-C; `listening` is told the port."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # where there are no signals, Ctrl-C raises
            loop.add_signal_handler(number, stop.set)
    server = HttpServer(app)
    listening(await server.start(host, port))
    try:
        await stop.wait()
    finally:
        await server.stop()


def _read_head(head: bytes) -> tuple[Scope, int | None, bool] | None:
    """The scope, the body's length where it is said, and whether the connection stays open."""
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return None
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            return None
        headers.append((name.lower(), value.strip()))
    found = dict(headers)
    length = found.get(b"content-length", b"0" if words[0] == b"GET" else b"")
    if sum(name == b"content-length" for name, _ in headers) > 1:
        return None
    if b"transfer-encoding" in found or not length.isdigit() or len(length) > 9:
        length = b""
    path, _, query = words[1].partition(b"?")
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": words[2][5:].decode(),
        "method": words[0].decode("latin-1"),
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
    }
    keep_alive = words[2] == b"HTTP/1.1" and found.get(b"connection", b"").lower() != b"close"
    return scope, int(length) if length else None, keep_alive


def _one_message(body: bytes) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


class _Answer:
    """Head and body leave together."""

    def __init__(self, writer: asyncio.StreamWriter, keep_alive: bool) -> None:
        self._writer = writer
        self._head = b""
        self.keep_alive = keep_alive
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = self._of(message)
            return
        self.started = True
        self._writer.write(self._head + message.get("body", b""))
        self._head = b""
        await self._writer.drain()

    def _of(self, message: Message) -> bytes:
        status = message["status"]
        lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, "").encode())]
        for name, value in message["headers"]:
            if name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
            else:
                lines.append(name + b": " + value)
        if not self.keep_alive:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"


async def _refuse(writer: asyncio.StreamWriter, status: int) -> bool:
    """What follows cannot be told from the next request: the connection ends."""
    reason = _REASONS[status]
    body = f"{reason.lower()}\n".encode()
    writer.write(
        b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n"
        % (status, reason.encode(), len(body))
        + body
    )
    await writer.drain()
    return False


class _Lifespan:
    """The application's start and end, as ASGI has them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._said("lifespan.startup")

    async def stop(self) -> None:
        await self._said("lifespan.shutdown")
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        await self._app({"type": "lifespan"}, self._to_app.get, self._from_app.put)

    async def _said(self, what: str) -> None:
        await self._to_app.put({"type": what})
        answer = await self._from_app.get()
        if answer["type"].endswith(".failed"):
            raise RuntimeError(answer.get("message", what))
