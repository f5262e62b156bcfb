"""From an empty database to the one that the code expects."""

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from ingram_app.core.cluster import Cluster
from ingram_app.core.database import pool, transaction
from ingram_app.core.migrations import INI, DatabaseUnreachable, admit, migrate
from ingram_app.core.roles import DISPATCHER, ROLE
from ingram_app.core.settings import settings
from ingram_app.domain import access, usage
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import MEASURES, By

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


BEFORE_THE_LEDGER = "e735f999c62e"
BEFORE_PENTADS = "14fe17040397"
AT = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)


@pytest.fixture
def owned(empty: str) -> Iterator[str]:
    """The same as one who owns it and is no superuser: row level security holds it too."""
    name = f"owner_{secrets.token_hex(4)}"
    with psycopg.connect(empty, autocommit=True) as postgres:
        postgres.execute("create extension vector")
        postgres.execute(f"create role {name} login; grant {ROLE}, {DISPATCHER} to {name}")
        postgres.execute(f"alter database {postgres.info.dbname} owner to {name}")
        yield empty.replace("postgres@", f"{name}@")
        postgres.execute(f"reassign owned by {name} to postgres; drop owned by {name}; drop role {name}")


def insert(postgres: psycopg.Connection, table: str, **values: Any) -> None:
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    postgres.execute(f"insert into {table} ({names}) values ({places})", [*values.values()])


