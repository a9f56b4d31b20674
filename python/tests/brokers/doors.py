"""Doors of brokers: who is let in, and whether it is encrypted. A NATS of a test's own, since one
asks for one sort of login; TLS in front of brokers that have none."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import nkeys
import pytest
import trustme

from brokers import RUN_WITH, eventually


def free_port() -> int:
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        return int(listens.getsockname()[1])


@asynccontextmanager
async def nats_server(folder: Path, settings: str) -> AsyncIterator[str]:
    """Host and port of one with these settings."""
    program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.fail(f"there is no nats-server: see what `{RUN_WITH}` needs")
    port, config = free_port(), folder / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}" }}\n{settings}\n'
    )
    server = await asyncio.create_subprocess_exec(
        program, "-c", str(config), "-l", str(log := folder / "nats.log")
    )

    async def listens() -> bool:
        assert server.returncode is None, log.read_text()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    try:
        await eventually(listens, "nats-server does not start")
        yield f"127.0.0.1:{port}"
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


class Certified(NamedTuple):
    """Files: who says so, and what a server shows."""

    ca: Path
    certificate: Path
    key: Path

    def shows(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def trusts(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


def certified(folder: Path) -> Certified:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = Certified(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(str(files.ca))
    issued.cert_chain_pems[0].write_to_path(str(files.certificate))
    issued.private_key_pem.write_to_path(str(files.key))
    return files


@asynccontextmanager
async def tls_in_front(at: str, shows: ssl.SSLContext) -> AsyncIterator[int]:
    """The port at which what is at `host:port` is had encrypted."""
    host, _, port = at.partition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65_536):
                writer.write(said)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        for one in (forward(reader, far_writer), forward(far_reader, writer)):
            task = asyncio.create_task(one)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=shows)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(kind: int, number: int) -> nkeys.KeyPair:
    """A key of NATS's, the same each time."""
    return nkeys.from_seed(bytearray(nkeys.encode_seed(bytes([number]) * 32, kind)))


def _jwt(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, kind: str, **says: Any) -> str:
    def part(of: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()

    claims = {
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": kind,
        "iat": 1,
        "jti": kind,
        "nats": {"type": kind, "version": 2, **says},
    }
    signed = f"{part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{part(claims)}"
    signature = base64.urlsafe_b64encode(issuer.sign(signed.encode())).rstrip(b"=").decode()
    return f"{signed}.{signature}"


def operated(folder: Path) -> tuple[str, Path, Path]:
    """The settings of a server that knows people by their credentials, and the files of one whom it
    knows and of one whom it does not."""
    operator = _key(nkeys.PREFIX_BYTE_OPERATOR, 1)
    account = _key(nkeys.PREFIX_BYTE_ACCOUNT, 2)
    stranger = _key(nkeys.PREFIX_BYTE_ACCOUNT, 3)
    user = _key(nkeys.PREFIX_BYTE_USER, 4)
    any_number = {name: -1 for name in ("subs", "data", "payload", "conn", "leaf", "imports")}
    more = {"exports": -1, "wildcards": True, "mem_storage": -1, "disk_storage": -1, "streams": -1}
    limits = {**any_number, **more, "consumer": -1}
    files = []
    for name, issuer in (("known", account), ("unknown", stranger)):
        files.append(folder / f"{name}.creds")
        jwt = _jwt(issuer, user, "user", subs=-1, data=-1, payload=-1)
        files[-1].write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n"
            "------END USER NKEY SEED------\n"
        )
    system = _key(nkeys.PREFIX_BYTE_ACCOUNT, 5)  # without one there is no JetStream
    preloaded = [
        f"{of.public_key.decode()}: {_jwt(operator, of, 'account', limits=held)}"
        for of, held in ((account, limits), (system, any_number))
    ]
    settings = (
        f"operator: {_jwt(operator, operator, 'operator')}\nresolver: MEMORY\n"
        f"system_account: {system.public_key.decode()}\n"
        f"resolver_preload: {{ {', '.join(preloaded)} }}"
    )
    return settings, files[0], files[1]
