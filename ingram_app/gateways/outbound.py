"""The way out: one HTTP client per event loop, which reaches public addresses only.

Tenants name the addresses it calls, so it looks at the address a name resolves to and connects to that very address:
a name that resolves differently a moment later gains nothing. Host header and TLS name stay what was asked for.
Redirects are not followed, proxies of the environment are not used. `IC_ALLOW_PRIVATE_ADDRESSES` lifts the guard.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from weakref import WeakKeyDictionary

import httpcore2
import httpx2

from ingram_app.core.errors import Refused
from ingram_app.core.settings import settings

TIMEOUT = httpx2.Timeout(300, connect=10, write=60, pool=30)
"""Seconds. Reading may take long: some models think for minutes before the first token."""

_MOST_CONNECTIONS = 1000
_LAST_PORT = 65535
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_CARRIES_AN_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""NAT64 and the old IPv4-compatible form: the last 32 bits are the address that is meant."""

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()


class ForbiddenTarget(Refused):
    """{host} is not at a public address, and only such may be called. Whoever runs this installation can allow
    private ones: IC_ALLOW_PRIVATE_ADDRESSES=true."""


def client() -> httpx2.AsyncClient:
    """Return the client of the running event loop. A new one costs 50 ms, so this is the only one there should be.

    Its requests raise `ForbiddenTarget` besides the errors of httpx2.
    """
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = httpx2.AsyncClient(transport=_GuardedTransport(), timeout=TIMEOUT, trust_env=False)
    return _clients[loop]


async def close() -> None:
    """Close the client of the running event loop, at the end of the process."""
    if old := _clients.pop(asyncio.get_running_loop(), None):
        await old.aclose()


def host_of(url: str) -> str:
    """Return the host that a URL names, as it will be asked for. Raises `ValueError` that says what is wrong."""
    try:
        named = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("it can not be read as an address") from None
    if not named.host:
        raise ValueError("it names no host")
    if (named.port or 0) > _LAST_PORT:
        raise ValueError(f"there is no port {named.port}")
    if named.userinfo:
        raise ValueError("a name and a password have no place in it")
    return named.host


def refuse_private(host: str, *, param: str | None = None) -> None:
    """Refuse a host that is known to be inside without asking anybody; of all others the transport makes sure.

    Raises `ForbiddenTarget`.
    """
    if not settings().allow_private_addresses and _is_inside(host.rstrip(".").lower()):
        raise ForbiddenTarget(host=host, param=param)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one that the whole internet can reach, whatever form it is written in."""
    if isinstance(address, IPv6Address):
        if (inner := _ipv4_inside(address)) is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_inside(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        pass
    try:
        return not is_public(IPv4Address(socket.inet_aton(host)))  # 127.1, 0x7f000001
    except OSError:
        return False


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    if any(address in network for network in _CARRIES_AN_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_trust(),
            max_connections=_MOST_CONNECTIONS,
            keepalive_expiry=30,
            network_backend=_GuardedNetwork(),
        )


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


class _GuardedNetwork(httpcore2.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if port > _LAST_PORT:
            raise httpcore2.ConnectError(f"there is no port {port}")
        if settings().allow_private_addresses:
            return await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        failure: Exception | None = None
        for address in await _public_addresses(host, port, within_seconds=timeout):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as down:
                failure = down
        raise failure or ForbiddenTarget(host=host)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise ForbiddenTarget(host=path)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _public_addresses(host: str, port: int, within_seconds: float | None) -> list[str]:
    try:
        async with asyncio.timeout(within_seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise httpcore2.ConnectTimeout(f"no answer to the name {host} in time") from None
    except (OSError, UnicodeError) as unknown:
        raise httpcore2.ConnectError(f"the name {host} is not known") from unknown
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [address for address in addresses if is_public(ip_address(address))]
