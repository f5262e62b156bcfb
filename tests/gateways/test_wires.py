"""The wires: what comes is read as it comes or gathered, from those alone who can show that they are who was asked."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ingram_app.core.clock import now
from ingram_app.gateways.wires import GATHERED, Address, Wires


def certified(name: str, folder: Path) -> Path:
    """Write a key with a certificate that it has given itself for a name, and return where."""
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(now() - timedelta(days=1)).not_valid_after(now() + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}.pem"
    file.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def answering(file: Path) -> AsyncIterator[str]:
    """Serve by TLS on loopback, and yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        writer.close()

    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(file)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=shown)
    yield str(server.sockets[0].getsockname()[1])
    server.close()


def a_socket(address: Address) -> socket.socket:
    return socket.socket(*address[:3])


async def test_a_server_whose_certificate_is_for_another_name_or_of_nobody_known_is_refused(tmp_path: Path) -> None:
    ours, theirs = certified("localhost", tmp_path), certified("elsewhere.example", tmp_path)
    trust = httpx2.create_ssl_context(trust_env=False)
    stranger = Wires(a_socket, httpx2.create_ssl_context(trust_env=False), most=10)
    for file in (ours, theirs):
        trust.load_verify_locations(file)
    trusting = Wires(a_socket, trust, most=10)
    async with answering(ours) as port:
        url = f"https://localhost:{port}/"
        assert (await trusting.handle_async_request(httpx2.Request("GET", url))).status_code == 200
        with pytest.raises(httpx2.ConnectError, match=r"self.signed"):
            await stranger.handle_async_request(httpx2.Request("GET", url))
    async with answering(theirs) as port:
        with pytest.raises(httpx2.ConnectError, match="Hostname mismatch"):
            await trusting.handle_async_request(httpx2.Request("GET", f"https://localhost:{port}/"))
    await stranger.aclose()
    await trusting.aclose()


async def test_what_comes_is_gathered_after_the_first_piece_and_not_for_longer_than_there_is_more(
    tmp_path: Path,
) -> None:
    begun = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await begun.wait()
        for letter in b"bcd":
            writer.write(b"1\r\n%c\r\n" % letter)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    wires = Wires(a_socket, ssl.create_default_context(), most=1)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pieces = []
    async with (
        asyncio.timeout(10),
        httpx2.AsyncClient(transport=wires) as client,
        client.stream("GET", url, extensions={GATHERED: lambda: 60.0}) as response,
    ):
        async for piece in response.aiter_raw():
            pieces.append(piece)
            begun.set()
    server.close()
    assert pieces == [b"a", b"bcd"]
