"""What may go wrong with a broker, and with its client."""

from __future__ import annotations


class ConnectError(Exception):
    """There is no connection, or no place: the broker is away, does not let us in, or lacks
    something that was not to be made. The text says what to do, and holds no password."""


class ChannelError(Exception):
    """A broker did not do what it was asked: it is away, its word was lost, or it refuses. What was
    to be published is published again; what was to be settled comes again."""


def client_is_missing(broker: str, client: str, extra: str) -> ModuleNotFoundError:
    """Says what to install."""
    return ModuleNotFoundError(
        f"the channel over {broker} needs {client}: pip install 'amends-participant[{extra}]'",
        name=client,
    )


def shown(addresses: str) -> str:
    """Addresses, with commas between them, without whoever comes in there."""
    return ",".join(_shown(address.strip()) for address in addresses.split(","))


def _shown(address: str) -> str:
    host = address.rpartition("@")[2]
    scheme, is_url, _ = address.partition("://")
    return f"{scheme}://{host.rpartition('://')[2]}" if is_url else host
