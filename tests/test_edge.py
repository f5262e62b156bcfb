"""What passes the outermost room, and what does not."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import Receive, Scope, Send

from ingram_app.core.secrets import digest
from ingram_app.edge import Edge

OURS = "http://localhost:8000"
TOKEN = "a-session"
PAGES = {"/": "/", "/runs": "/runs", "/p/one/runs/run_1": "/p/[project]/runs/[run]", "/sign-in": "/sign-in"}


async def console(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands in for Reflex: shows what of the request came through."""
    request = Request(scope)
    shown = f"{scope['path']} {request.headers.get('cookie')} {request.headers.get('authorization')}"
    await HTMLResponse(shown, 200 if scope["path"] != "/nowhere" else 404)(scope, receive, send)


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"path": scope["path"], "cookie": Request(scope).headers.get("cookie")})(scope, receive, send)


async def session_is_live(hashed: str) -> bool:
    return hashed == digest(TOKEN)


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "runs.html").write_text("<script src='x.js'></script><script>hello()</script>")
    public = frozenset({"sign-in"})
    edge = Edge(console, api, static=tmp_path, route_of=PAGES.get, public=public, session_is_live=session_is_live)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url=OURS) as client:
        yield client


@pytest.fixture
def signed_in(visitor: httpx.AsyncClient) -> httpx.AsyncClient:
    visitor.cookies.set("ingram_session", TOKEN)
    return visitor


@pytest.mark.parametrize(
    "path", ["/v1/runs", "/v1/", "/health", "/ready", "/metrics", "/openapi.json", "/docs", "/auth/x", "/exports/x"]
)
async def test_programs_get_to_the_api(visitor: httpx.AsyncClient, path: str) -> None:
    assert (await visitor.get(path)).json()["path"] == path


async def test_a_cookie_has_no_say_in_the_api(signed_in: httpx.AsyncClient) -> None:
    assert (await signed_in.get("/v1/runs")).json()["cookie"] is None
    assert (await signed_in.get("/auth/me")).json()["cookie"] == f"ingram_session={TOKEN}"


@pytest.mark.parametrize(
    ("page", "where"),
    [
        ("/", "/sign-in"),
        ("/runs?status=failed", "/sign-in?next=%2Fruns%3Fstatus%3Dfailed"),
        ("/p/one/runs/run_1", "/sign-in?next=%2Fp%2Fone%2Fruns%2Frun_1"),
    ],
)
async def test_a_signed_out_visitor_is_sent_to_sign_in_and_back(
    visitor: httpx.AsyncClient, page: str, where: str
) -> None:
    answer = await visitor.get(page)
    assert (answer.status_code, answer.headers["location"]) == (303, where)


async def test_a_session_that_has_ended_is_signed_out(visitor: httpx.AsyncClient) -> None:
    visitor.cookies.set("ingram_session", "an-old-one")
    assert (await visitor.get("/runs")).status_code == 303


async def test_public_and_unknown_pages_are_for_everybody(visitor: httpx.AsyncClient) -> None:
    assert (await visitor.get("/sign-in")).status_code == 200
    assert (await visitor.get("/nowhere")).status_code == 404


async def test_a_deep_link_is_a_page(signed_in: httpx.AsyncClient) -> None:
    assert (await signed_in.get("/p/one/runs/run_1")).status_code == 200


async def test_the_console_gets_the_hash_and_never_the_cookie(signed_in: httpx.AsyncClient) -> None:
    forged = {"authorization": "forged"}
    assert (await signed_in.get("/runs", headers=forged)).text == f"/runs.html None {digest(TOKEN)}"


async def test_a_hash_sent_by_a_visitor_is_dropped(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get("/sign-in", headers={"authorization": digest(TOKEN)})
    assert answer.text == "/sign-in None None"


async def test_a_foreign_page_can_not_post(visitor: httpx.AsyncClient) -> None:
    for origin in ("https://evil.example", "null"):
        for path in ("/auth/sign-in", "/exports/audit-log.csv"):
            assert (await visitor.post(path, headers={"origin": origin})).status_code == 403
    assert (await visitor.post("/auth/sign-in", headers={"origin": OURS})).status_code == 200
    assert (await visitor.post("/v1/runs", headers={"origin": "https://evil.example"})).status_code == 200


async def test_pages_run_our_scripts_only(signed_in: httpx.AsyncClient) -> None:
    policy = (await signed_in.get("/runs")).headers["content-security-policy"]
    assert policy.count("'sha256-") == 1
    assert "frame-ancestors 'none'" in policy


async def test_a_foreign_page_gets_no_websocket(tmp_path: Path) -> None:
    edge = Edge(console, api, static=tmp_path, route_of=PAGES.get, public=frozenset(), session_is_live=session_is_live)
    sent: list[object] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"origin", b"https://evil.example")]
    await edge({"type": "websocket", "path": "/_event", "headers": headers}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 4403}]
