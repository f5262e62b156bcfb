"""This process: its name among its siblings, and how many interactive runs it still takes up itself."""

import os
import secrets
import socket

NAME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
"""Stands on every lease; a process that starts again has another one."""


class Seats:
    """What is free for runs that begin here. None until an engine opens some: such runs go to the queue."""

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0

    @property
    def free(self) -> bool:
        return self.taken < self.open


SEATS = Seats()
