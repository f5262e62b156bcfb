"""Wires: HTTP/1.1 in the clear and in secret, when the other side behaves and when it does not."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingram_app.gateways.wires import HEAD_BYTES, HELD_BYTES, Wire, Wires
from tests.serving import free_port

MEGABYTE = b"x" * 2**20
Reply = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server that answers each request as it is told to, and counts its connections."""

    def __init__(self, reply: Reply | bytes) -> None:
        self.reply = reply
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if isinstance(self.reply, bytes):
                    writer.write(self.reply)
                else:
                    await self.reply(head, reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def _connect(wire: Callable[[], Wire], host: str, port: int, secret: ssl.SSLContext | None) -> Wire:
    made: tuple[Any, Wire] = await asyncio.get_running_loop().create_connection(
        wire, host, port, ssl=secret, server_hostname=host if secret else None
    )
    return made[1]


@asynccontextmanager
async def talking(
    reply: Reply | bytes, *, most: int = 10, idle_seconds: float = 30, tls: Any = (None, None)
) -> AsyncIterator[tuple[httpx2.AsyncClient, Peer]]:
    peer = Peer(reply)
    server, trust = tls
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=server) as listening:
        peer.port = listening.sockets[0].getsockname()[1]
        wires = Wires(_connect, lambda: trust, most=most, idle_seconds=idle_seconds)
        base = f"{'https' if trust else 'http'}://127.0.0.1:{peer.port}"
        async with httpx2.AsyncClient(transport=wires, base_url=base, timeout=5) as client:
            yield client, peer


def whole(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - looks from outside
            await asyncio.sleep(0.001)


async def test_one_connection_serves_one_request_after_another() -> None:
    async with talking(whole(b"hello", b"x-one: 1", b"x-one: 2")) as (client, peer):
        for _ in range(3):
            answer = await client.get("/a?b=c")
            assert (answer.status_code, answer.text, answer.reason_phrase) == (200, "hello", "OK")
            assert answer.headers.get_list("x-one") == ["1", "2"]
        assert peer.connections == 1


async def test_requests_at_once_have_connections_of_their_own() -> None:
    async with talking(whole(b"hello")) as (client, peer):
        answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
        assert [answer.text for answer in answers] == ["hello"] * 5
        assert peer.connections == 5


async def test_no_more_connections_are_open_than_may_be() -> None:
    async with talking(whole(b"hello"), most=1) as (client, _):
        async with client.stream("GET", "/"):
            with pytest.raises(httpx2.PoolTimeout):
                await client.get("/", timeout=httpx2.Timeout(5, pool=0.01))
        assert (await client.get("/")).text == "hello"


async def test_an_answer_that_nobody_reads_to_its_end_takes_its_connection_along() -> None:
    async with talking(whole(MEGABYTE * 8)) as (client, peer):
        for _ in range(2):
            async with client.stream("GET", "/") as answer:
                assert answer.status_code == 200
        assert peer.connections == 2


async def test_a_connection_rests_for_a_while_and_no_longer() -> None:
    async with talking(whole(b"hello"), idle_seconds=0) as (client, peer):
        await client.get("/")
        await asyncio.sleep(0.01)
        assert (await client.get("/")).text == "hello"
        assert peer.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        whole(b"hello", b"connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        whole(b"hello") + whole(b"what nobody asked for"),
    ],
)
async def test_a_connection_that_can_not_be_trusted_with_another_request_gets_none(reply: bytes) -> None:
    async with talking(reply) as (client, peer):
        for _ in range(2):
            assert (await client.get("/")).text == "hello"
            await asyncio.sleep(0.01)
        assert peer.connections == 2


async def test_pieces_that_came_together_are_read_together() -> None:
    chunks = b"".join(b"2\r\n%02d\r\n" % number for number in range(20))
    reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with talking(reply) as (client, _), client.stream("GET", "/") as answer:
        pieces = [piece async for piece in answer.aiter_raw()]
    assert b"".join(pieces) == b"".join(b"%02d" % number for number in range(20))
    assert len(pieces) < 5


