"""The outermost room: every request passes here first, and is sent on to the API or to the console.

    /v1 /auth /exports /health /ready /metrics /openapi.json /docs  ─▶ api
    everything else                                                  ─▶ console: pages, their files, their websocket

What a browser sends on its own stops here: a foreign page's request is refused, and the session's cookie
goes no further than to who reads cookies. Reflex keeps the headers of a handshake with the state of every
tab, so it gets the cookie's hash instead, which is no credential.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingram_app.core.secrets import digest
from ingram_app.core.settings import settings

SESSION_HEADER = "authorization"
"""Where the console finds the hash of the visitor's session: a header that Reflex never sends to the page."""

_API = re.compile(r"/(v1|auth|exports|docs)(/.*)?|/(health|ready|metrics|openapi\.json)")
_HARMLESS = {"GET", "HEAD", "OPTIONS"}
_CREDENTIALS = {b"cookie", b"authorization", b"proxy-authorization"}
_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)


class Edge:
    """The one ASGI application that is served.

    `route_of` tells which page a path is, none when it is none; pages that are not `public` are for the
    signed in, of whom `session_is_live` knows by the hash of their session.
    """

    def __init__(
        self,
        console: ASGIApp,
        api: ASGIApp,
        *,
        static: Path,
        route_of: Callable[[str], str | None],
        public: frozenset[str],
        session_is_live: Callable[[str], Awaitable[bool]],
    ) -> None:
        self.console = console
        self.api = api
        self.static = static
        self.route_of = route_of
        self.public = public
        self.session_is_live = session_is_live
        self.origins = settings().origins
        self.policy = content_security_policy(static)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.console(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["path"].startswith("/v1/"):
            # programs bring a key; a cookie has no say here, so no origin has to be asked for
            await self.api(_without(scope, {b"cookie"}), receive, send)
        elif scope["method"] not in _HARMLESS and self._is_foreign(scope):
            await PlainTextResponse("This request comes from another site's page.\n", 403)(scope, receive, send)
        elif _API.fullmatch(scope["path"]):
            await self.api(scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_foreign(scope):
            await receive()
            await send({"type": "websocket.close", "code": 4403})
        else:
            await self.console(_with_hash_for_cookie(scope), receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        asks = scope["method"] in ("GET", "HEAD")
        if asks and self._is_private(path) and not await self._is_signed_in(scope):
            target = path + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
            where = "/sign-in" if target == "/" else f"/sign-in?next={quote(target, safe='')}"
            await RedirectResponse(where, 303, {"cache-control": "no-store"})(scope, receive, send)
            return
        behind = self._as_file(_with_hash_for_cookie(scope)) if asks else _with_hash_for_cookie(scope)
        await self.console(behind, receive, self._with_headers(path, send))

    def _is_foreign(self, scope: Scope) -> bool:
        origin = Headers(scope=scope).get("origin")
        return origin is not None and origin not in self.origins

    def _is_private(self, path: str) -> bool:
        route = self.route_of(path.removesuffix(".html"))
        return route is not None and route.strip("/") not in self.public

    async def _is_signed_in(self, scope: Scope) -> bool:
        token = _session_token(scope)
        return bool(token) and await self.session_is_live(digest(token))

    def _as_file(self, scope: Scope) -> Scope:
        """Name the file of a page that was built, without the detour over a redirect to a slash."""
        name = scope["path"].strip("/")
        if not name or "." in name or not (self.static / f"{name}.html").is_file():
            return scope
        return {**scope, "path": f"/{name}.html", "raw_path": f"/{name}.html".encode()}

    def _with_headers(self, path: str, send: Send) -> Send:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(scope=message), path, message["status"])
            await send(message)

        return send_on

    def _dress(self, headers: MutableHeaders, path: str, status: int) -> None:
        if path.startswith("/assets/") and status in (200, 206, 304):
            headers["cache-control"] = "public, max-age=31536000, immutable"  # their names carry their hash
        elif headers.get("content-type", "").startswith("text/html"):
            headers["cache-control"] = "no-cache"
            headers["content-security-policy"] = self.policy
        headers.setdefault("x-content-type-options", "nosniff")
        headers.setdefault("x-frame-options", "DENY")
        headers.setdefault("referrer-policy", "same-origin")
        if settings().https:
            headers.setdefault("strict-transport-security", "max-age=31536000")


def content_security_policy(static: Path) -> str:
    """Allow our own scripts, and of inline ones exactly those that the build wrote into the pages."""
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for page in static.rglob("*.html")
        for script in _INLINE.findall(page.read_bytes())
    }
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-eval' " + " ".join(sorted(hashes)),  # eval: Reflex's toasts and rx.call_script
            "style-src 'self' 'unsafe-inline'",  # emotion writes style elements
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _session_token(scope: Scope) -> str:
    """Return the token in the session's cookie, empty when there is none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(Headers(scope=scope).get("cookie", ""))
    except CookieError:
        return ""
    morsel = jar.get(settings().cookie)
    return morsel.value if morsel else ""


def _with_hash_for_cookie(scope: Scope) -> Scope:
    token = _session_token(scope)
    bare = _without(scope, _CREDENTIALS)
    if token:
        bare["headers"].append((SESSION_HEADER.encode(), digest(token).encode()))
    return bare


def _without(scope: Scope, names: set[bytes]) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in names]}
