"""This process: its name among its siblings, and how many interactive runs it still takes up itself."""

import asyncio
import gc
import os
import secrets
import socket
import time

NAME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
"""Stands on every lease; a process that starts again has another one."""
GARBAGE_OBJECTS = 20_000
"""So many more are there before it is looked which of them are garbage."""


class Seats:
    """What is free for runs that begin here. None until an engine opens some: such runs go to the queue."""

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0

    @property
    def free(self) -> bool:
        return self.taken < self.open


SEATS = Seats()
BREATH_SECONDS = 0.03
PER_RUN_SECONDS = 0.0025
LONGEST_SECONDS = 0.075
_JITTER_SECONDS = 0.002
"""Who wakes so much too early, since timers are no finer, has breathed out."""


def breath() -> float:
    """Return for how many seconds words are gathered that a run's watchers get together: more when many runs work."""
    return min(BREATH_SECONDS + PER_RUN_SECONDS * SEATS.taken, LONGEST_SECONDS)


_breath_ends = 0.0


async def breathe() -> None:
    """Wait for the end of the breath that the process is taking: all who wait go on together."""
    global _breath_ends
    left = _breath_ends - time.monotonic()
    if left < _JITTER_SECONDS:
        left = breath()
        _breath_ends = time.monotonic() + left
    await asyncio.sleep(left)


def settle() -> None:
    """Look for garbage less often, and not among what the start has made: that stays for as long as the process does.

    Requests make few cycles; looking after every 700 objects, as Python does, costs a tenth of what they cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
