"""Stripe accounts: a project's own key, kept sealed, for those who may set keys."""

import pytest

from tests.world import Client, Tenant, World, error, ok

KEY = "sk_test_of_this_project"


@pytest.fixture(scope="module")
async def api(project: Tenant) -> Client:
    return project.api


@pytest.mark.parametrize("key", ["", "sk_test", "pk_test_1234567890", "sk_test_short", "sk_test_ünicode12", "x" * 500])
async def test_what_is_no_secret_key_is_refused(api: Client, key: str) -> None:
    answer = await api.put("/v1/tenant/stripe", json={"api_key": key})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "api_key"


async def test_there_is_none_until_it_is_connected(other: Tenant) -> None:
    for answer in (await other.api.get("/v1/tenant/stripe"), await other.api.delete("/v1/tenant/stripe")):
        error(answer, 404, "not_found")


async def test_the_key_is_nowhere_to_be_read(world: World, api: Client, project: Tenant) -> None:
    shown = ok(await api.put("/v1/tenant/stripe", json={"api_key": f" {KEY}\n", "push_tokens": False}))
    assert set(shown) == {"ending", "live", "push_tokens", "problem", "pushes", "created_at", "updated_at"}
    assert (shown["ending"], shown["live"], shown["push_tokens"], shown["problem"]) == ("ject", False, False, None)
    assert shown["pushes"] == {"waiting": 0, "dead": 0, "unsure": 0}
    ((row,),) = world.ask("select a::text from stripe_accounts a where project_id = %s", project.id)
    ((noted,),) = world.ask("select string_agg(details::text, '') from audit where action = 'stripe.connected'")
    for told in (row, noted, str(ok(await api.get("/v1/tenant/stripe")))):
        assert KEY not in told
    assert ok(await api.put("/v1/tenant/stripe", json={"api_key": "rk_live_12345678"}))["live"] is True


async def test_who_is_no_admin_sets_no_key(project: Tenant) -> None:
    person = await project.person()
    error(await person.api.put("/v1/tenant/stripe", json={"api_key": KEY}), 403, "tenant_token_required")
