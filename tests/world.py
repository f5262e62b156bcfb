"""The world of the API's tests: an organization with two projects, and a client for everyone who may knock.

It is built as a customer builds one, through the API itself, in front of a real PostgreSQL and a working engine.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI

from ingram_app.api import build
from ingram_app.core import database
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.ids import new_id
from ingram_app.domain import organizations, tokens
from ingram_app.domain.access import ORGANIZATION, PERMISSIONS, Actor, Caller
from ingram_app.engine import worker

Client = httpx.AsyncClient


@dataclass
class Person:
    """A smith, and the client that carries its token."""

    id: str
    token: str
    api: Client


@dataclass
class Tenant:
    """A project, and the client that carries its tenant-admin token."""

    id: str
    token: str
    api: Client
    world: "World" = field(repr=False)

    async def smith(self, **fields: Any) -> dict[str, Any]:
        """Make a smith; return it as the API shows it."""
        return ok(await self.api.post("/v1/smiths", json=fields))

    async def smith_token(self, smith_id: str, *permissions: str, **terms: Any) -> dict[str, Any]:
        """Mint a token for a smith, with every permission unless some are named."""
        asked = {"smith_id": smith_id, "permissions": list(permissions or PERMISSIONS), **terms}
        return ok(await self.api.post("/v1/tenant/tokens", json=asked))

    async def person(self, *permissions: str, **fields: Any) -> Person:
        """Make a smith and a client that carries its token."""
        smith = await self.smith(**fields)
        words = (await self.smith_token(smith["id"], *permissions))["token"]
        return Person(smith["id"], words, self.world.client(words))

    async def agent(self, *, publish: bool = True, **fields: Any) -> dict[str, Any]:
        """Make an agent, published unless told otherwise; return it as the API shows it."""
        agent = ok(await self.api.post("/v1/agents", json={"name": "Agent", "model": "test/echo"} | fields))
        if publish:
            ok(await self.api.post(f"/v1/agents/{agent['id']}/versions"))
        return ok(await self.api.get(f"/v1/agents/{agent['id']}"))

    async def customer(self, name: str = "Customer", **fields: Any) -> str:
        """Make a customer; return its id."""
        return str(ok(await self.api.post("/v1/customers", json={"name": name} | fields))["id"])

    async def run(self, smith_id: str, said: str = "hello", **fields: Any) -> dict[str, Any]:
        """Run a turn to its end; return it as the API shows it."""
        asked = {"input": [{"role": "user", "content": said}], **fields}
        return ok(await self.api.post(f"/v1/smiths/{smith_id}/runs", json=asked))

    async def webhook(self, **fields: Any) -> dict[str, Any]:
        """Make a webhook that is switched off; return it as the API shows it."""
        asked = {"url": "https://hooks.example.com/", "active": False, **fields}
        return ok(await self.api.post("/v1/tenant/webhooks", json=asked))

    def delivery(self, webhook_id: str) -> str:
        """Return the id of a delivery to a webhook that has come to nothing: of the project's first event."""
        delivery_id = new_id("whd")
        statement = (
            "insert into deliveries (id, project_id, webhook_id, event_id, event_type, state, attempts, created_at)"
            " select %s, project_id, %s, id, type, 'dead', 9, now() from events where project_id = %s limit 1"
        )
        assert self.world.do(statement, delivery_id, webhook_id, self.id) == 1
        return delivery_id


class World:
    """Everything that a module's tests stand on."""

    project: Tenant
    other: Tenant
    organization_id: str
    organization_key: str
    organization_api: Client
    nobody: Client

    def __init__(self, app: FastAPI, clients: AsyncExitStack, database_url: str) -> None:
        self.app = app
        self._clients = clients
        self._url = database_url
        self._owner = psycopg.connect(database_url, autocommit=True)
        clients.callback(self._owner.close)

    def client(self, token: str | None = None) -> Client:
        """Return a client that carries this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode("latin-1")}
        client = Client(transport=httpx.ASGITransport(self.app), base_url="http://testserver")
        client.headers.update(headers)
        self._clients.push_async_callback(client.aclose)
        return client

    async def organization(self, name: str) -> tuple[str, str]:
        """Found an organization; return its id and a key."""
        async with transaction(NOBODY) as session:
            owner = await organizations.create(session, name)
            caller = Caller(Actor("organization", owner.id), frozenset({ORGANIZATION}), organization_id=owner.id)
            key = await tokens.mint_for_organization(session, caller)
            return owner.id, key.words

    async def tenant(self, name: str, organization_api: Client | None = None) -> Tenant:
        """Make a project whose default model needs no key."""
        above = organization_api or self.organization_api
        project = ok(await above.post("/v1/organization/projects", json={"name": name}))
        words = ok(await above.post(f"/v1/organization/projects/{project['id']}/tokens"))["token"]
        tenant = Tenant(project["id"], words, self.client(words), self)
        ok(await tenant.api.patch("/v1/tenant/settings", json={"default_model": "test/echo"}))
        return tenant

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what the database holds, as its owner sees it: past every wall."""
        return self._owner.execute(query.encode(), values or None).fetchall()

    def do(self, statement: str, *values: Any) -> int:
        """Change what the database holds, as its owner; return how many rows."""
        return self._owner.execute(statement.encode(), values or None).rowcount

    @contextmanager
    def doing(self, statement: str, *values: Any) -> Iterator[None]:
        """Be at changing what the database holds, as its owner, until the block is over."""
        with psycopg.connect(self._url) as owner:
            assert owner.execute(statement.encode(), values or None).rowcount
            yield

    async def wait_for_us(self, many: int) -> None:
        """Return once so many wait for what we are doing."""
        query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

        async def are_there() -> bool:
            return int(self.ask(query)[0][0]) >= many

        await until(are_there)


@asynccontextmanager
async def building(database_url: str) -> AsyncIterator[World]:
    """Build a world in an empty database, its engine at work."""
    async with AsyncExitStack() as clients:
        world = World(build(), clients, database_url)
        async with opened(), worker.working(interactive=True):
            world.organization_id, world.organization_key = await world.organization("Acme")
            world.organization_api, world.nobody = world.client(world.organization_key), world.client()
            world.project, world.other = await world.tenant("One"), await world.tenant("Two")
            yield world


@asynccontextmanager
async def opened() -> AsyncIterator[None]:
    """Let this process work on the database that the settings name now, and let go of it again."""
    database.pool.cache_clear()
    try:
        yield
    finally:
        await database.pool().dispose()
        database.pool.cache_clear()


def ok(answer: httpx.Response) -> Any:
    """Return the body of an answer that is no failure."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def error(answer: httpx.Response, status: int, code: str, param: str | None = ...) -> dict[str, Any]:  # type: ignore[assignment]
    """Return the error of an answer that must be one, in the envelope and of this kind."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    assert list(answer.json()) == ["error"]
    told: dict[str, Any] = answer.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert told["code"] == code, told
    assert told["message"].strip()
    if param is not ...:
        assert told["param"] == param, told
    return told


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """Return what the condition says once it says something, no later than it takes."""
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.01)
    return found
