"""serve: everything between a fresh clone and an answer at the port.

    settings → alone in the data folder → PostgreSQL → migrations → console built → granian ⇄ worker
                                                                        └─ /ready says 200: "is ready at …"

With --api-only there is no console: such processes share nothing but the database, and start in half the time.

Whatever ends it, what was brought up comes down in the opposite order; PostgreSQL last.
"""

import http.client
import multiprocessing
import os
import signal
import threading
import time
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from types import FrameType

from granian.constants import Interfaces, Loops
from granian.log import LogLevels
from granian.server import MPServer

from ingram_app.commands import building
from ingram_app.commands.installation import open_database
from ingram_app.commands.occupancy import occupying
from ingram_app.core import farewell
from ingram_app.core.settings import Settings, settings

_STREAMS_END_SECONDS = 6
"""How long a stopping worker may go on sending; without an end, an open event stream keeps it for ever."""
_POLL_SECONDS = 0.05


def take(parser: ArgumentParser) -> None:
    now = time.time()
    parser.add_argument(
        "--since", type=float, default=now, metavar="SECONDS", help="when the start began, in Unix time"
    )
    parser.add_argument("--api-only", action="store_true", help="serve the API and an engine, without the console")


def run(arguments: Namespace) -> None:
    """Serve until told to stop."""
    signal.signal(signal.SIGTERM, _leave)
    knobs = settings()
    with occupying(knobs.data_dir, knobs.host, knobs.port), open_database():
        if not arguments.api_only:
            building.build()
            os.environ.update(_reflex())
        threading.Thread(target=_announce, args=[knobs, arguments.since], daemon=True).start()
        # a forked worker would inherit our locks, and hold them should we be killed
        multiprocessing.set_start_method("spawn", force=True)
        _server(knobs, "side_door" if arguments.api_only else "ingram_app").serve()


class _Server(MPServer):
    """Granian, which lets the workers end their streams before it stops them."""

    def signal_handler_interrupt(self, *args: object, **kwargs: object) -> None:
        if not self.interrupt_signal:
            for worker in self.wrks:
                with suppress(ProcessLookupError):
                    os.kill(worker.inner.pid, farewell.SIGNAL)
        super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]


def _server(knobs: Settings, door: str) -> _Server:
    server = _Server(
        f"ingram_app.{door}:app",
        factory=True,
        address=knobs.host,
        port=knobs.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=_STREAMS_END_SECONDS,
        working_dir=building.ROOT,
    )
    at_hangup = signal.getsignal(signal.SIGHUP)

    @server.on_startup
    def a_closed_terminal_stops_us() -> None:
        """Granian would start new workers instead. Under nohup, go on."""
        signal.signal(signal.SIGHUP, at_hangup if at_hangup == signal.SIG_IGN else server.signal_handler_interrupt)

    return server


def _reflex() -> dict[str, str]:
    """Name what tells Reflex that its pages are built, and that it shall serve them."""
    return building.ENVIRONMENT | {"__REFLEX_SKIP_COMPILE": "true", "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true"}


def _announce(knobs: Settings, since: float) -> None:
    """Say where we are, once we are there."""
    # It brings the whole domain along: loaded here, it costs the start nothing.
    from ingram_app.commands import welcome

    while not _ready(knobs):
        threading.Event().wait(_POLL_SECONDS)
    ready = f"Ingram Cloud is ready at {knobs.address}, {time.time() - since:.0f} seconds after it was started."
    print(ready, *welcome.lines(), sep="\n", flush=True)


def _ready(knobs: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(knobs.host, knobs.host)
    connection = http.client.HTTPConnection(host, knobs.port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
