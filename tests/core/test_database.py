"""The second wall: what the database itself refuses, whatever a query forgets to say."""

from contextlib import AbstractContextManager, AsyncExitStack, nullcontext, suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

import ingram_app.domain
from ingram_app.core.database import NOBODY, Aborted, Tenancy, afterwards, dispatching, execute, transaction
from ingram_app.domain import access, usage
from ingram_app.domain.smiths import Smith
from tests.api.routes import BODIES
from tests.pictures import image, png, said
from tests.world import Person, Tenant, World, ok

assert ingram_app.domain  # its tables are known once it is loaded
TENANT_TABLES = sorted(table.name for table in SQLModel.metadata.sorted_tables if "project_id" in table.columns)
OWNED_TABLES = ["keyrings", "idempotency_keys"]
DISPATCHED = {
    "runs": ["input", "output", "config", "metadata", "actor", "error"],
    "agents": ["draft"],
    "smiths": ["external_id"],
    "approvals": ["smith_id", "run_id", "tool", "args", "reason", "actor"],
    "events": ["type", "smith_id", "data", "actor", "created_at"],
    "webhooks": ["url", "events", "sealed_secret", "sealed_previous_secret", "disabled_reason"],
    "stripe_accounts": ["sealed_key", "ending", "problem"],
    "pushes": ["id", "customer_id", "stripe_customer_id", "event_name", "value", "last_error"],
    "memory_ops": ["smith_id", "run_id", "kind", "model", "outcome", "error"],
    "usage_folds": ["folded_at"],
    "model_calls": ["smith_id", "run_id", "model", "cost_micros"],
    "deliveries": ["id", "event_id", "event_type", "last_error", "response_excerpt"],
    "trace_exports": ["endpoint", "sealed_headers", "header_names", "last_error"],
    "mails": ["subject", "body", "last_error"],
}
"""What the dispatcher sees of, and what is not for it."""
OF_SMITHS = {"smiths": "id"} | dict.fromkeys(
    (
        *("threads", "transcripts", "summaries", "attachments", "runs", "tool_calls", "approvals", "smith_revisions"),
        *("memory_documents", "memories", "recollections", "vectors", "retrievals", "memory_ops"),
        *("connections", "authorizations", "sent_spans", "meter_events"),
        *("model_calls", "usage_sums"),
    ),
    "smith_id",
)
UNCHANGEABLE = ("agent_versions", "audit", "smith_revisions")


@pytest.fixture(scope="module")
async def both(world: World, project: Tenant, other: Tenant) -> list[Person]:
    """Two projects that have a row in every table; two smiths of the first."""
    for tenant in (project, other):
        person = await tenant.person(external_id="user-1")
        await tenant.agent()
        ok(await tenant.api.put(f"/v1/smiths/{person.id}/model_keys/openai", json={"api_key": "sk-1"}))
        ok(await tenant.api.put("/v1/tenant/model_keys/openai", json={"api_key": "sk-1"}))
        ok(await tenant.api.put("/v1/tenant/search", json={"provider": "none"}))
        ok(await tenant.api.put("/v1/tenant/mcp/desk", json={"url": "https://127.0.0.1:1/mcp"}))
        ok(await tenant.api.patch("/v1/tenant/settings", json={"limits": {"max_history_tokens": 100}}))
        for _ in range(2):  # the second makes a summary of the first
            await tenant.run(person.id, "hello " * 200, thread_id="one")
        ok(await person.api.post(f"/v1/smiths/{person.id}/runs", json=said(image(png()))))
        ok(await tenant.api.post("/v1/smiths", json={}, headers={"Idempotency-Key": "1"}))
        await remember(tenant, person.id)
        await connect(tenant, person.id)
        await pause(tenant, person.id)
        await bill(tenant, person.id)
        forgotten = await tenant.smith()
        await tenant.run(forgotten["id"])
        ok(await tenant.api.post(f"/v1/smiths/{forgotten['id']}/erase"))
        tenant.delivery((await tenant.webhook())["id"])
        await watch(tenant, person.id)
        ok(await tenant.api.post("/v1/budgets", json={"scope": "tenant", "limit": 25}))
        await count(tenant)
    return [await project.person(external_id=name) for name in ("user-1", "user-2")]


