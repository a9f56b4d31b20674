"""A participant as an ASGI application: `POST /<Command>`, answers as docs/guard.md has them.

It stands alone under a server such as uvicorn, or is mounted in another application. A server runs
its lifespan, and in it the upkeep. Where it is mounted nobody does: the database is made ready at
the first command, and the upkeep is to be run by the application around it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from ..about import at_none
from ..answers import Answer, Breach, Completed, RefusedWith, Transient, UndoAnswered, to_json
from ..command import BODY_BYTES_MAX, Sending, quoted
from .signature import NotSigned, Secret, verify

if TYPE_CHECKING:
    from ..participant import Participant
    from ..upkeep import Upkeep

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

_log = logging.getLogger("amends_participant")


class Asgi:
    """The application. With secrets each request must be signed by one of them; a rotation has
    two."""

    def __init__(self, participant: Participant, secrets: Sequence[str], upkeep: Upkeep) -> None:
        self._participant, self._upkeep = participant, upkeep
        self._secrets = [Secret(secret) for secret in secrets]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as running:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    try:
                        await self._participant.open()
                    except Exception as e:
                        # The database may yet come; until then each command is told to come again.
                        _log.warning("not ready: %s", type(e).__name__, exc_info=True)
                    await running.enter_async_context(self._upkeep())
                    await send({"type": "lifespan.startup.complete"})
                else:
                    await running.aclose()
                    await self._participant.close()
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        command = _path(scope)
        if command not in self._participant.commands:
            # As plain text: a JSON 404 would say of an undo that there is nothing to undo.
            text = f"{self._participant.name} has no such command\n"
            with at_none(b"", Sending.of(_headers(scope))):
                _log.warning("%s has no command %s", self._participant.name, quoted(command))
            await _respond(send, 404, text, _TEXT)
            return
        if scope["method"] != "POST":
            await _respond(send, 405, "a command is a POST\n", _TEXT, allow="POST")
            return
        headers = _headers(scope)
        body = await _body(headers, receive)
        if body is None:
            with at_none(b"", Sending.of(headers)):
                _log.warning("contract breach TOO_LARGE: over %d bytes", BODY_BYTES_MAX)
            text = error_body("TOO_LARGE", f"a command has at most {BODY_BYTES_MAX} bytes")
            await _respond(send, 413, text, _JSON, connection="close")
            return
        try:
            if self._secrets:
                verify(self._secrets, headers, body, time.time())
        except NotSigned as e:
            with at_none(body, Sending.of(headers)):
                _log.warning("contract breach NOT_SIGNED: %s", e)
            await _respond(send, 401, error_body("NOT_SIGNED", str(e)), _JSON)
            return
        answer = await self._participant.carry_out(body, Sending.of(headers), path=command)
        status, text, more = http_answer(answer)
        await _respond(send, status, text, _JSON, **more)


def http_answer(answer: Answer) -> tuple[int, str, dict[str, str]]:
    """Status, body and further headers."""
    if isinstance(answer, Completed):
        return 200, answer.result, {}
    if isinstance(answer, UndoAnswered):
        return 200, to_json({"undone": answer.undone}), {}
    if isinstance(answer, RefusedWith):
        return 422, f'{{"error":{answer.error}}}', {}
    if isinstance(answer, Breach):
        return 400, error_body(answer.code, answer.message), {}
    if isinstance(answer, Transient):
        error = {"code": answer.code, "message": answer.message}
        after = answer.retry_after_s
        more = {} if after is None else {"retry_after": str(after)}
        return 503, to_json({"error": error, "retryable": True}), more
    return 500, error_body(answer.code, answer.message), {}


def error_body(code: str, message: str) -> str:
    """As every error is said."""
    return to_json({"error": {"code": code, "message": message}})


def _path(scope: Scope) -> str:
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and path.startswith(root):
        path = path[len(root) :]
    return path.strip("/")


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name. One that is there twice is as if it were not there."""
    found: dict[str, str] = {}
    twice = set()
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found:
            twice.add(key)
        found[key] = value.decode("latin-1")
    return {key: value for key, value in found.items() if key not in twice}


async def _body(headers: dict[str, str], receive: Receive) -> bytes | None:
    """All of it, or `None` when it is too large."""
    length = headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 9 or int(length) > BODY_BYTES_MAX):
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionAbortedError("the sender hung up before its command was whole")
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return bytes(body)


async def _respond(send: Send, status: int, text: str, content_type: str, **more: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
