"""Brings a database to the shape the code expects: its roles and its tables. Any number may try at once."""

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from ingram_app.core.errors import Unavailable
from ingram_app.core.roles import DISPATCHER, ROLE

INI = Path(__file__).parents[2] / "alembic.ini"
_REVISION = re.compile(r"^(down_)?revision\b.*=\s*[\"'](\w+)[\"']", re.MULTILINE)
_LOCK = 0x1A6_12A3
"""Held by whoever migrates; any number that nobody else takes."""


class DatabaseUnreachable(Unavailable):
    """The database does not answer: {reason} Check IC_DATABASE_URL."""


class RolesMissing(Unavailable):
    """The role of IC_DATABASE_URL may not create roles. Have an administrator run, once: {statements}"""


def migrate(url: str) -> None:
    """Bring the database at `url` up to date, as the owner of its tables. Raises `DatabaseUnreachable`, `RolesMissing`.

    Tables are born with select, insert, update and delete granted to the application's role;
    a migration that wants less revokes it.
    """
    try:
        owner = psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as failed:
        raise DatabaseUnreachable(reason=_first_line(failed)) from None
    with owner:
        owner.execute("select pg_advisory_lock(%s)", [_LOCK])
        _make_roles(owner)
        _grant_what_is_to_come(owner)
        if _version(owner) != _newest():
            _upgrade(owner, url)
        _go_on_with_the_feed(owner)


def admit(url: str) -> str:
    """Let the application's role log in to the PostgreSQL that comes with the house, and return where it does so.

    Who has logged in as the owner can become the owner again; who has logged in as this role can not.
    """
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"alter role {ROLE} login".encode())
        # inherited, the dispatcher's policy would show every transaction the runs of all projects
        owner.execute(f"grant {DISPATCHER} to {ROLE} with inherit false, set true".encode())
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{ROLE}@{parts.hostname}"))


def out_of_date(url: str) -> str | None:
    """Return in what way the database is not as the code expects it, and what to do; none when it is."""
    try:
        with psycopg.connect(url, connect_timeout=10) as owner:
            found = _version(owner)
    except psycopg.OperationalError as failed:
        return DatabaseUnreachable(reason=_first_line(failed)).sentence
    if found != _newest():
        return "its tables are of another version than the code. Run: python -m ingram_app migrate"
    return None


def _first_line(failed: Exception) -> str:
    return (str(failed).strip().splitlines() or ["no word of why."])[0]


def _upgrade(owner: psycopg.Connection, url: str) -> None:
    # Alembic and SQLAlchemy take a second to load, and most starts have nothing to migrate.
    from alembic import command
    from alembic.config import Config

    command.upgrade(Config(INI, attributes={"url": url}), "head")
    owner.execute(sql.SQL("revoke all on alembic_version from {}").format(sql.Identifier(ROLE)))


def _go_on_with_the_feed(owner: psycopg.Connection) -> None:
    """Have new events come after all that are there: in a restored database transactions are counted anew."""
    ahead = (
        "with known as (select max(position) as position from events union all select max(position) from model_calls"
        " union all select max(position) from usage_folds)"
        " select max(position) - feed_position() + feed_base() + 1 from known having max(position) > feed_position()"
    )
    row = owner.execute(ahead).fetchone()
    if row is not None:
        base = sql.SQL("create or replace function feed_base() returns bigint language sql stable as {}")
        owner.execute(base.format(sql.Literal(f"select {row[0]}::bigint")))


def _newest() -> str | None:
    """Return the revision that no other builds on, none while there are none."""
    found = [
        match.groups()
        for file in (INI.parent / "alembic" / "versions").glob("*.py")
        for match in _REVISION.finditer(file.read_text())
    ]
    heads = {name for older, name in found if not older} - {name for older, name in found if older}
    return max(heads, default=None)


def _make_roles(owner: psycopg.Connection) -> None:
    """Make the two roles and let the owner act as them. Roles belong to the server: another database may be faster."""
    statements = [f"create role {role} nologin" for role in (ROLE, DISPATCHER)]
    statements += [f"grant {role} to current_user" for role in (ROLE, DISPATCHER)]
    for statement in statements:
        try:
            owner.execute(statement.encode())
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            continue
        except psycopg.errors.InsufficientPrivilege:
            if not _may_act_as_both(owner):
                user = owner.execute("select quote_ident(current_user)").fetchone()
                told = "; ".join(statements).replace("current_user", str(user and user[0]))
                raise RolesMissing(statements=told) from None


def _may_act_as_both(owner: psycopg.Connection) -> bool:
    roles = [ROLE, DISPATCHER]
    query = "select count(*) = 2 from pg_roles where rolname = any(%s) and pg_has_role(current_user, oid, 'member')"
    row = owner.execute(query, [roles]).fetchone()
    return bool(row and row[0])


def _grant_what_is_to_come(owner: psycopg.Connection) -> None:
    role = sql.Identifier(ROLE)
    for statement in (
        "grant usage on schema public to {}",
        "alter default privileges in schema public grant select, insert, update, delete on tables to {}",
        "alter default privileges in schema public grant usage, select on sequences to {}",
        "alter default privileges in schema public grant execute on functions to {}",
    ):
        owner.execute(sql.SQL(statement).format(role))


def _version(owner: psycopg.Connection) -> str | None:
    if _lacks(owner, "alembic_version"):
        return None
    row = owner.execute("select version_num from alembic_version").fetchone()
    return row[0] if row else None


def _lacks(owner: psycopg.Connection, table: str) -> bool:
    row = owner.execute("select to_regclass(%s) is null", [f"public.{table}"]).fetchone()
    return bool(row and row[0])
