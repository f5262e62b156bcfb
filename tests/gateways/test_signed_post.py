"""What is sent can be told for ours, and what comes back can do no harm."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ingram_app.core.settings import settings
from ingram_app.gateways import outbound, posting, signed_post
from tests.fakes.receiver import Receiver, receiving

GUIDE = Path(__file__).parents[2] / "docs" / "webhooks.md"
OLD, NEW = "whsec_b2xkIG9sZCBvbGQ=", "whsec_bmV3IG5ldyBuZXc="
BODY = '{"id":"evt_1","data":{"said":"Grüße"}}'.encode()


@pytest.fixture
async def receiver(private_addresses_allowed: None) -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def send(receiver: Receiver, path: str) -> signed_post.Answer:
    return await signed_post.send(f"{receiver.address}{path}", secrets=[NEW], id="evt_1", body=BODY)


def snippet() -> Any:
    """Return the function that the guide gives to readers."""
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names["is_ours"]


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_guide_s_own_lines_verify_with_either_secret_of_a_rotation(secret: str) -> None:
    headers = signed_post.signed([NEW, OLD], "evt_1", BODY, datetime.now(UTC))
    assert headers["x-ic-signature"].count("v1=") == 2
    is_ours = snippet()
    assert is_ours(headers, BODY, secret)
    assert not is_ours(headers, BODY + b" ", secret)
    assert not is_ours(headers, BODY, "whsec_b3RoZXI=")
    late = signed_post.signed([secret], "evt_1", BODY, datetime.now(UTC) - timedelta(minutes=6))
    assert not is_ours(late, BODY, secret)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_library_of_standard_webhooks_verifies_with_either(secret: str) -> None:
    headers = signed_post.signed([NEW, OLD], "evt_1", BODY, datetime.now(UTC))
    assert Webhook(secret).verify(BODY, headers)["id"] == "evt_1"
    for wrong in (headers | {"webhook-id": "evt_2"}, headers | {"webhook-timestamp": "1"}):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(BODY, wrong)


async def test_what_was_signed_is_what_arrives(receiver: Receiver) -> None:
    answer = await send(receiver, "/ok")
    assert (answer.status, answer.error, answer.excerpt) == (200, None, '{"thanks": true}')
    [request] = receiver.heard
    assert (request.method, request.body) == ("POST", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-ic-event-id"] == request.headers["webhook-id"] == "evt_1"
    assert snippet()(request.headers, request.body, NEW)
    assert Webhook(NEW).verify(request.body, request.headers)


async def test_a_refusal_is_told_with_how_the_answer_began(receiver: Receiver) -> None:
    answer = await send(receiver, "/fail")
    assert (answer.status, answer.error, answer.excerpt) == (500, None, '{"sorry": "not today"}')


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    answer = await send(receiver, "/redirect")
    assert (answer.status, answer.error) == (302, "It redirects, which is not followed.")
    assert len(receiver.heard) == 1


async def test_of_a_huge_answer_little_is_read(receiver: Receiver) -> None:
    answer = await send(receiver, "/huge")
    assert answer.status == 200
    assert len(answer.excerpt or "") == posting.BEGINNING_BYTES


async def test_who_does_not_answer_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signed_post, "SECONDS", 0.2)
    answer = await send(receiver, "/hang")
    assert (answer.status, answer.excerpt) == (None, None)
    assert answer.error == "It did not answer within 0.2 seconds."
    assert 190 <= answer.duration_ms < 5000


async def test_who_says_yes_and_goes_on_talking_has_said_yes(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_post, "SECONDS", 0.2)
    answer = await send(receiver, "/trickle")
    assert (answer.status, answer.error) == (200, None)


async def test_nobody_at_home_is_told(receiver: Receiver) -> None:
    answer = await signed_post.send("http://127.0.0.1:1/", secrets=[NEW], id="evt_1", body=BODY)
    assert answer.status is None
    assert "could not be reached" in (answer.error or "")


async def test_the_guard_holds_when_it_is_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "false")
    settings.cache_clear()
    await outbound.close()
    answer = await send(receiver, "/ok")
    assert answer.status is None
    assert "not at a public address" in (answer.error or "")
    assert receiver.heard == []


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "10.0.0.1",
     "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1", "0"],
)  # fmt: skip
def test_what_is_known_to_be_inside_is_refused_without_asking(host: str) -> None:
    with pytest.raises(outbound.ForbiddenTarget):
        outbound.refuse_private(host)


@pytest.mark.parametrize("host", ["hooks.example.com", "8.8.8.8", "2606:4700::1111", "localhost.example.com"])
def test_of_what_may_be_outside_the_connection_decides(host: str) -> None:
    outbound.refuse_private(host)
