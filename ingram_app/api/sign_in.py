"""/auth: the forms of the console that set or take away its cookie. They answer with a redirect, never with data."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import IngramError
from ingram_app.core.secrets import digest
from ingram_app.core.settings import settings
from ingram_app.domain import sessions, teammates
from ingram_app.domain.sessions import SignInFailed
from ingram_app.domain.teammates import Teammate

router = APIRouter(prefix="/auth", include_in_schema=False)
Text = Annotated[str, Form(max_length=2000)]


@router.post("/sign-in")
async def sign_in(request: Request, email: Text, password: Text, next: Text = "/") -> RedirectResponse:
    """Sign in with a password. While it is checked, no connection to the database is held."""
    try:
        async with transaction(NOBODY) as session:
            counted = await sessions.attempt(session, email=email, address=_address(request))
            teammate = await teammates.by_email(session, email)
        if not await teammates.check_password(teammate, password) or teammate is None:
            raise SignInFailed()
        async with transaction(NOBODY) as session:
            await sessions.forgive(session, counted)
            cookie = await _begin(session, request, teammate)
    except IngramError as error:
        return _back(request, "/sign-in", error, next=next, email=email)
    return _in(request, cookie, next)


@router.post("/welcome")
async def welcome(
    request: Request, link: Text, name: Text, email: Text, password: Text, organization: Text = ""
) -> RedirectResponse:
    """Create the first owner, or give one a password, and sign in."""
    try:
        async with transaction(NOBODY) as session:
            teammate = await teammates.welcome(
                session, link, organization=organization, name=name, email=email, password=password
            )
            cookie = await _begin(session, request, teammate)
    except IngramError as error:
        return _back(request, "/welcome", error, link=link, name=name, email=email, organization=organization)
    return _in(request, cookie, "/")


@router.post("/sign-out")
async def sign_out(request: Request) -> RedirectResponse:
    """End the session here and in every tab."""
    cookie = request.cookies.get(settings().cookie)
    if cookie:
        async with transaction(NOBODY) as session:
            await sessions.end(session, digest(cookie), address=_address(request))
    answer = _sent(request, "/sign-in")
    answer.delete_cookie(settings().cookie, path="/", secure=settings().https, httponly=True, samesite="lax")
    return answer


async def _begin(session: AsyncSession, request: Request, teammate: Teammate) -> str:
    if old := request.cookies.get(settings().cookie):
        await sessions.end(session, digest(old), address=_address(request))
    return await sessions.begin(
        session, teammate, address=_address(request), agent=request.headers.get("user-agent", "")
    )


def _in(request: Request, cookie: str, target: str) -> RedirectResponse:
    answer = _sent(request, _inside(target))
    answer.set_cookie(
        settings().cookie,
        cookie,
        max_age=int(sessions.LONGEST.total_seconds()),
        path="/",
        secure=settings().https,
        httponly=True,
        samesite="lax",
    )
    return answer


def _inside(target: str) -> str:
    """Return the target if it is a path of ours, else the start: nobody is sent elsewhere after signing in."""
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ours else "/"


def _back(request: Request, path: str, error: IngramError, **typed: str) -> RedirectResponse:
    return _sent(request, f"{path}?{urlencode({'error': error.code, 'field': error.param or '', **typed})}")


def _sent(request: Request, path: str) -> RedirectResponse:
    """Send a person on, at the origin whose page they come from when that is one of ours."""
    origin = request.headers.get("origin", "")
    return RedirectResponse(f"{origin if origin in settings().origins else ''}{path}", 303)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
