"""Where traces are exported to: set, shown and forgotten; its headers are never shown again."""

import asyncio
from typing import Any

import pytest

from tests.world import Client, Person, Tenant, World, error, ok

PATH = "/v1/tenant/trace_export"
SECRET = {"Authorization": "Bearer sk-very-secret", "X-Team": "ours"}


async def put(api: Client, endpoint: str = "https://otel.example.com", **fields: Any) -> dict[str, Any]:
    return dict(ok(await api.put(PATH, json={"endpoint": endpoint, **fields})))


async def test_an_export_is_set_shown_and_forgotten(api: Client, world: World) -> None:
    error(await api.get(PATH), 404, "not_found")
    made = await put(api, headers=SECRET)
    assert (made["endpoint"], made["header_names"]) == (
        "https://otel.example.com/v1/traces",
        ["authorization", "x-team"],
    )
    assert (made["state"], made["include_content"], made["exported_runs"]) == ("active", False, 0)
    assert ok(await api.get(PATH)) == made
    ((sealed,),) = world.ask("select sealed_headers from trace_exports where project_id = %s", world.project.id)
    noted = str(world.ask("select action, details from audit where action like 'trace_export%%'"))
    assert "trace_export.set" in noted
    for kept in (bytes(sealed).decode("latin-1"), noted, str(made)):
        assert "sk-very-secret" not in kept
    ok(await api.delete(PATH))
    error(await api.get(PATH), 404, "not_found")
    error(await api.delete(PATH), 404, "not_found")


async def test_headers_stay_while_the_host_does_and_are_not_sent_to_another(api: Client) -> None:
    await put(api, headers=SECRET)
    assert (await put(api, "https://otel.example.com/other", include_content=True))["header_names"]
    assert (await put(api, "https://otel.example.com/other", headers={}))["header_names"] == []
    await put(api, headers=SECRET)
    assert (await put(api, "https://elsewhere.example.com"))["header_names"] == []
    await put(api, headers=SECRET)
    assert (await put(api, "https://otel.example.com:8443"))["header_names"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"endpoint": "ftp://otel.example.com"}, 422, "invalid_endpoint"),
        ({"endpoint": "http://otel.example.com"}, 422, "invalid_endpoint"),
        ({"endpoint": "https://user:word@otel.example.com"}, 422, "invalid_endpoint"),
        ({"endpoint": "https://otel.example.com/" + "x" * 2000}, 422, "invalid_endpoint"),
        ({"endpoint": "https://169.254.169.254/latest"}, 403, "forbidden_target"),
        ({"endpoint": "https://localhost:4318"}, 403, "forbidden_target"),
        ({"headers": {"Host": "other.example.com"}}, 422, "invalid_headers"),
        ({"headers": {"content-type": "text/plain"}}, 422, "invalid_headers"),
        ({"headers": {"two words": "x"}}, 422, "invalid_headers"),
        ({"headers": {"x": "one\r\nHost: other"}}, 422, "invalid_headers"),
        ({"headers": {"x": ""}}, 422, "invalid_headers"),
        ({"headers": {"x": "é"}}, 422, "invalid_headers"),
        ({"headers": {f"x-{n}": "1" for n in range(21)}}, 422, "invalid_headers"),
        ({"headers": {"x": 3}}, 422, "schema_error"),
    ],
)
async def test_what_can_not_be_sent_is_refused(api: Client, body: dict[str, Any], status: int, code: str) -> None:
    error(await api.put(PATH, json={"endpoint": "https://otel.example.com"} | body), status, code)


async def test_racing_settings_leave_one(api: Client, project: Tenant, world: World) -> None:
    ends = await asyncio.gather(*(put(api, f"https://otel{n}.example.com") for n in range(8)))
    assert ok(await api.get(PATH))["endpoint"] in {one["endpoint"] for one in ends}


async def test_it_is_for_who_runs_the_project(api: Client, other: Tenant, project: Tenant) -> None:
    person: Person = await project.person()
    await put(api)
    error(await person.api.get(PATH), 403, "tenant_token_required")
    error(await person.api.put(PATH, json={"endpoint": "https://otel.example.com"}), 403, "tenant_token_required")
    error(await other.api.get(PATH), 404, "not_found")
