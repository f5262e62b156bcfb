"""/v1/usage: the shape that clients know, in sum, by day, and as a file that a spreadsheet may open."""

import asyncio
import csv
import io
import tracemalloc
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi.responses import StreamingResponse

from ingram_app.api.spreadsheets import IN_MEMORY_BYTES
from ingram_app.api.usage import as_csv
from ingram_app.core.database import transaction
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.periods import Period
from tests.world import Client, Tenant, World, error, ok, until

SHAPE = {"tokens", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost", "run_count"}
MANY = (
    "insert into model_calls (project_id, at, smith_id, agent_id, model, app, source, runs, input_tokens,"
    " output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_micros, estimated)"
    " select %s, timestamptz '2024-01-01 00:00:00+00' + n / 2000 * interval '1 day', 'smt_' || n, 'agt', 'm', 'api',"
    " 'byok', 1, n, 1, 0, 0, 0, n, false from generate_series(0, 39999) n"
)
"""Two thousand smiths on each of twenty days."""


@pytest.fixture(scope="module")
async def hotel(project: Tenant) -> str:
    return await project.customer("Hotel Post")


@pytest.fixture(scope="module", autouse=True)
async def used(project: Tenant, hotel: str) -> list[str]:
    """Three smiths that have used something that costs something, one with a name that is a formula."""
    ok(await project.api.put("/v1/tenant/prices/test/echo", json={"input": 2_000_000, "output": 5_000_000}))
    ids = []
    for name in ("Ada", '=HYPERLINK("https://evil.example","x")', "+1"):
        smith = await project.smith(display_name=name, customer_id=hotel if name == "Ada" else None)
        for _ in range(2):
            await project.run(smith["id"], "one two three", channel="@web")
        ids.append(smith["id"])
    return ids


@pytest.mark.parametrize("by", ["smith", "agent", "model", "customer", "app"])
async def test_groups_sum_up_to_the_totals(api: Client, by: str) -> None:
    told = ok(await api.get(f"/v1/usage?group_by={by}"))
    assert set(told) == {"group_by", "totals", "groups", "meters"}
    assert (told["group_by"], told["meters"], set(told["totals"])) == (by, [], SHAPE)
    for name in SHAPE:
        assert sum(group[name] for group in told["groups"]) == told["totals"][name]
        assert isinstance(told["totals"][name], int)
    assert told["totals"]["run_count"] == 6
    assert told["totals"]["cost"] == told["totals"]["input_tokens"] * 2 + told["totals"]["output_tokens"] * 5


async def test_groups_are_named(api: Client, used: list[str], hotel: str) -> None:
    smiths = {group["key"]: group["name"] for group in ok(await api.get("/v1/usage"))["groups"]}
    assert smiths[used[0]] == "Ada"
    customers = ok(await api.get("/v1/usage?group_by=customer"))["groups"]
    assert {group["key"] for group in customers} == {hotel, *(f"principal:{smith}" for smith in used[1:])}
    assert {"Ada", "Hotel Post"} & {group["name"] for group in customers} == {"Hotel Post"}
    assert [group["key"] for group in ok(await api.get("/v1/usage?group_by=app"))["groups"]] == ["@web"]


async def test_one_smith_or_customer_is_shown_alone(api: Client, used: list[str], hotel: str) -> None:
    for asked in (f"smith_id={used[0]}", f"customer_id={hotel}"):
        told = ok(await api.get(f"/v1/usage?group_by=model&{asked}"))
        assert (told["totals"]["run_count"], [group["key"] for group in told["groups"]]) == (2, ["test/echo"])


async def test_what_was_metered_stands_beside_it(api: Client, project: Tenant, other: Tenant, hotel: str) -> None:
    person = await project.person(customer_id=hotel)
    for meter, quantity in (("pages", 1), ("pages", "0.5"), ("calls", 2)):
        counted = {"smith_id": person.id, "meter": meter, "quantity": quantity}
        ok(await api.post("/v1/usage/events", json=counted))
    for by, key in (("smith", person.id), ("customer", hotel), ("agent", None), ("model", None), ("app", None)):
        metered = ok(await api.get(f"/v1/usage?group_by={by}"))["meters"]
        assert metered == [
            {"key": key, "meter": "calls", "quantity": 2, "event_count": 1},
            {"key": key, "meter": "pages", "quantity": 1.5, "event_count": 2},
        ]
    assert len(ok(await person.api.get("/v1/usage"))["meters"]) == 2
    for who in ((await project.person()).api, other.api):
        assert ok(await who.get("/v1/usage"))["meters"] == []
    assert ok(await api.get("/v1/usage?from=2020-01-01&to=2020-01-02"))["meters"] == []


async def test_the_series_has_every_day_and_sums_up(api: Client) -> None:
    told = ok(await api.get("/v1/tenant/usage"))
    assert set(told) == {"totals", "series"}
    assert 28 <= len(told["series"]) <= 31
    assert sum(day["cost"] for day in told["series"]) == told["totals"]["cost"] > 0
    assert ok(await api.get("/v1/tenant/usage?from=2020-01-01&to=2020-01-02"))["series"][1]["date"] == "2020-01-02"


async def test_a_file_sums_up_and_holds_no_formula(world: World, api: Client) -> None:
    for by in ("smith", "app"):
        answer = await api.get(f"/v1/usage?group_by={by}&format=csv")
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        totals = ok(await api.get(f"/v1/usage?group_by={by}"))["totals"]
        assert {name: sum(int(row[name]) for row in rows) for name in SHAPE} == totals
        for row in rows:
            assert not any(str(cell).startswith(("=", "+", "-", "@")) for cell in row.values())
    assert "'=HYPERLINK" in (await api.get("/v1/usage?format=csv")).text


async def test_a_file_of_very_many_groups_takes_little_memory(world: World, other: Tenant) -> None:
    caller = Caller(Actor("tenant", other.id), frozenset({TENANT}), project_id=other.id)

    async def drawn_up(days: int) -> tuple[StreamingResponse, int]:
        """Return the file of a year's first days, and how much memory it took at most to write it."""
        tracemalloc.start()
        try:
            async with transaction(caller.tenancy) as session:
                period = Period(date(2024, 1, 1), date(2024, 1, 1) + timedelta(days=days))
                return await as_csv(session, caller, period, "smith"), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    world.do(MANY, other.id)
    await drawn_up(1)
    _, least = await drawn_up(1)
    many, most = await drawn_up(20)
    assert int(many.headers["content-length"]) > IN_MEMORY_BYTES
    assert most < 2 * least + IN_MEMORY_BYTES
    rows = list(csv.DictReader(io.StringIO(b"".join([chunk async for chunk in many.body_iterator]).decode())))
    totals = ok(await other.api.get("/v1/usage?from=2024-01-01&to=2024-01-20"))["totals"]
    assert {name: sum(int(row[name]) for row in rows) for name in SHAPE} == totals
    assert len({row["smith"] for row in rows}) == len(rows) == 40_000


async def test_who_reads_a_file_slowly_keeps_no_transaction_open(world: World, project: Tenant) -> None:
    sent: list[bytes] = []
    begun, go_on = asyncio.Event(), asyncio.Event()
    said = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if said:
            return said.pop()
        await asyncio.Event().wait()  # the reader stays
        raise AssertionError

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            begun.set()
            await go_on.wait()
            sent.append(message["body"])

    async def is_over() -> bool:
        open_ones = "select from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
        return world.ask(open_ones) == []

    headers = [(b"authorization", f"Bearer {project.token}".encode())]
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/v1/usage", "raw_path": b"/v1/usage",
             "query_string": b"format=csv", "headers": headers, "scheme": "http", "client": ("127.0.0.1", 1),
             "server": ("testserver", 80), "root_path": ""}  # fmt: skip
    reading = asyncio.ensure_future(world.app(scope, receive, send))
    await begun.wait()
    await until(is_over)
    go_on.set()
    await reading
    assert b"".join(sent).startswith(b"smith,name,tokens")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ("period=2026-13", "period"),
        ("period=november", "period"),
        ("from=yesterday", "from"),
        ("from=2026-11-02&to=2026-11-01", "to"),
        ("to=2026-11-01", "from"),
        ("period=2026-11&from=2026-11-01", "period"),
    ],
)
async def test_bad_periods_are_refused_in_clear_words(api: Client, asked: str, param: str) -> None:
    for path in ("/v1/usage", "/v1/tenant/usage"):
        assert error(await api.get(f"{path}?{asked}"), 422, "invalid_period", param)["message"].endswith(".")


async def test_there_are_five_ways_to_group(api: Client) -> None:
    error(await api.get("/v1/usage?group_by=day"), 422, "schema_error")


async def test_what_a_customer_is_called_is_not_told_to_its_people(project: Tenant) -> None:
    customer = await project.customer("Late payer")
    person = await project.person(customer_id=customer)
    await project.run(person.id)
    [group] = ok(await person.api.get("/v1/usage?group_by=customer"))["groups"]
    assert (group["key"], group["name"]) == (customer, None)
    assert "Late payer" not in (await person.api.get("/v1/usage?group_by=customer&format=csv")).text
    error(await person.api.get(f"/v1/customers/{customer}"), 403, "tenant_token_required")
