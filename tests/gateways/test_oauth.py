"""OAuth: what services answer that are not quite as the books have it, and how each takes its tokens back."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from ingram_app.gateways import oauth
from ingram_app.gateways.oauth import Application, OAuthFailed, Tokens
from ingram_app.gateways.oauth_presets import PRESETS
from ingram_app.gateways.outbound import is_callable
from tests.fakes.http import Reply, Request, serving

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
US = "Basic " + b64encode(b"us:our-s3cret").decode()


class Service:
    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.answer: Any = {}
        self.address = ""

    async def serve(self, request: Request, reply: Reply) -> None:
        self.asked.append(request)
        reply.json(self.answer)

    def knows_us(self, **more: Any) -> Application:
        known = Application(
            "us", "our-s3cret", "https://x.example", self.address, None, "client_secret_basic", "https://us"
        )
        return replace(known, **more)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    async with serving(made.serve) as made.address:
        yield made


@pytest.mark.parametrize(
    ("answer", "token", "scopes"),
    [
        (  # oauth.v2.user.access
            {"ok": True, "access_token": "xoxp-1", "token_type": "user", "authed_user": {"id": "U1", "scope": "a,b"}},
            "xoxp-1",
            ["a", "b"],
        ),
        (  # oauth.v2.access: a bot's beside a person's
            {
                "ok": True,
                "access_token": "xoxb-1",
                "token_type": "bot",
                "scope": "bot:all",
                "authed_user": {"id": "U1", "access_token": "xoxp-2", "scope": "a", "token_type": "user"},
            },
            "xoxp-2",
            ["a"],
        ),
        ({"access_token": "xoxb-2", "scope": "x", "authed_user": {"id": "U1"}}, "xoxb-2", ["x"]),
        ({"access_token": "t", "scope": "x y", "authed_user": "odd"}, "t", ["x", "y"]),
    ],
)
async def test_of_slack_s_answers_the_person_s_part_is_taken(
    service: Service, answer: Any, token: str, scopes: list[str]
) -> None:
    service.answer = answer
    tokens = await oauth.exchange(service.knows_us(), "code", oauth.new_verifier())
    assert (tokens.access_token, tokens.scopes) == (token, scopes)


async def test_a_failure_that_comes_as_a_success_is_one(service: Service) -> None:
    service.answer = {"ok": False, "error": "invalid_refresh_token"}
    with pytest.raises(OAuthFailed) as failed:
        await oauth.refresh(service.knows_us(), "old")
    assert (failed.value.code, failed.value.is_final) == ("invalid_refresh_token", True)


async def test_each_service_takes_tokens_back_in_its_own_way(service: Service) -> None:
    tokens = Tokens("access", "later")
    for takes_back, path in (
        ("github", "/applications/{client_id}/token"),
        ("notion", "/revoke"),
        ("slack", "/revoke"),
    ):
        us = service.knows_us(revoke_uri=service.address + path, takes_back=takes_back)
        assert await oauth.revoke(us, tokens)
    github, notion, _ = service.asked
    assert (github.method, github.path, github.json()) == (
        "DELETE",
        "/applications/us/token",
        {"access_token": "access"},
    )
    assert (notion.json(), "notion-version" in notion.headers) == ({"token": "access"}, True)
    assert [one.headers["authorization"] for one in service.asked] == [US, US, "Bearer access"]
    service.asked.clear()
    assert await oauth.revoke(service.knows_us(revoke_uri=service.address), tokens)
    assert [parse_qs(one.body.decode())["token"] for one in service.asked] == [["later"], ["access"]]
    service.answer = {"ok": False, "error": "invalid_auth"}
    assert not await oauth.revoke(service.knows_us(revoke_uri=service.address, takes_back="slack"), tokens)


async def test_what_tokens_are_for_is_said_each_time(service: Service) -> None:
    service.answer = {"access_token": "t"}
    us = service.knows_us(resource="https://tools.example/mcp", auth_method="none", client_secret="")
    await oauth.exchange(us, "code", oauth.new_verifier())
    await oauth.refresh(us, "old")
    for asked in service.asked:
        said = parse_qs(asked.body.decode())
        assert (said["resource"], said["client_id"]) == (["https://tools.example/mcp"], ["us"])
        assert "authorization" not in asked.headers


def test_what_is_known_of_services_can_be_called() -> None:
    for preset in PRESETS.values():
        for url in (preset.authorize_url, preset.token_uri, preset.revoke_uri):
            assert url is None or (is_callable(url) and url.startswith("https://")), json.dumps(url)
