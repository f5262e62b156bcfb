"""Journeys: statements that go to the server together, and come back together, with one wait for all of them.

This drives libpq's pipeline, as psycopg gives it (`psycopg.pq`); values are told, and read, by psycopg's adapters. Its
own pipeline takes as much work as the journeys that it saves.
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import count
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

Driver = psycopg.AsyncConnection[Any]
_PARAMETER = re.compile(r"%%|%\((\w+)\)s")
_PREPARED_AT_MOST = 500
"""Statements of a connection; what is more is spelt anew at each use."""
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
_Statement = tuple[str, Mapping[str, Any]]
_Kind = tuple[str, tuple[int, ...]]
"""What is prepared once: a text, with parameters of these types."""


class Rows:
    """What a statement gave, and how many rows it gave or touched: once its journey is over."""

    __slots__ = ("_rows", "rowcount", "text")

    def __init__(self, text: str) -> None:
        self.text = text

    def come(self, rows: Sequence[Sequence[Any]], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def all(self) -> Sequence[Sequence[Any]]:
        return self._rows

    def first(self) -> Sequence[Any] | None:
        return self._rows[0] if self._rows else None

    def one(self) -> Sequence[Any]:
        (row,) = self._rows
        return row

    def scalar(self) -> Any:
        """The first value of the first row, `None` when there is no row."""
        return self._rows[0][0] if self._rows else None


_Asked = tuple[Callable[[], None], Rows | _Kind]
"""How it is sent, and what is there for the answer: of what is only prepared, nothing."""


class Wire:
    """The way to the server of one connection: what is to be asked on it, and what it has prepared."""

    def __init__(self, held: Driver) -> None:
        self.held = held
        self._server = held.pgconn
        self._adapter = Transformer(held)
        self._prepared: dict[_Kind, bytes] = {}
        self._numbers = count()
        self._opening: Sequence[_Statement] = ()
        self._waiting: list[_Asked] = []
        self.failed = ""
        """The statement that failed last."""

    @property
    def waits(self) -> bool:
        """Something is to be asked."""
        return bool(self._waiting)

    @property
    def opened(self) -> bool:
        """What was to go before all else is under way."""
        return not self._opening

    @property
    def aborted(self) -> bool:
        """A statement failed, and the transaction can only be rolled back: PostgreSQL does so at a commit."""
        return self._server.transaction_status == TransactionStatus.INERROR

    def open_with(self, *statements: _Statement) -> None:
        """Have these go before the next that is asked, if there is one."""
        self._opening = statements

    def open(self) -> None:
        """Have those go now that were to go before all else."""
        opening, self._opening = self._opening, ()
        for text, values in opening:
            self.ask(text, values)

    def ask(self, text: str, values: Mapping[str, Any]) -> Rows:
        """Have a statement go out with the next journey. Its parameters are spelt `%(name)s`."""
        self.open()
        query, names = _numbered(text)
        given = self._adapter.dump_sequence([values[name] for name in names], [PyFormat.AUTO] * len(names))
        kind, formats, rows = (text, tuple(self._adapter.types or ())), self._adapter.formats, Rows(text)
        name = self._prepared.get(kind)
        if name is None and len(self._prepared) < _PREPARED_AT_MOST:
            name = self._prepared[kind] = f"journey_{next(self._numbers)}".encode()
            self._waiting.append((partial(self._server.send_prepare, name, query, kind[1]), kind))
        if name is None:
            send = partial(self._server.send_query_params, query, given, kind[1], formats)
        else:
            send = partial(self._server.send_query_prepared, name, given, formats)
        self._waiting.append((send, rows))
        return rows

    async def go(self) -> None:
        """Ask what is to be asked, and wait until all of it was answered. Raises what the first that failed says."""
        async with self.held.lock:
            asked, self._waiting = self._waiting, []
            try:
                self._server.enter_pipeline_mode()
                results = await self.held.wait(_there_and_back(self._server, [send for send, _ in asked]))
                self._server.exit_pipeline_mode()
            except BaseException:
                self._break_off(asked)
                raise
        self._read([what for _, what in asked], results)

    def forget(self) -> None:
        """Ask nothing of what was to be asked."""
        self._unprepare(self._waiting)
        self._opening, self._waiting = (), []

    def _read(self, asked: Sequence[Rows | _Kind], results: Sequence[PGresult]) -> None:
        failed = None
        for what, result in zip(asked, results, strict=True):
            if result.status in _FAILED:
                if failed is None:
                    failed, self.failed = result, what.text if isinstance(what, Rows) else what[0]
                if not isinstance(what, Rows):
                    del self._prepared[what]
            elif not isinstance(what, Rows):
                continue
            elif result.status == ExecStatus.TUPLES_OK:
                self._adapter.set_pgresult(result)
                what.come(self._adapter.load_rows(0, result.ntuples, tuple), result.ntuples)
            else:
                what.come((), result.command_tuples or 0)
        if failed is not None:
            raise psycopg.errors.error_from_result(failed)

    def _unprepare(self, asked: Sequence[_Asked]) -> None:
        """Take nothing for prepared that was to be: whether it was is not known."""
        for _, what in asked:
            if not isinstance(what, Rows):
                del self._prepared[what]

    def _break_off(self, asked: Sequence[_Asked]) -> None:
        """Leave the connection in a state in which it can be used again or, when that can not be, closed."""
        self._unprepare(asked)
        try:
            self._server.exit_pipeline_mode()
        except psycopg.Error:
            self._server.finish()


def _there_and_back(pgconn: PGconn, sends: list[Callable[[], None]]) -> Generator[Wait, Ready | int, list[PGresult]]:
    """Send statements and return what each gave; waits are the caller's, as for psycopg's own generators."""
    for send in sends:
        send()
    pgconn.pipeline_sync()
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results
        results.append(result)


@lru_cache(maxsize=4096)
def _numbered(text: str) -> tuple[bytes, list[str]]:
    """Return a statement with its parameters numbered, and their names in that order."""
    names: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name = found[1]
        return "%" if name is None else names.setdefault(name, f"${len(names) + 1}")

    return _PARAMETER.sub(number, text).encode(), list(names)
