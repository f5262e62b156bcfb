"""OAuth providers: where a person may be sent back to, and who may say so."""

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import oauth_providers
from ingram_app.domain.access import Actor, Caller, Role
from ingram_app.domain.oauth_providers import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example/a?b#c", "https://app.example"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://localhost:3000/x", "http://localhost:3000"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("https://app.example@evil.example/", None),
        ("https://app.example\\.evil.example/", None),
        ("http://app.example/", None),
        ("https:///x", None),
    ],
)
def test_an_origin_is_read_as_a_browser_reads_it(url: str, origin: str | None) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize("role", [Role.member, Role.viewer])
async def test_only_owners_and_admins_say_where_tokens_are_sent(tenant: Caller, role: Role) -> None:
    caller = Caller(Actor("operator", "usr_1"), role.scopes, project_id=tenant.project_id)
    async with transaction(caller.tenancy) as session:
        with pytest.raises(IngramError) as refused:
            await oauth_providers.put(session, caller, "github", {"client_id": "us", "client_secret": "s"})
        assert refused.value.code == "insufficient_scope"
        assert await oauth_providers.browse(session, caller) == []
