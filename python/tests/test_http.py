"""Over real connections: under uvicorn, mounted in FastAPI, and by the kit's own small server."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import fastapi
import httpx
import pytest
import uvicorn

from amends_participant import MemoryChannel, Outbox, Participant, Retention, Sqlite
from amends_participant.http.server import HEAD_BYTES_MAX, HttpServer
from amends_participant.http.signature import NotSigned, Secret, verify
from amends_participant.testing import command_body
from conftest import Shop

# The example of the Standard Webhooks specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def check(signature: str, *, now: float = AT, secrets: tuple[str, ...] = (SECRET,)) -> None:
    headers = {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": signature}
    verify([Secret(secret) for secret in secrets], headers, BODY, now)


def test_the_specifications_example_signs_and_verifies() -> None:
    assert Secret(SECRET).sign(ID, AT, BODY) == SIGNATURE
    check(SIGNATURE)
    check(f"v1a,xyz v1,??? {SIGNATURE}", secrets=("another", SECRET))
    for now in (AT + 300, AT - 300):
        check(SIGNATURE, now=now)


def test_what_was_changed_or_is_old_is_not_taken() -> None:
    for signature in ("", "v1,", "v2" + SIGNATURE[2:], SIGNATURE[:24], "é", "x " * 16 + SIGNATURE):
        with pytest.raises(NotSigned, match="no signature"):
            check(signature)
    with pytest.raises(NotSigned, match="no signature"):
        check(SIGNATURE, secrets=("another",))
    for now in (AT + 301, AT - 301):
        with pytest.raises(NotSigned, match="off"):
            check(SIGNATURE, now=now)
    for missing in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        headers = {"webhook-id": ID, "webhook-timestamp": "7", "webhook-signature": SIGNATURE}
        del headers[missing]
        with pytest.raises(NotSigned, match="missing"):
            verify([Secret(SECRET)], headers, BODY, AT)


def test_secrets_that_sign_nothing_are_refused_and_none_is_shown() -> None:
    for text in ("", "whsec_", "whsec_!"):
        with pytest.raises(ValueError):
            Secret(text)
    assert repr(Secret(SECRET)) == "Secret"


async def test_a_secret_keeps_out_what_is_not_signed(small_shop: Shop, saga: str) -> None:
    secret, body = Secret("ours"), command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    transport = httpx.ASGITransport(small_shop.participant.asgi(secrets=["ours", "the new one"]))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        for headers in (
            {},
            {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,"},
        ):
            answer = await http.post("/Sell", content=body, headers=headers)
            assert answer.status_code == 401
        assert small_shop.ran == []
        now = int(time.time())
        signed = {
            "webhook-id": "1",
            "webhook-timestamp": str(now),
            "webhook-signature": secret.sign("1", now, body),
        }
        assert (await http.post("/Sell", content=body, headers=signed)).status_code == 200
        changed = body.replace(b"cup", b"pot")
        assert (await http.post("/Sell", content=changed, headers=signed)).status_code == 401


@contextlib.asynccontextmanager
async def under_uvicorn(app: Any) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # uvicorn tells it in no other way
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def sold_twice(url: str, saga: str) -> None:
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(2):
            answer = await http.post("/Sell", content=body)
            assert (answer.status_code, answer.json()) == (200, {"sold": "cup"})
        missing = await http.post("/Nothing", content=body)
        assert missing.headers["content-type"].startswith("text/plain")


async def test_under_uvicorn_its_lifespan_makes_the_tables(tmp_path: Any) -> None:
    participant = Participant("Shop", Sqlite(tmp_path / "shop.db"), create_tables=True)
    async with under_uvicorn(participant.asgi()):
        transaction = await participant.database.begin()
        assert (await transaction.statement("SELECT * FROM amends_guard", {})).rows == []
        await transaction.rollback()


async def test_mounted_in_fastapi(small_shop: Shop, saga: str) -> None:
    app = fastapi.FastAPI()
    app.mount("/commands", small_shop.participant.asgi())
    async with under_uvicorn(app) as url:
        await sold_twice(f"{url}/commands", saga)
    assert small_shop.ran == ["sell"]


@pytest.mark.parametrize("is_mounted", [False, True])
async def test_the_upkeep_relays_and_prunes(small_shop: Shop, saga: str, is_mounted: bool) -> None:
    """Run by the server, or by the application around it."""

    @small_shop.participant.action("Tell")
    async def tell(data: dict[str, Any], outbox: Outbox) -> None:
        await outbox.publish("Told", {})

    old = str(uuid.uuid4())
    await small_shop.participant.carry_out(command_body("Shop.Sell", {"item": "c"}, saga_id=old))
    await small_shop.stage.run("UPDATE amends_guard SET written_at = '2001-01-01'")
    channel = MemoryChannel()
    upkeep = small_shop.participant.upkeep(
        relay_to=channel, prune_by=Retention(longest=timedelta(days=21))
    )
    app: Any = small_shop.participant.asgi(upkeep=upkeep)
    path = "/Tell"
    if is_mounted:
        app, path = fastapi.FastAPI(lifespan=upkeep), "/commands/Tell"
        app.mount("/commands", small_shop.participant.asgi())
    async with under_uvicorn(app) as url, httpx.AsyncClient(base_url=url) as http:
        body = command_body("Shop.Tell", {}, saga_id=saga)
        assert (await http.post(path, content=body)).status_code == 200
        assert (await channel.has_published(1))[0].name == "Told"
        while await small_shop.guard(old):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the database tells it in no other way
        assert await small_shop.guard(saga) == {"action": ("completed", 1)}


@contextlib.asynccontextmanager
async def by_the_small_server(app: Any) -> AsyncIterator[tuple[HttpServer, int]]:
    server = HttpServer(app)
    port = await server.start("127.0.0.1", 0)
    yield server, port
    await server.stop()


async def test_by_the_small_server(small_shop: Shop, saga: str) -> None:
    async with by_the_small_server(small_shop.participant.asgi()) as (_, port):
        await sold_twice(f"http://127.0.0.1:{port}", saga)
    assert small_shop.ran == ["sell"]


def _of(status: int) -> bytes:
    return b"HTTP/1.1 %d " % status


async def test_what_the_small_server_does_not_take(small_shop: Shop, saga: str) -> None:
    body = command_body("Shop.Sell", {"item": "cup"}, saga_id=saga)
    length = b"Content-Length: %d\r\n" % len(body)
    post = b"POST /Sell HTTP/1.1\r\nHost: shop\r\n"
    cases = [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /Sell HTTP/2\r\n\r\n", 400),
        (post + b" folded: 1\r\n\r\n", 400),
        (post + length + length + b"\r\n" + body, 400),
        (post + b"\r\n" + body, 411),
        (post + b"Transfer-Encoding: chunked\r\n\r\n", 411),
        (post + b"Content-Length: -1\r\n\r\n", 411),
        (post + b"Content-Length: 1048577\r\n\r\n", 413),
        (post + b"X: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n", 431),
        (b"GET /Sell HTTP/1.1\r\n\r\n", 405),
        (post + length + b"\r\n" + body, 200),
    ]
    async with by_the_small_server(small_shop.participant.asgi()) as (_, port):
        for sent, status in cases:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert (await reader.read(13)) == _of(status), sent[:80]
            writer.close()
        # Two requests in one go, and then it is asked to close.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        one = post + length + b"\r\n" + body
        writer.write(one + one.replace(b"Host: shop", b"Connection: close"))
        answers = await reader.read()
        assert answers.count(b"200 OK") == 2 and answers.count(b"connection: close") == 1
        writer.close()
        # One that hangs up in the middle of its command.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post + length + b"\r\n" + body[:10])
        writer.close()
        await reader.read()
    assert small_shop.ran == ["sell"]


async def test_the_small_server_answers_what_is_at_work_when_it_stops(
    small_shop: Shop, saga: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @small_shop.participant.action("Wait")
    async def wait(data: dict[str, Any]) -> str:
        begun.set()
        await go_on.wait()
        return "waited"

    server = HttpServer(small_shop.participant.asgi())
    port = await server.start("127.0.0.1", 0)
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    busy, busy_writer = await asyncio.open_connection("127.0.0.1", port)
    body = command_body("Shop.Wait", {}, saga_id=saga)
    busy_writer.write(b"POST /Wait HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await begun.wait()
    stopping = asyncio.create_task(server.stop())
    assert await idle.read() == b""
    assert not stopping.done()
    go_on.set()
    answer = await busy.read()
    assert answer.startswith(_of(200)) and answer.endswith(b'"waited"')
    await stopping
    for writer in (idle_writer, busy_writer):
        writer.close()