async def count(tenant: Tenant) -> None:
    """Have what the tenant's smiths used added up."""
    async with transaction(Tenancy(project_id=tenant.id)) as session:
        await usage.fold(session, access.platform(tenant.id), tenant.id)


async def remember(tenant: Tenant, smith_id: str) -> None:
    """Have a smith hold a document, facts and a past turn, with their vectors, and learn from a turn."""
    path = f"/v1/smiths/{smith_id}"
    ok(await tenant.api.put(f"{path}/memory", json={"content": "Likes tea."}))
    ok(await tenant.api.post(f"{path}/memories", json={"content": "Likes tea."}))
    ok(await tenant.api.post(f"{path}/memories/search", json={"query": "tea"}))
    ok(await tenant.api.post(f"{path}/memory/recall", json={"query": "hello"}))
    await tenant.run(smith_id, "[[remember Likes coffee.]]")


async def connect(tenant: Tenant, smith_id: str) -> None:
    """Have a smith hold a connection, and a link to another consent."""
    service = {"client_id": "us", "client_secret": "sk-1"}
    ok(await tenant.api.put("/v1/tenant/providers/github", json=service))
    held = {"provider": "github", "credential": {"kind": "oauth_tokens", "access_token": "t-1"}}
    ok(await tenant.api.post(f"/v1/smiths/{smith_id}/connections", json=held))
    ok(await tenant.api.post(f"/v1/smiths/{smith_id}/connections/authorize", json={"provider": "github"}))


async def watch(tenant: Tenant, smith_id: str) -> None:
    """Have traces exported, a span that a program has sent, and a mail to owners."""
    export = {"endpoint": "https://otel.example.com", "active": False}
    ok(await tenant.api.put("/v1/tenant/trace_export", json=export))
    span = dict(BODIES["POST /v1/traces:ingest"]["spans"][0], smith_id=smith_id)
    ok(await tenant.api.post("/v1/traces:ingest", json={"spans": [span]}))
    mail = "insert into mails (id, project_id, subject, body, state, attempts, next_attempt_at, created_at)"
    tenant.world.do(f"{mail} values (%s, %s, '', '', 'sent', 1, now(), now())", f"mail_{tenant.id}", tenant.id)


async def bill(tenant: Tenant, smith_id: str) -> None:
    """Have the project bill a customer for what its smiths use, also through Stripe."""
    ok(await tenant.api.put("/v1/tenant/stripe", json={"api_key": "sk_test_1234567890"}))
    ok(await tenant.api.put("/v1/tenant/rates", json={"meter_prices_micros": {"pages": 1}}))
    customer = await tenant.customer(external_ids={"stripe_customer_id": "cus_1"})
    for counted_for in ((await tenant.smith(customer_id=customer))["id"], smith_id):
        counted = {"smith_id": counted_for, "meter": "pages", "quantity": 1}
        ok(await tenant.api.post("/v1/usage/events", json=counted))


async def pause(tenant: Tenant, smith_id: str) -> None:
    """Have a run of this smith wait for an approval."""
    tools = {"model": "test/tools", "enabled_hosted_tools": ["calculator"], "approval_policy": [{"match": "*"}]}
    ok(await tenant.api.patch(f"/v1/smiths/{smith_id}", json=tools))
    run = await tenant.run(smith_id, '[[call add {"a": 1, "b": 2}]]')
    assert run["status"] == "paused_for_approval"
    ok(await tenant.api.patch(f"/v1/smiths/{smith_id}", json=dict.fromkeys(tools)))


async def value(session: AsyncSession, query: str, **values: Any) -> Any:
    return (await session.execute(text(query), values)).scalar()


@pytest.mark.parametrize("table", ["projects", *OWNED_TABLES, *TENANT_TABLES])
async def test_row_level_security_is_on_and_holds_the_owner_too(world: World, table: str) -> None:
    query = "select relrowsecurity, relforcerowsecurity from pg_class where oid = %s::regclass"
    assert world.ask(query, table) == [(True, True)]


