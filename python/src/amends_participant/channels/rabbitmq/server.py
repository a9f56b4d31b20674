"""A server, and a connection to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

import aiormq
from aiormq.abc import AbstractConnection
from pamqp.common import FieldValue
from yarl import URL

from ...apart import TookTooLong, apart
from ..errors import ConnectError, shown

CONNECTED_WITHIN_S = 10.0
"""How long one address may take to let us in: a machine that is off says nothing at all."""

PAUSE_S, PAUSE_S_MAX = 0.2, 5.0
"""After a connection was lost: twice as long after each try that failed, up to this."""


@dataclass(frozen=True)
class Server:
    """A RabbitMQ server, or several of a cluster, and how we come in."""

    url: str = field(repr=False)
    """`amqp://user:password@127.0.0.1:5672/vhost`, with commas between several; `amqps://` to have
    it encrypted. What is percent-encoded is taken apart, `%2f` being the virtual host `/`."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """Whom `amqps://` trusts, and what it shows of us, where that is not what the machine has:
    `ssl.create_default_context(cafile="ca.pem")`."""
    heartbeat_s: int = 6
    """How often either side says that it is there. One that says nothing for three times as long,
    and a little more, is taken for dead, so it is also how long a message waits whose service was
    cut off."""

    @property
    def shown(self) -> str:
        """The address without whoever comes in there."""
        return shown(self.url)

    async def connect(self) -> AbstractConnection:
        """To the first address that lets us in."""
        why = ""
        for address in self.url.split(","):
            url = self._parsed(address.strip())
            try:
                return await apart(self._connected(url), CONNECTED_WITHIN_S)
            except TookTooLong:
                why = f"it says nothing in {CONNECTED_WITHIN_S} s"
            except Exception as e:
                # Where a connection is lost while it is made, the library raises whatever it was
                # at, a bare `Exception` and a cancellation among them.
                why = words(e)
        raise ConnectError(f"RabbitMQ at {self.shown} cannot be reached: {why}")

    async def _connected(self, url: URL) -> AbstractConnection:
        properties: dict[str, FieldValue] = {"connection_name": "amends"}
        return await aiormq.connect(url, client_properties=properties, context=self.tls)

    def _parsed(self, address: str) -> URL:
        # What the parser says may quote the password.
        try:
            url = URL(address)
            is_one = url.scheme in ("amqp", "amqps") and bool(url.host)
        except ValueError:
            is_one = False
        if not is_one:
            raise ConnectError(
                f"`{shown(address)}` is no address of RabbitMQ: write"
                " amqp://user:password@host:5672/vhost"
            )
        if url.raw_path.lower() == "/%2f":
            url = url.with_path("/")
        if "heartbeat" in url.query:
            return url
        return url.update_query(heartbeat=str(max(1, self.heartbeat_s)))


def words(error: BaseException) -> str:
    """What the server says, or the client of it."""
    said = ": ".join(str(part) for part in error.args if isinstance(part, (str, int)))
    return said or type(error).__name__
