"""From an empty database to the one that the code expects."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ingram_app.core.cluster import Cluster
from ingram_app.core.migrations import DatabaseUnreachable, admit, migrate
from ingram_app.core.roles import DISPATCHER, ROLE

AS_APPLICATION = f"-c role={ROLE}"


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    """The URL of a database without a table."""
    name = f"empty_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.url_of("postgres"), autocommit=True) as postgres:
        postgres.execute(f"create database {name}")
        yield cluster.url_of(name)
        postgres.execute(f"drop database {name} with (force)")


def test_any_number_may_migrate_at_once(empty: str) -> None:
    with ThreadPoolExecutor(4) as processes:
        list(processes.map(migrate, [empty] * 4))
    with psycopg.connect(empty, options=AS_APPLICATION) as application:
        assert application.execute("select count(*) from runs").fetchone() == (0,)


def test_the_roles_are_held_by_row_level_security(fresh_database: str) -> None:
    with psycopg.connect(fresh_database) as owner:
        powers = "select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = any(%s)"
        assert owner.execute(powers, [[ROLE, DISPATCHER]]).fetchall() == [(False,), (False,)]
        owned = "select count(*) from pg_tables where tableowner = any(%s)"
        assert owner.execute(owned, [[ROLE, DISPATCHER]]).fetchone() == (0,)


def test_the_application_may_use_a_table_and_not_change_it(fresh_database: str) -> None:
    with psycopg.connect(fresh_database, autocommit=True) as owner:
        owner.execute("create table notes (id bigint generated always as identity, body text)")
    with psycopg.connect(fresh_database, options=AS_APPLICATION, autocommit=True) as application:
        application.execute("insert into notes (body) values ('here')")
        application.execute("update notes set body = 'there'")
        assert application.execute("delete from notes returning body").fetchall() == [("there",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("alter table notes add column more text")


def test_what_a_migration_took_back_stays_taken_back(empty: str) -> None:
    migrate(empty)
    with psycopg.connect(empty, autocommit=True) as owner:
        owner.execute("create table diary (line text)")
        owner.execute(f"revoke update, delete on diary from {ROLE}")
    migrate(empty)
    with psycopg.connect(empty, options=AS_APPLICATION, autocommit=True) as application:
        application.execute("insert into diary values ('kept')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            application.execute("delete from diary")


@pytest.mark.parametrize(
    "statement",
    [
        "set role postgres",
        "set role none; alter role ingram_app superuser",
        "reset role; alter table runs disable row level security",
        "select set_config('role', 'postgres', false)",
        "set session authorization postgres",
        "copy runs to program 'cat'",
    ],
)
def test_who_has_logged_in_as_the_application_becomes_nobody_stronger(fresh_database: str, statement: str) -> None:
    with (
        psycopg.connect(admit(fresh_database), options=AS_APPLICATION, autocommit=True) as application,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue)),
    ):
        application.execute(statement.encode())


def test_logged_in_it_may_become_the_dispatcher_and_inherits_nothing_of_it(fresh_database: str) -> None:
    with psycopg.connect(admit(fresh_database), options=AS_APPLICATION) as application:
        inherits = f"select pg_has_role('{DISPATCHER}', 'usage'), current_user = session_user"
        assert application.execute(inherits.encode()).fetchone() == (False, True)
        application.execute(f"set local role {DISPATCHER}".encode())
        assert application.execute("select count(*) from runs").fetchone() == (0,)


def test_a_database_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(DatabaseUnreachable, match=r"The database does not answer: .* Check IC_DATABASE_URL\."):
        migrate("postgresql://nobody@127.0.0.1:1/none")