async def test_the_list_of_tenant_tables_is_that_of_the_database(world: World) -> None:
    query = "select table_name from information_schema.columns where column_name = 'project_id' and table_schema = %s"
    assert sorted(table for (table,) in world.ask(query, "public")) == TENANT_TABLES
    assert len(TENANT_TABLES) > 8


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_query_that_forgets_the_tenant_sees_nothing_of_another(
    world: World, project: Tenant, both: list[Person], table: str
) -> None:
    assert len(world.ask(f"select distinct project_id from {table} where project_id is not null")) == 2
    async with transaction(Tenancy(project_id=project.id)) as session:
        seen = (await session.execute(text(f"select distinct project_id from {table}"))).all()
    assert seen == [(project.id,)]


@pytest.mark.parametrize("table", ["projects", *OWNED_TABLES, *TENANT_TABLES])
async def test_a_transaction_for_nobody_sees_nothing(world: World, both: list[Person], table: str) -> None:
    assert world.ask(f"select count(*) > 0 from {table}") == [(True,)]
    async with transaction(NOBODY) as session:
        assert await value(session, f"select count(*) from {table}") == 0


@pytest.mark.parametrize("table", OWNED_TABLES)
async def test_keys_and_kept_answers_are_their_owner_s_alone(project: Tenant, both: list[Person], table: str) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        seen = (await session.execute(text(f"select distinct owner_id from {table}"))).all()
    assert seen == [(project.id,)]


async def test_an_organization_sees_its_projects_and_nothing_in_them(
    world: World, project: Tenant, both: list[Person]
) -> None:
    async with transaction(Tenancy(organization_id=world.organization_id)) as session:
        assert await value(session, "select count(*) from projects") == 2
        for table in TENANT_TABLES:
            if table not in ("projects", "tokens", "audit"):
                assert await value(session, f"select count(*) from {table}") == 0, table


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_nothing_can_be_moved_into_another_project(
    project: Tenant, other: Tenant, both: list[Person], table: str
) -> None:
    refusal = "can not be changed" if table in UNCHANGEABLE else "row-level security"
    with pytest.raises(DBAPIError, match=refusal):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await session.execute(text(f"update {table} set project_id = :other"), {"other": other.id})


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_another_project_s_rows_can_be_neither_changed_nor_deleted(
    world: World, project: Tenant, other: Tenant, both: list[Person], table: str
) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        for deed in (f"update {table} set project_id = project_id", f"delete from {table}"):
            done: Any = await session.execute(text(f"{deed} where project_id = :other"), {"other": other.id})
            assert done.rowcount == 0
    assert world.ask(f"select count(*) > 0 from {table} where project_id = %s", other.id) == [(True,)]


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_nothing_can_be_written_into_another_project(
    project: Tenant, other: Tenant, both: list[Person], table: str
) -> None:
    columns = [column.name for column in SQLModel.metadata.tables[table].columns if column.computed is None]
    shown = ", ".join(":other" if name == "project_id" else f'"{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    with pytest.raises(DBAPIError, match="row-level security"):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await session.execute(
                text(f"insert into {table} ({names}) select {shown} from {table}"), {"other": other.id}
            )


async def test_the_application_s_role_owns_nothing_and_passes_no_wall(project: Tenant) -> None:
    powers = "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb from pg_roles"
    async with transaction(Tenancy(project_id=project.id)) as session:
        assert await value(session, "select current_user") == "ingram_app"
        assert await value(session, f"{powers} where rolname = current_user") is False
        assert await value(session, "select count(*) from pg_tables where tableowner = current_user") == 0
        assert await value(session, "select count(*) from pg_policies where policyname = 'tenant'") >= 12


@pytest.mark.parametrize(
    "statement",
    [
        "alter table runs disable row level security",
        "drop policy tenant on runs",
        "create policy mine on runs using (true)",
        "truncate runs",
        "alter table agent_versions disable trigger immutable",
        "set session_replication_role = replica",
        "alter role ingram_app bypassrls",
        "select * from alembic_version",
    ],
)
async def test_the_application_can_not_take_a_wall_down(project: Tenant, statement: str) -> None:
    with pytest.raises(DBAPIError, match=r"must be (?:owner|able)|permission denied|must have"):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await session.execute(text(statement))


