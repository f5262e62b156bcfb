"""stop: end what serves from this data folder, its PostgreSQL included."""

import os
import signal
import time
from argparse import Namespace

from ingram_app.commands.occupancy import occupant
from ingram_app.core.cluster import Cluster
from ingram_app.core.settings import settings

_PATIENCE_SECONDS = 15


def run(arguments: Namespace) -> None:
    """Ask it to stop and wait until it has; kill it when it takes too long."""
    folder = settings().data_dir
    pid = occupant(folder)
    if pid:
        _end(pid)
    Cluster(folder / "postgres").stop()
    print("Stopped." if pid else f"Nothing serves from {folder}.")


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while occupant(settings().data_dir) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
