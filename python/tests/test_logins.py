"""Who a service is to its broker: each way in, by real brokers. Who is not known is told so, and
nothing secret stands in what is said, shown or logged."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amends_participant import Channel
from amends_participant.channels import ConnectError, kafka, nats, rabbitmq, sqs
from brokers import WITHIN_S
from brokers.by_name import BROKERS
from brokers.doors import certified, nats_server, operated, tls_in_front
from conftest import server

PASSWORD = "s3/cr3t@of:the, owner"
"""Everything that means something in an address."""

ENCODED = "s3%2Fcr3t%40of%3Athe%2C%20owner"

KAFKA_OWNER = SQS_SECRET = "s3cr3t-of-the-owner"
"""As the testbed has them."""

SQS_KEY = "AKIAOWNER00000000000"


@pytest.fixture(autouse=True)
def nothing_secret(caplog: pytest.LogCaptureFixture) -> Any:
    """Neither in the kit's log nor in the clients'."""
    caplog.set_level(logging.INFO)
    for name in ("amends_participant", "nats", "aiormq"):
        caplog.set_level(logging.DEBUG, name)
    yield
    told = "\n".join(caplog.messages) + caplog.text
    for secret in (PASSWORD, ENCODED, "cr3t"):
        assert secret not in told


async def told(connecting: AbstractAsyncContextManager[Channel], server: object) -> str:
    """What is said to one who does not come in, and soon enough to be of use."""
    began = time.monotonic()
    with pytest.raises(ConnectError) as error:
        async with connecting:
            pass
    cause: BaseException | None = error.value
    while cause is not None:
        for secret in ("cr3t", "s3%2F"):
            assert secret not in f"{cause!r} {cause}"
        cause = cause.__cause__ or cause.__context__
    assert "cr3t" not in repr(server)
    assert time.monotonic() - began < WITHIN_S
    return str(error.value)


@asynccontextmanager
async def at_nats(folder: Path, settings: str, scheme: str = "nats") -> AsyncIterator[nats.Server]:
    async with nats_server(folder, settings) as at:
        yield nats.Server(f"{scheme}://{at}")


def nats_place() -> nats.Place:
    return BROKERS["nats"].place()  # type: ignore[no-any-return]


async def comes_in(connecting: AbstractAsyncContextManager[Channel]) -> None:
    async with connecting as channel:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.receive(), 0.05)


def at(server: nats.Server, login: str) -> nats.Server:
    return replace(server, url=server.url.replace("://", f"://{login}@"))


async def test_nats_by_user_and_password(tmp_path: Path) -> None:
    settings = f'authorization {{ user: "me", password: "{PASSWORD}" }}'
    async with at_nats(tmp_path, settings) as server:
        known = at(server, f"me:{ENCODED}")
        await comes_in(nats.connect(known, nats_place()))
        both = replace(known, url=f"{known.url}, {known.url}")
        await comes_in(nats.connect(both, nats_place()))
        for wrong in (at(server, f"me:{ENCODED}x"), server):
            said = await told(nats.connect(wrong, nats_place()), wrong)
            # The server says why and hangs up, which may overtake its word.
            assert "does not let us in: " in said


async def test_nats_by_token(tmp_path: Path) -> None:
    async with at_nats(tmp_path, f'authorization {{ token: "{PASSWORD}" }}') as server:
        for known in (replace(server, token=PASSWORD), at(server, ENCODED)):
            await comes_in(nats.connect(known, nats_place()))
        wrong = replace(server, token="cr3t")
        assert "does not let us in" in await told(nats.connect(wrong, nats_place()), wrong)


async def test_nats_by_a_file_of_credentials(tmp_path: Path) -> None:
    settings, known, unknown = operated(tmp_path)
    async with at_nats(tmp_path, settings) as server:
        await comes_in(nats.connect(replace(server, credentials=known), nats_place()))
        wrong = replace(server, credentials=unknown)
        assert "does not let us in" in await told(nats.connect(wrong, nats_place()), wrong)
        none = replace(server, credentials=tmp_path / "none.creds")
        assert "none.creds" in await told(nats.connect(none, nats_place()), none)
        broken = replace(server, credentials=tmp_path / "nats.conf")
        said = await told(nats.connect(broken, nats_place()), broken)
        assert "nats.conf is no file of credentials" in said


async def test_nats_encrypted(tmp_path: Path) -> None:
    files = certified(tmp_path)
    tls = f'tls {{ cert_file: "{files.certificate}", key_file: "{files.key}" }}'
    async with at_nats(tmp_path, tls, "tls") as server:
        await comes_in(nats.connect(replace(server, tls=files.trusts()), nats_place()))
        said = await told(nats.connect(server, nats_place()), server)
        assert "does not let us in" in said and "certificate verify failed" in said


async def test_a_nats_that_does_not_encrypt_is_not_told_the_password(tmp_path: Path) -> None:
    """Whoever answers in its place would not encrypt, either."""
    heard = b""

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(
            b'INFO {"server_id":"x","version":"2.9.0","headers":true,"auth_required":true,'
        )
        writer.write(b'"max_payload":1048576}\r\n')
        heard += await reader.read(1000)
        writer.close()

    listening = await asyncio.start_server(listens, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server = nats.Server(f"tls://me:{ENCODED}@127.0.0.1:{port}")
    said = await told(nats.connect(server, nats_place()), server)
    listening.close()
    assert "it does not encrypt, as tls:// asks it to" in said
    assert heard == b""


@pytest.mark.parametrize(
    "url", ["nats://me:s3/cr3t@host:4222", "nats://me:cr3t@", "http://me:cr3t@host", "me:cr3t@h:x"]
)
async def test_an_address_of_nats_that_is_none_is_not_shown_whole(url: str) -> None:
    server = nats.Server(url)
    assert "is no address of NATS" in await told(nats.connect(server, nats_place()), server)
    two = nats.Server("nats://me:cr3t@h,nats://you:cr3t@h")
    assert "have different logins" in await told(nats.connect(two, nats_place()), two)


async def test_rabbitmq_by_user_and_password() -> None:
    broker = BROKERS["rabbitmq"]
    address = broker.url.partition("://")[2]
    known = rabbitmq.Server(f"amqp://guest:gu%65st@{address}")
    await comes_in(rabbitmq.connect(known, broker.place()))
    wrong = rabbitmq.Server(f"amqp://guest:{ENCODED}@{address}")
    said = await told(rabbitmq.connect(wrong, broker.place()), wrong)
    assert "cannot be reached: ACCESS_REFUSED" in said


async def test_rabbitmq_encrypted(tmp_path: Path) -> None:
    files, broker = certified(tmp_path), BROKERS["rabbitmq"]
    async with tls_in_front(broker.url.partition("://")[2], files.shows()) as port:
        server = rabbitmq.Server(f"amqps://guest:guest@127.0.0.1:{port}")
        trusts = replace(server, tls=files.trusts())
        await comes_in(rabbitmq.connect(trusts, broker.place()))
        named = replace(server, url=f"{server.url}?cafile={files.ca}")
        await comes_in(rabbitmq.connect(named, broker.place()))
        said = await told(rabbitmq.connect(server, broker.place()), server)
        assert "certificate verify failed" in said


async def test_kafka_by_user_and_password(tmp_path: Path) -> None:
    """SASL/PLAIN."""

    def server_of(user: str, password: str) -> kafka.Server:
        file = tmp_path / "kafka.properties"
        file.write_text(
            "# who we are\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
            f"sasl.username={user}\nsasl.password={password}\n"
        )
        return kafka.Server(address).with_file(file)

    address, place = server("KAFKA_LOGINS"), BROKERS["kafka"].place()
    await comes_in(kafka.connect(server_of("owner", KAFKA_OWNER), place))
    wrong = server_of("owner", "cr3t")
    said = await told(kafka.connect(wrong, place), wrong)
    assert "does not let us in" in said and "Authentication failed" in said
    guest = server_of("guest", "s3cr3t-of-the-guest")
    said = await told(kafka.connect(guest, place), guest)
    assert "uthoriz" in said, said


async def test_sqs_by_key_and_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, place = f"http://{server('SQS_LOGINS')}", BROKERS["sqs"].place()
    login = (SQS_KEY, SQS_SECRET)
    quick: dict[str, Any] = {"asked_for_s": 1}
    await comes_in(sqs.connect(sqs.Server(address, login, **quick), place))
    wrong = sqs.Server(address, (SQS_KEY, "cr3t"), **quick)
    assert "SignatureDoesNotMatch" in await told(sqs.connect(wrong, place), wrong)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SQS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SQS_SECRET)
    await comes_in(sqs.connect(sqs.Server(address, **quick), place))
    profile = tmp_path / "credentials"
    profile.write_text(
        f"[shop]\naws_access_key_id = {SQS_KEY}\naws_secret_access_key = {SQS_SECRET}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    nobody = sqs.Server(address, **quick)
    assert "redentials" in await told(sqs.connect(nobody, place), nobody)
    monkeypatch.setenv("AWS_PROFILE", "shop")
    await comes_in(sqs.connect(sqs.Server(address, **quick), place))


async def test_sqs_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, broker = certified(tmp_path), BROKERS["sqs"]
    async with tls_in_front(broker.url.partition("://")[2], files.shows()) as port:
        here = sqs.Server(f"https://127.0.0.1:{port}", ("a-key", "a-secret"), asked_for_s=1)
        said = await told(sqs.connect(here, broker.place()), here)
        assert "certificate verify failed" in said.lower() or "SSL" in said
        monkeypatch.setenv("AWS_CA_BUNDLE", str(files.ca))
        await comes_in(sqs.connect(here, broker.place()))


async def test_a_session_of_sqs_says_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    listening = await asyncio.start_server(listens, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server = sqs.Server(f"http://127.0.0.1:{port}", ("key", "cr3t", f"cr3t-{uuid.uuid4()}"))
    await told(sqs.connect(server, BROKERS["sqs"].place()), server)
    listening.close()
    assert server.login is not None and server.login[-1].encode() in heard[0]
