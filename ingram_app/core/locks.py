"""Locks between processes, by file. The kernel lets go of them however their holder ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def hold(file: Path, *, shared: bool = False, wait: bool = True) -> int:
    """Return a descriptor that holds the lock until it is closed. Raises `BlockingIOError` when told not to wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let one process at a time into the block."""
    descriptor = hold(file)
    try:
        yield
    finally:
        os.close(descriptor)
