"""The guard on the way out."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import httpx2
import pytest

from ingram_app.core.settings import settings
from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget
from tests.fakes.http import Reply, Request, serving


@pytest.fixture(autouse=True)
async def guarded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.delenv("IC_ALLOW_PRIVATE_ADDRESSES", raising=False)
    settings.cache_clear()
    await outbound.close()  # with its connections, made when the guard was off
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1", "192.0.0.8", "192.88.99.1", "168.63.129.16",
        "3fff::1", "5f00::1", "64:ff9b::a9fe:a9fe", "::ffff:0:127.0.0.1", "fd00:ec2::254",
    ],
)  # fmt: skip
def test_an_address_inside_is_not_public(address: str):
    assert not outbound.is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_an_address_of_the_internet_is_public(address: str):
    assert outbound.is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.1", "0", "[::1]", "[::ffff:127.0.0.1]",
     "[64:ff9b::7f00:1]", "LOCALHOST"],
)  # fmt: skip
async def test_every_way_of_writing_loopback_is_refused(model_server: str, host: str):
    port = model_server.rpartition(":")[2]
    with pytest.raises(ForbiddenTarget) as refused:
        await outbound.client().get(f"http://{host}:{port}/_seen")
    assert (refused.value.status, refused.value.code) == (403, "forbidden_target")


async def test_the_setting_lifts_the_guard(model_server: str, private_addresses_allowed: None):
    answer = await outbound.client().get(f"{model_server}/_seen")
    assert answer.status_code == 200


def _resolving_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the resolver answer each question with the next list, and return the addresses that were connected to."""
    remaining, connected = list(answers), []
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        addresses = remaining.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async def connect(socket: Any, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(loop, "sock_connect", connect)
    return connected


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch):
    connected = _resolving_to(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    with pytest.raises(httpx2.ConnectError):
        await outbound.client().get("http://rebinding.example/")
    assert connected == ["93.184.215.14"]


async def test_of_several_addresses_only_the_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch):
    connected = _resolving_to(monkeypatch, ["10.0.0.1", "93.184.215.14", "127.0.0.1", "93.184.215.15"])
    with pytest.raises(httpx2.ConnectError):
        await outbound.client().get("http://mixed.example/")
    assert set(connected) == {"93.184.215.14", "93.184.215.15"}


async def test_a_client_is_made_once_in_a_loop():
    assert outbound.client() is outbound.client()


async def test_what_a_model_names_stays_guarded_though_the_setting_lifts_the_guard(
    model_server: str, private_addresses_allowed: None
):
    with pytest.raises(ForbiddenTarget):
        await outbound.public_client().get(f"{model_server}/_seen")


async def test_a_cookie_of_one_answer_goes_with_no_other_request(private_addresses_allowed: None):
    seen: list[str | None] = []

    async def baker(request: Request, reply: Reply) -> None:
        seen.append(request.headers.get("cookie"))
        reply.whole(set_cookie="who=tenant-1")

    async with serving(baker) as address:
        for client in (outbound.client(), outbound.client(), outbound.bounded_client(), outbound.bounded_client()):
            await client.get(address)
    assert seen == [None] * 4


async def test_what_is_called_sends_us_nowhere_else(private_addresses_allowed: None):
    asked: list[str] = []

    async def sending_on(request: Request, reply: Reply) -> None:
        asked.append(request.path)
        reply.whole(status=307, location="/inside")

    async with serving(sending_on) as address:
        for client in (outbound.client(), outbound.bounded_client()):
            assert (await client.post(f"{address}/outside")).status_code == 307
    assert asked == ["/outside"] * 2


@pytest.mark.parametrize(
    "value", ["Bearer x\r\nx-smith: other", "Bearer x\nx-smith: other", "Bearer x\r", "Bearer x\0"]
)
async def test_a_header_s_value_never_becomes_another_header(private_addresses_allowed: None, value: str):
    async def nobody(request: Request, reply: Reply) -> None:
        raise AssertionError("it has arrived")

    async with serving(nobody) as address:
        with pytest.raises(httpx2.LocalProtocolError):
            await outbound.client().get(address, headers={"authorization": value})


async def test_no_more_of_an_answer_is_read_than_any_is_long(private_addresses_allowed: None):
    async def endless(request: Request, reply: Reply) -> None:
        reply.begin_stream()
        while True:
            await reply.send(b"x" * 65536)

    async with serving(endless) as address:
        with pytest.raises(httpx2.ReadError, match="longer than"):
            await outbound.bounded_client().get(address)


async def test_an_answer_that_may_be_a_bomb_is_not_unpacked(private_addresses_allowed: None):
    async def bomber(request: Request, reply: Reply) -> None:
        assert request.headers["accept-encoding"] == "identity"
        reply.whole(gzip.compress(b"0" * 5_000_000), content_encoding="gzip")

    async with serving(bomber) as address:
        with pytest.raises(httpx2.RemoteProtocolError, match="packed"):
            await outbound.bounded_client().get(address)


async def test_a_large_request_arrives_whole(private_addresses_allowed: None):
    sent = bytes(range(256)) * 20_000

    async def mirror(request: Request, reply: Reply) -> None:
        reply.whole(request.body[::-1])

    async def in_pieces() -> AsyncIterator[bytes]:
        yield sent[:1000]
        yield sent[1000:]

    async with serving(mirror) as address:
        for content in (sent, in_pieces()):
            answer = await outbound.client().post(address, content=content)
            assert answer.content == sent[::-1]


async def test_who_never_reads_is_not_waited_for(private_addresses_allowed: None):
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(httpx2.ReadTimeout):
        await outbound.client().post(address, content=b"x" * 20_000_000, timeout=0.1)
    server.close()
