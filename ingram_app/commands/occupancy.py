"""Who serves from a data folder: at most one process, whose number stands in serve.pid while it holds it locked."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingram_app.core.errors import Conflict
from ingram_app.core.locks import hold


class AlreadyServing(Conflict):
    """Process {pid} serves from {folder} already. Stop it with `make stop`, or give this one another IC_DATA_DIR."""


class PortTaken(Conflict):
    """Something listens at {host}:{port} already. Stop it, or set IC_PORT to another port."""


class NoSuchAddress(Conflict):
    """This machine can not listen at {host}:{port}: {reason}. Set IC_HOST and IC_PORT."""


@contextmanager
def occupying(folder: Path, host: str, port: int) -> Iterator[None]:
    """Be the one that serves from the folder, at the port. Raises `AlreadyServing`, `PortTaken`, `NoSuchAddress`."""
    try:
        door = hold(folder / "serve.pid", wait=False)
    except BlockingIOError:
        raise AlreadyServing(pid=_pid(folder), folder=folder) from None
    try:
        _try_port(host, port)
        os.ftruncate(door, 0)
        os.write(door, str(os.getpid()).encode())
        yield
    finally:
        os.close(door)


def occupant(folder: Path) -> int | None:
    """Return the number of the process that serves from the folder, if one does."""
    if not (folder / "serve.pid").exists():
        return None
    try:
        os.close(hold(folder / "serve.pid", wait=False))
    except BlockingIOError:
        return _pid(folder)
    return None


def _pid(folder: Path) -> int:
    return int((folder / "serve.pid").read_text() or 0)


def _try_port(host: str, port: int) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as failed:
        if failed.errno == errno.EADDRINUSE:
            raise PortTaken(host=host, port=port) from None
        raise NoSuchAddress(host=host, port=port, reason=failed.strerror) from None