async def test_what_has_no_length_ends_with_its_connection() -> None:
    async def say(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with talking(say) as (client, _):
        assert (await client.get("/")).text == "all of it"


async def test_what_comes_before_the_answer_is_not_the_answer() -> None:
    async with talking(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + whole(b"hello")) as (client, _):
        answer = await client.get("/")
        assert (answer.status_code, answer.text, "link" in answer.headers) == (200, "hello", False)


async def test_an_answer_to_head_has_no_body_whatever_it_says() -> None:
    async with talking(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n") as (client, _):
        assert (await client.head("/")).headers["content-length"] == "99"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_large_request_arrives_whole(streamed: bool) -> None:
    heard: list[bytes] = []

    async def listen(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if streamed:
            while size := int(await reader.readline(), 16):
                heard.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
        else:
            heard.append(await reader.readexactly(4 * len(MEGABYTE)))
        writer.write(whole(b"hello"))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield MEGABYTE

    async with talking(listen) as (client, _):
        for _ in range(2):
            heard.clear()
            assert (await client.post("/", content=pieces() if streamed else MEGABYTE * 4)).text == "hello"
            assert b"".join(heard) == MEGABYTE * 4


async def test_who_reads_slowly_makes_the_other_side_wait() -> None:
    sent = 0

    async def pour(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * len(MEGABYTE)))
        for _piece in range(64):
            writer.write(MEGABYTE)
            await writer.drain()
            sent += 1

    async with talking(pour) as (client, _), client.stream("GET", "/") as answer:
        held, read = 0, 0
        async for piece in answer.aiter_raw():
            held, read = max(held, len(piece)), read + len(piece)
            if read == len(piece):
                await asyncio.sleep(0.05)
                assert sent < 64
    assert read == 64 * len(MEGABYTE)
    assert held < HELD_BYTES * 4


async def _hang_up(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _leave(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _break_off(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
    writer.write(whole(MEGABYTE)[:1000])
    writer.close()


async def _go_on_for_ever(_: bytes, __: object, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (HEAD_BYTES + 1))


async def _silent(_: bytes, reader: asyncio.StreamReader, __: object) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (_hang_up, httpx2.ReadError),
        (_leave, httpx2.RemoteProtocolError),
        (_break_off, httpx2.RemoteProtocolError),
        (_go_on_for_ever, httpx2.RemoteProtocolError),
        (b"what is this?\r\n\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", httpx2.RemoteProtocolError),
        (_silent, httpx2.ReadTimeout),
    ],
)
async def test_what_goes_wrong_is_told_and_costs_no_place(reply: Reply | bytes, failure: type[Exception]) -> None:
    async with talking(reply, most=1) as (client, peer):
        for _ in range(2):
            with pytest.raises(failure):
                await client.get("/", timeout=httpx2.Timeout(5, read=0.05, pool=1))
        peer.reply = whole(b"hello")
        assert (await client.get("/", timeout=httpx2.Timeout(5, pool=1))).text == "hello"


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    async with talking(_silent, most=1) as (client, peer):
        asking = asyncio.ensure_future(client.get("/"))
        await until(lambda: peer.connections == 1)
        asking.cancel()
        await asyncio.wait({asking})
        peer.reply = whole(b"hello")
        assert (await client.get("/")).text == "hello"


async def test_nobody_there_is_a_connect_error() -> None:
    async with talking(whole(b"")) as (client, _):
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"http://127.0.0.1:{free_port()}/")


@pytest.mark.parametrize("value", ["a\r\nx-other: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_s_value_never_becomes_another_header(value: str) -> None:
    async with talking(whole(b"hello")) as (client, peer):
        with pytest.raises((httpx2.LocalProtocolError, ValueError)):
            await client.get("/", headers={"x-mine": value})
        assert peer.connections == 0


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    begins = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begins).not_valid_after(begins + timedelta(days=2))
    named = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = builder.add_extension(named, critical=False).sign(key, hashes.SHA256())
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


async def test_https_keeps_its_connection_too(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with talking(whole(MEGABYTE), tls=tls) as (client, peer):
        for _ in range(2):
            assert (await client.get("/")).content == MEGABYTE
        assert peer.connections == 1


async def test_a_certificate_that_is_not_trusted_is_a_connect_error(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with talking(whole(b""), tls=(tls[0], httpx2.create_ssl_context(trust_env=False))) as (client, _):
        with pytest.raises(httpx2.ConnectError):
            await client.get("/")
