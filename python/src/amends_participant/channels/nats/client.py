"""The client of a server, and how it comes in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from ...apart import ended
from ..errors import ConnectError, client_is_missing
from .place import Server

CONNECTED_WITHIN_S = 10.0
"""How long the server may take to let us in, and to answer what it is asked."""

_TURNS_AWAY = ("authorization", "authentication")
"""What stands in the word of a server that does not know us."""

_CREDENTIALS = (b"BEGIN NATS USER JWT", b"BEGIN USER NKEY SEED")

_log = logging.getLogger("amends_participant")

Changed = Callable[[], Awaitable[None]]


class NotEncrypted(NatsError):
    """An address wants it encrypted, and the server does not."""

    def __str__(self) -> str:
        return "it does not encrypt, as tls:// asks it to"


class NatsClient(Client):
    """The library's, which has it encrypted where the server says so, and for whom it says nothing
    sends a password in plain: here an address that says `tls://` is taken at its word."""

    def __init__(self) -> None:
        super().__init__()
        self.why = "it says nothing"
        """What was complained of last."""
        self.turned_away = asyncio.Event()
        """That will be no other the next time."""

    async def enter(self, server: Server, changed: Changed) -> None:
        """Connects. `changed` is called whenever the server has forgotten what it was asked for."""
        addresses, login = server.parsed()
        if server.credentials is not None:
            login["user_credentials"] = str(_looked_at(server.credentials))
        elif server.token is not None:
            login["token"] = server.token
        connecting = asyncio.ensure_future(
            self.connect(
                servers=addresses,
                name="amends",
                tls=server.tls,
                connect_timeout=int(CONNECTED_WITHIN_S),
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                error_cb=self._complain,
                reconnected_cb=changed,
                closed_cb=changed,
                **login,
            )
        )
        # Another address of a cluster may know us all the same.
        away = asyncio.ensure_future(self.turned_away.wait() if len(addresses) == 1 else _never())
        try:
            await asyncio.wait(
                [connecting, away],
                timeout=CONNECTED_WITHIN_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not connecting.done():
                raise NatsError(self.why)
            try:
                connecting.result()
            except ModuleNotFoundError as e:
                raise client_is_missing("NATS with credentials", "nkeys", "nats") from e
        except BaseException:
            await ended(connecting)
            await self.leave()
            raise
        finally:
            await ended(away)

    async def leave(self) -> None:
        """Says goodbye, also in the middle of coming in."""
        with contextlib.suppress(Exception):
            await self.close()

    def fits(self, headers: dict[str, str], body: bytes) -> int:
        """How many bytes are left of what the server takes in one message. The library looks at the
        body alone, and a server that is sent more hangs up."""
        lines = sum(len(f"{n.strip()}: {v.strip()}\r\n".encode()) for n, v in headers.items())
        ends = len(b"NATS/1.0\r\n\r\n") if headers else 0
        return self.max_payload - ends - lines - len(body)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        server = self._current_server
        wants = server is not None and server.uri.scheme == "tls"
        if initial_connection and wants and not info.get("tls_required"):
            if not info.get("tls_available"):
                raise NotEncrypted
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    async def _complain(self, error: Exception) -> None:
        self.why = str(error).removeprefix("nats: ") or type(error).__name__
        _log.debug("NATS: %s", self.why)
        says = self.why.lower()
        if isinstance(error, (NotEncrypted, ssl.SSLCertVerificationError)) or any(
            word in says for word in _TURNS_AWAY
        ):
            self.turned_away.set()


def _looked_at(credentials: Path) -> Path:
    """The library looks for the end of what it takes for one for ever."""
    try:
        held = credentials.read_bytes()
    except OSError as e:
        raise ConnectError(f"the credentials for NATS cannot be read: {e}") from e
    if not all(mark in held for mark in _CREDENTIALS):
        raise ConnectError(
            f"{credentials} is no file of credentials: one has a JWT and a seed, as `nsc generate"
            " creds` makes it"
        )
    return credentials


async def _never() -> None:
    await asyncio.Event().wait()


__all__ = ["CONNECTED_WITHIN_S", "NatsClient", "NotEncrypted"]