def test_what_runs_had_used_before_there_was_a_ledger_is_its_beginning(
    owned: str, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(owned)
    versions = Config(INI, attributes={"url": owned})
    command.downgrade(versions, BEFORE_THE_LEDGER)
    with psycopg.connect(empty, autocommit=True) as postgres:
        insert(postgres, "organizations", id="org", name="Acme", created_at=AT)
        expected = [row for project in ("one", "two") for row in runs_as_they_were(postgres, project)]
        migrate(owned)
        columns = (
            "c.project_id, run_id, smith_id, agent_id, agent_version, model, customers.name, app, source, runs,"
            " input_tokens, output_tokens, cost_micros, at, estimated"
        )
        kept = f"select {columns} from model_calls c left join customers on customers.id = customer_id order by 1, 2"
        assert postgres.execute(kept).fetchall() == expected
    monkeypatch.setenv("IC_DATABASE_URL", empty)
    for forget in (settings.cache_clear, pool.cache_clear):
        forget()
    whole = tuple(sum(row[place] for row in expected if row[0] == "one") for place in (9, 10, 11, 12))
    assert asyncio.run(added_up("one")) == [whole] * 4
    for forget in (settings.cache_clear, pool.cache_clear):
        forget()


async def added_up(project: str) -> list[tuple[int, ...]]:
    """Return (runs, input tokens, output tokens, micros) by smith and day, before and after they are added up."""
    platform, year = access.platform(project), Period(date(2026, 1, 1), date(2026, 4, 1))
    found: list[tuple[int, ...]] = []
    bys: tuple[By, ...] = ("smith", "day")
    for _ in range(2):
        async with transaction(platform.tenancy) as session:
            for by in bys:
                one = usage.total(await usage.browse(session, platform, year, by))
                found.append((one.runs, one.input_tokens, one.output_tokens, one.cost_micros))
        async with transaction(platform.tenancy) as session:
            assert await usage.fold(session, platform, project) is (len(found) == 2)
    await pool().dispose()
    return found


def test_days_that_are_added_up_become_pentads(owned: str, empty: str) -> None:
    migrate(owned)
    versions = Config(INI, attributes={"url": owned})
    command.downgrade(versions, BEFORE_PENTADS)
    with psycopg.connect(empty, autocommit=True) as postgres:
        for project in ("one", "two"):
            insert(postgres, "usage_folds", project_id=project, position=7, folded_at=AT)
            for day in (1, 5, 6, 30, 31):
                key = dict.fromkeys(("smith_id", "agent_id", "model", "customer_id", "app", "source"), "x")
                key |= {"project_id": project, "grain": "smith_day", "starts": date(2026, 3, day)}
                insert(postgres, "usage_sums", **key, **dict.fromkeys(MEASURES, day))
        migrate(owned)
        pentads = (
            f"select extract(day from starts)::int, {', '.join(MEASURES)} from usage_sums"
            " where grain = 'smith_pentad' and project_id = %s order by 1"
        )
        for project in ("one", "two"):
            found = postgres.execute(pentads, [project]).fetchall()
            assert found == [(1, *[6] * 7), (6, *[6] * 7), (26, *[61] * 7)]
        assert postgres.execute("select position, pentads from usage_folds").fetchall() == [(7, 7)] * 2


KINDS: list[tuple[str, dict[str, Any], tuple[int, int, int] | None]] = [
    ("at work", {"status": "running"}, None),
    ("broke", {"status": "failed", "finished_at": AT}, None),
    ("done", {"status": "completed", "input_tokens": 10, "output_tokens": 2, "cost_micros": 3}, (10, 2, 3)),
    ("failed", {"status": "failed", "input_tokens": 4, "output_tokens": 0, "cost_micros": 0}, (4, 0, 0)),
    ("paused", {"status": "paused_for_tool", "input_tokens": 9, "output_tokens": 1, "cost_micros": 1}, (9, 1, 1)),
    ("stopped", {"status": "cancelled", "input_tokens": 4, "finished_at": AT}, (4, 0, 0)),
    ("unpriced", {"status": "completed", "input_tokens": 10, "output_tokens": 2, "finished_at": AT}, (10, 2, 0)),
    ("waits", {"status": "queued"}, None),
]
"""Name, columns of a run that tell it apart, and its (input tokens, output tokens, micros) in the ledger, if any."""


def runs_as_they_were(postgres: psycopg.Connection, project: str) -> list[tuple[Any, ...]]:
    """Put in runs of every kind and what erased ones used; return what the ledger makes of them."""
    expected: list[tuple[Any, ...]] = []
    made = {"created_at": AT, "updated_at": AT, "project_id": project}
    own = {"metadata": "{}", "preferences": "{}", "created_at": AT}
    insert(postgres, "projects", id=project, organization_id="org", name=project, **own)
    agent = f"agt_{project}"
    insert(postgres, "agents", id=agent, name="A", is_default=True, draft="{}", rollout_percent=0, **made)
    smiths = ((f"smt_{project}", "Hotel Post"), (f"loner_{project}", None))
    for smith, customer in smiths:
        whose = {"agent_id": agent, "customer_id": customer}
        insert(postgres, "smiths", id=smith, metadata="{}", overrides="{}", **whose, **made)
    rest = {"model": "test/echo", "config": "{}", "input": "[]", "warnings": "[]", "metadata": "{}", "attempt": 1}
    rest |= {"on_busy": "queue", "interrupted": False, "agent_id": agent}
    for number, (name, columns, used) in enumerate(KINDS):
        smith, customer = smiths[number % 2]
        version, answered = (None, None) if number % 3 else (number, "test/slow")
        own = {
            "smith_id": smith,
            "agent_version": version,
            "answered_by": answered,
            "turn": 1,
            "thread_id": name,
            "channel": name,
        }
        insert(postgres, "runs", id=f"{name} {project}", **columns, **own, **rest, **made)
        if used:
            stamp = (smith, agent, version, answered or "test/echo", customer, name, "unknown")
            expected.append((project, f"{name} {project}", *stamp, 1, *used, AT, False))
    insert(postgres, "erasures", id=f"ers_{project}", project_id=project, smith_id="gone", counts="{}", erased_at=AT)
    whose = {
        "customer_id": "Hotel Post",
        "project_id": project,
        "erasure_id": f"ers_{project}",
        "agent_id": "agt_gone",
        "model": "test/echo",
    }
    sums = {"day": date(2026, 3, 2), "run_count": 5, "input_tokens": 2**33, "output_tokens": 7, "cost_micros": 2**33}
    insert(postgres, "erased_usage", **whose, **sums)
    gone = (None, None, "agt_gone", None, "test/echo", "Hotel Post", "api", "unknown", 5, 2**33, 7, 2**33)
    return [*expected, (project, *gone, datetime(2026, 3, 2, tzinfo=UTC), False)]
