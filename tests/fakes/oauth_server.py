"""A real OAuth server: `oidc-provider-mock`, made as strict as services are.

It wants PKCE, takes a refresh token once and gives another for it, and takes tokens back (RFC 7009).
"""

import hashlib
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx
import werkzeug.serving
from oidc_provider_mock import _app as oidc


@dataclass
class Service:
    """What the server was asked, and how it behaves."""

    address: str = ""
    refreshes: list[str] = field(default_factory=list)
    """The refresh tokens that were shown."""
    given: list[str] = field(default_factory=list)
    """The access tokens that it gave."""
    revoked: list[str] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)
    """The credentials that each request for tokens carried."""
    expires_in: int = 3600
    failing: int | None = None
    """The status that the token endpoint answers with."""
    slow: threading.Event | None = None
    """What tokens wait for."""
    _challenges: dict[str, str] = field(default_factory=dict)
    _live: set[str] = field(default_factory=set)

    def registration(self, **more: Any) -> dict[str, Any]:
        """Return how a project registers it."""
        urls = {"authorize_url": f"{self.address}/oauth2/authorize", "token_uri": f"{self.address}/oauth2/token"}
        known = {"client_id": "us", "client_secret": "our-s3cret", "revoke_uri": f"{self.address}/oauth2/revoke"}
        return {**urls, **known, "scopes_allowed": ["openid", "email"], **more}

    async def consent(self, authorize_url: str, user: str = "ann@example.com") -> str:
        """Consent as a person does on the service's page; return where that sends them."""
        async with httpx.AsyncClient() as browser:
            answer = await browser.post(authorize_url, data={"sub": user})
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def deny(self, authorize_url: str) -> str:
        async with httpx.AsyncClient() as browser:
            return str((await browser.post(authorize_url, data={"action": "deny"})).headers["location"])

    async def whose(self, access_token: str) -> str | None:
        """Return whose account a token opens, if it opens any."""
        async with httpx.AsyncClient() as tool:
            headers = {"Authorization": f"Bearer {access_token}"}
            answer = await tool.get(f"{self.address}/userinfo", headers=headers)
        return str(answer.json()["sub"]) if answer.is_success else None


@contextmanager
def running_oauth_server() -> Iterator[Service]:
    """Serve on loopback, in a thread."""
    service = Service()
    oidc.RefreshTokenGrant.INCLUDE_NEW_REFRESH_TOKEN = True
    app = _strict(oidc.app(), service)
    server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
    service.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _strict(app: flask.Flask, service: Service) -> flask.Flask:
    app.debug = False

    @app.before_request
    def check() -> Any:
        if flask.request.path == "/oauth2/authorize":
            if flask.request.args.get("code_challenge_method") != "S256":
                return _error("invalid_request")
        elif flask.request.path == "/oauth2/token":
            return _refused(service)
        return None

    @app.after_request
    def remember(answer: flask.Response) -> flask.Response:
        if flask.request.path == "/oauth2/authorize" and answer.status_code == 302:
            code = parse_qs(urlsplit(answer.headers["location"]).query).get("code", [""])[0]
            service._challenges[code] = flask.request.args["code_challenge"]
        elif flask.request.path == "/oauth2/token" and answer.status_code == 200:
            told = answer.get_json()
            told["expires_in"] = service.expires_in
            service._live.add(told["refresh_token"])
            service.given.append(told["access_token"])
            answer.set_data(flask.json.dumps(told))
        return answer

    @app.post("/oauth2/revoke")
    def revoke() -> Any:
        service.revoked.append(flask.request.form["token"])
        return "", 200

    return app


def _refused(service: Service) -> Any:
    """Return why no token is given, if there is a reason."""
    asked = flask.request.form
    service.clients.append(flask.request.headers.get("authorization") or asked.get("client_secret", ""))
    if service.failing is not None:
        return flask.jsonify({"error": "server_error"}), service.failing
    if asked["grant_type"] == "authorization_code":
        if service.slow is not None:
            service.slow.wait(10)
        hashed = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        if service._challenges.pop(asked["code"], None) != urlsafe_b64encode(hashed).decode().rstrip("="):
            return _error("invalid_grant")
    else:
        service.refreshes.append(asked["refresh_token"])
        if service.slow is not None:
            service.slow.wait(10)
        if asked["refresh_token"] not in service._live:
            return _error("invalid_grant")
        service._live.remove(asked["refresh_token"])
    return None


def _error(code: str) -> Any:
    return flask.jsonify({"error": code}), 400