@pytest.mark.parametrize("id", ["'", "\\'; drop table runs; --", "x\0", "proj_1 ", "\ud800", "proj_é", "one\n"])
async def test_a_transaction_is_for_an_id_and_for_nothing_that_could_be_sql(project: Tenant, id: str) -> None:
    for tenancy in (Tenancy(project_id=id), Tenancy(organization_id=id), Tenancy(smith_id=id)):
        with pytest.raises(ValueError, match="no transaction is for the"):
            async with transaction(tenancy):
                pass


DOORS = pytest.mark.parametrize("door", [AsyncSession.execute, execute], ids=["mapper", "driver"])


@DOORS
async def test_what_fails_in_the_database_is_told_without_what_people_wrote(project: Tenant, door: Any) -> None:
    with pytest.raises(DBAPIError, match="nowhere") as failed:
        async with transaction(Tenancy(project_id=project.id)) as session:
            await door(session, text("select :said from nowhere"), {"said": "my diary"})
    assert "my diary" not in str(failed.value)


@DOORS
@pytest.mark.parametrize(("passing_over", "told"), [(nullcontext(), ProgrammingError), (suppress(Exception), Aborted)])
async def test_what_a_failed_transaction_did_is_undone_and_nothing_follows_it(
    project: Tenant, door: Any, passing_over: AbstractContextManager[None], told: type[Exception]
) -> None:
    done: list[str] = []

    async def fail_half_way() -> None:
        async with transaction(Tenancy(project_id=project.id)) as session:
            afterwards(session, lambda: done.append("told"))
            await door(session, text("update smiths set locale = :x"), {"x": "half"})
            with passing_over:
                await door(session, text("select nothing"), {})

    with pytest.raises(told):
        await fail_half_way()
    async with transaction(Tenancy(project_id=project.id)) as session:
        assert await value(session, "select count(*) from smiths where locale = 'half'") == 0
    assert done == []


async def test_both_doors_lead_into_one_transaction(project: Tenant, both: list[Person]) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        await execute(session, text("update smiths set locale = 'both' where id = :id"), {"id": both[0].id})
        smith = await session.get_one(Smith, both[0].id)
        assert smith.locale == "both"
        smith.timezone = "UTC"
    async with transaction(Tenancy(project_id=project.id)) as session:
        found = await execute(session, text("select locale, timezone from smiths where id = :id"), {"id": both[0].id})
    assert found.one() == ("both", "UTC")


async def test_what_is_read_to_be_held_is_as_it_stands_now(project: Tenant, both: list[Person]) -> None:
    mine = select(Smith).where(Smith.id == both[0].id)
    async with transaction(Tenancy(project_id=project.id)) as session:
        read = (await session.exec(mine)).one()
        async with transaction(Tenancy(project_id=project.id)) as other:
            await execute(other, text("update smiths set locale = 'then' where id = :id"), {"id": both[0].id})
        read.timezone = "Asia/Tokyo"
        held = (await session.exec(mine.with_for_update())).one()
        assert (held is read, held.locale, held.timezone) == (True, "then", "Asia/Tokyo")


@DOORS
async def test_connections_that_were_lost_cost_one_failure_and_no_more(
    world: World, project: Tenant, door: Any
) -> None:
    ours = Tenancy(project_id=project.id)
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(transaction(ours))
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    world.ask(f"select pg_terminate_backend(pid, 5000) {others}")
    with pytest.raises(OperationalError) as failed:
        async with transaction(ours) as session:
            await door(session, text("select 1"), {})
    assert failed.value.connection_invalidated
    for _ in range(5):
        async with transaction(ours) as session:
            assert await value(session, "select 1") == 1


@pytest.mark.parametrize("table", sorted({*OWNED_TABLES, *TENANT_TABLES, "teammates", "sessions"} - {*DISPATCHED}))
async def test_the_dispatcher_reads_no_other_table(table: str, both: list[Person]) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with dispatching() as session:
            await session.execute(text(f"select 1 from {table}"))


