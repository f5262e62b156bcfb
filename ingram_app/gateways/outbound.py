"""The way out: HTTP clients, shared within an event loop, which reach public addresses only.

Others name the addresses they call, so they look at the address a name resolves to and connect to that very address:
a name that resolves differently a moment later gains nothing. Host header and TLS name stay what was asked for.
Redirects are not followed, proxies of the environment are not used, and no cookie is kept: it would be every tenant's.
`IC_ALLOW_PRIVATE_ADDRESSES` lifts the guard for addresses that operators name, never for those that a model names.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

from ingram_app.core.errors import Refused
from ingram_app.core.settings import settings
from ingram_app.gateways.wires import Address, Wires

TIMEOUT = httpx2.Timeout(300, connect=10, write=60, pool=30)
"""Seconds. Reading may take long: some models think for minutes before the first token."""
URL_LETTERS = 2000
ANSWER_BYTES = 4 * 1024 * 1024
"""More than any answer but a model's is long."""

_MOST_CONNECTIONS = 1000
_LAST_PORT = 65535
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_CARRIES_AN_IPV4 = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""NAT64 and the old IPv4-compatible form: the last 32 bits are the address that is meant."""
_NOT_FOR_ALL = [ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")]
"""Reserved, or inside Azure: `ipaddress` takes them for public."""


class ForbiddenTarget(Refused):
    """{host} is not at a public address, and only such may be called. Whoever runs this installation can allow
    private ones: IC_ALLOW_PRIVATE_ADDRESSES=true."""


class _Ways:
    """The clients of one event loop. A new one costs 50 ms, so these are the only ones there should be."""

    def __init__(self) -> None:
        operators, models = _Guarded(liftable=True), _Guarded(liftable=False)
        self.bounded = Bounded(operators)
        self.client = over(operators)
        self.public_client = over(Bounded(models))

    async def close(self) -> None:
        await self.client.aclose()
        await self.public_client.aclose()


_ways: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ways] = WeakKeyDictionary()


def client() -> httpx2.AsyncClient:
    """Return the client for addresses that operators name.

    Its requests raise `ForbiddenTarget` besides the errors of httpx2, like those of all clients here.
    """
    return _of_this_loop().client


def bounded_client(**how: Any) -> httpx2.AsyncClient:
    """Return one with headers and the like of its own, on the same connections, for answers of `ANSWER_BYTES` at most.

    It need not be closed.
    """
    return over(bounded_transport(), **how)


def bounded_transport() -> httpx2.AsyncBaseTransport:
    """Return those connections for a client of somebody else's making. Such a client must not be closed."""
    return _of_this_loop().bounded


def public_client() -> httpx2.AsyncClient:
    """Return the client for addresses that a model names: public ones whatever the settings say, answers bounded."""
    return _of_this_loop().public_client


async def close() -> None:
    """Close the clients of the running event loop, at the end of the process."""
    if old := _ways.pop(asyncio.get_running_loop(), None):
        await old.close()


def over(transport: httpx2.AsyncBaseTransport, **how: Any) -> httpx2.AsyncClient:
    """Return a client that follows nothing, believes no environment and keeps no cookie."""
    none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    usual: dict[str, Any] = {"timeout": TIMEOUT, "trust_env": False, "cookies": none}
    return httpx2.AsyncClient(transport=transport, **usual | how)


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


def is_callable(url: str) -> bool:
    """Tell whether an address is one that an operator may name: of https, and of http where private ones are allowed.

    Where its name leads is looked at when it is called.
    """
    schemes = "https?" if settings().allow_private_addresses else "https"
    return len(url) <= URL_LETTERS and re.fullmatch(rf"{schemes}://[^\s/@?#]+(/[^\s#]*)?", url) is not None


def refuse_private(host: str, *, param: str | None = None) -> None:
    """Refuse a host that is known to be inside without asking anybody; of all others the transport makes sure.

    Raises `ForbiddenTarget`.
    """
    if not settings().allow_private_addresses and _is_inside(host):
        raise ForbiddenTarget(host=host, param=param)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one that the whole internet can reach, whatever form it is written in."""
    if isinstance(address, IPv6Address):
        if (inner := _ipv4_inside(address)) is not None:
            return is_public(inner)
        if address not in _GLOBAL_UNICAST or address.teredo is not None:
            return False
    if any(address in network for network in _NOT_FOR_ALL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_inside(host: str) -> bool:
    host = host.rstrip(".").lower()
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


class Bounded(httpx2.AsyncBaseTransport):
    """Passes requests on, and reads no more of an answer than `ANSWER_BYTES`. What is packed can be a bomb: refused."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("it sends its answer packed, against our wish", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._inner:
            read += len(part)
            if read > ANSWER_BYTES:
                raise httpx2.ReadError(f"its answer is longer than {ANSWER_BYTES} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def _of_this_loop() -> _Ways:
    loop = asyncio.get_running_loop()
    if loop not in _ways:
        _ways[loop] = _Ways()
    return _ways[loop]


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    if any(address in network for network in _CARRIES_AN_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class _Inside(OSError):
    """An address that not everybody can reach."""


class _Guarded(Wires):
    def __init__(self, *, liftable: bool) -> None:
        super().__init__(self._socket_for, _trust(), most=_MOST_CONNECTIONS)
        self._liftable = liftable

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._stands and _is_inside(request.url.host):
            raise ForbiddenTarget(host=request.url.host)
        try:
            return await super().handle_async_request(request)
        except httpx2.ConnectError as failed:
            if isinstance(getattr(failed.__cause__, "os_error", None), _Inside):
                raise ForbiddenTarget(host=request.url.host) from None
            raise

    @property
    def _stands(self) -> bool:
        return not (self._liftable and settings().allow_private_addresses)

    def _socket_for(self, address: Address) -> socket.socket:
        """Return a socket for an address that a name resolved to; it will be connected to that very address."""
        family, kind, protocol, _, (host, *_) = address
        if self._stands and not is_public(ip_address(host)):
            raise _Inside("it is inside")
        return socket.socket(family, kind, protocol)


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