@pytest.mark.parametrize(("table", "hidden"), DISPATCHED.items())
async def test_the_dispatcher_sees_that_something_waits_and_not_a_word_of_it(
    table: str, hidden: list[str], both: list[Person]
) -> None:
    async with dispatching() as session:
        assert await value(session, f"select count(distinct project_id) from {table}") == 2
    for column in (*hidden, "*"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with dispatching() as session:
                await session.execute(text(f"select {column} from {table}"))


@pytest.mark.parametrize("table", DISPATCHED)
async def test_the_dispatcher_changes_nothing(both: list[Person], table: str) -> None:
    for deed in (f"update {table} set project_id = project_id", f"delete from {table}"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with dispatching() as session:
                await session.execute(text(deed))


@pytest.fixture(scope="module")
async def siblings(project: Tenant, both: list[Person]) -> list[Person]:
    """Two smiths of one project, both with a row in every table that is about smiths."""
    for person in both:
        for _ in range(2):
            await project.run(person.id, "hello " * 200, thread_id="one")
        ok(await person.api.post(f"/v1/smiths/{person.id}/runs", json=said(image(png()))))
        await remember(project, person.id)
        await connect(project, person.id)
    await pause(project, both[1].id)
    span = dict(BODIES["POST /v1/traces:ingest"]["spans"][0], trace_id="0" * 32)
    ok(await both[1].api.post("/v1/traces:ingest", json={"spans": [span]}))
    return both


@pytest.mark.parametrize("table", OF_SMITHS)
async def test_a_transaction_for_one_smith_sees_nothing_of_its_siblings(
    world: World, project: Tenant, siblings: list[Person], table: str
) -> None:
    column = OF_SMITHS[table]
    several = f"select count(distinct {column}) > 1 from {table} where project_id = %s"
    assert world.ask(several, project.id) == [(True,)]
    async with transaction(Tenancy(project_id=project.id, smith_id=siblings[0].id)) as session:
        seen = (await session.execute(text(f"select distinct {column} from {table}"))).all()
    assert seen == [(siblings[0].id,)]


async def test_a_smith_reaches_its_own_key_and_the_project_s_and_no_sibling_s(
    project: Tenant, both: list[Person]
) -> None:
    ok(await project.api.put(f"/v1/smiths/{both[1].id}/model_keys/google", json={"api_key": "k-1"}))
    async with transaction(Tenancy(project_id=project.id, smith_id=both[0].id)) as session:
        seen = (await session.execute(text("select distinct smith_id from model_keys"))).all()
    assert {smith_id for (smith_id,) in seen} == {both[0].id, None}


@pytest.mark.parametrize("deed", ["update agent_versions set note = 'x'", "update agent_versions set snapshot = '{}'"])
async def test_a_published_version_can_not_be_changed(project: Tenant, both: list[Person], deed: str) -> None:
    with pytest.raises(DBAPIError, match="a published version can not be changed"):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await session.execute(text(deed))


async def test_a_published_version_goes_only_with_its_agent(world: World, project: Tenant, both: list[Person]) -> None:
    agent = await project.agent()
    for deed in ("delete from agent_versions", "delete from agent_versions where version = 1"):
        with pytest.raises(DBAPIError, match="a published version can not be deleted"):
            async with transaction(Tenancy(project_id=project.id)) as session:
                await session.execute(text(deed))
    world.do("delete from agents where id = %s", agent["id"])
    assert world.ask("select count(*) from agent_versions where agent_id = %s", agent["id"]) == [(0,)]


async def test_nothing_secret_lies_open_in_the_database(world: World, project: Tenant, both: list[Person]) -> None:
    secret = "sk-not-for-anyone-s-eyes"
    ok(await project.api.put("/v1/tenant/model_keys/anthropic", json={"api_key": secret}))
    minted = ok(await project.api.post("/v1/tenant/tokens", json={"scope": "admin"}, headers={"Idempotency-Key": "t"}))
    tables = [name for (name,) in world.ask("select tablename from pg_tables where schemaname = %s", "public")]
    for table in tables:
        held = str(world.ask(f"select t::text from {table} t"))
        for word in (secret, minted["token"], secret.encode().hex(), minted["token"].encode().hex()):
            assert word not in held, table
