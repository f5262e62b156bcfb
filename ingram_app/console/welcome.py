"""Welcome: the first owner, or a teammate who was named by the command line, chooses a password."""

from typing import Any

import reflex as rx

from ingram_app.console.looks import NativeForm, button, field, link_button, served, skeleton
from ingram_app.console.sign_in import door
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import teammates
from ingram_app.domain.teammates import InvalidEmail, InvalidName, InvalidPassword, WelcomeLinkSpent

_QUERY = rx.State.router.url.query_parameters


class Welcome(rx.State):
    spent: str = ""
    email: str = ""
    """Of the teammate whom the link names; empty for the first owner."""
    name: str = ""
    ready: bool = False

    @rx.event
    async def load(self):
        """Look whom the link is for."""
        self.spent, self.email, self.name = "", "", ""
        try:
            async with transaction(NOBODY) as session:
                teammate = await teammates.welcomed(session, self.router.url.query_parameters.get("link", ""))
        except WelcomeLinkSpent as error:
            self.spent = error.sentence
        else:
            self.email, self.name = (teammate.email, teammate.name) if teammate else ("", "")
        self.ready = True


@rx.page(route="/welcome", title="Welcome · Ingram Cloud", on_load=Welcome.load)
def welcome() -> rx.Component:
    return door(rx.cond(Welcome.ready, rx.cond(Welcome.spent != "", _spent(), _form()), skeleton()))


def _spent() -> rx.Component:
    return rx.el.div(
        rx.el.h1("This link is spent"),
        rx.el.p(Welcome.spent, class_name="muted"),
        link_button("Sign in", "/sign-in", kind="main"),
        class_name="stack",
    )


def _form() -> rx.Component:
    first = Welcome.email == ""
    return rx.el.div(
        rx.el.div(
            rx.el.h1("Welcome"),
            rx.el.p(
                rx.cond(
                    first,
                    "This account owns the installation: it makes projects and keys, and invites others.",
                    "Choose a password for your account.",
                ),
            ),
        ),
        NativeForm.create(
            rx.el.input(type="hidden", name="link", value=_QUERY["link"]),
            *_fields(first),
            button(rx.cond(first, "Create the account", "Set the password"), kind="main", type="submit"),
            action=served("/auth/welcome"),
            method="post",
            class_name="stack",
        ),
        class_name="stack",
    )


def _fields(first: rx.Var[bool]) -> list[rx.Component]:
    organization = _field(
        "organization",
        "Organization",
        InvalidName(),
        default_value=_QUERY["organization"],
        help="Your company, as others know it.",
        max_length=120,
        auto_complete="organization",
    )
    name = rx.cond(_QUERY["name"].is_not_none(), _QUERY["name"], Welcome.name)
    email = rx.cond(first, _QUERY["email"], Welcome.email)
    return [
        rx.cond(first, organization),
        _field("name", "Your name", InvalidName(), default_value=name, max_length=120, auto_complete="name"),
        _field(
            "email",
            "E-mail address",
            InvalidEmail(email="This"),
            kind="email",
            default_value=email,
            read_only=~first,
            max_length=254,
            auto_complete="username",
        ),
        _field(
            "password",
            "Password",
            InvalidPassword(),
            kind="password",
            help=InvalidPassword().sentence,
            min_length=12,
            max_length=1024,
            auto_complete="new-password",
        ),
    ]


def _field(name: str, label: str, refusal: IngramError, **props: Any) -> rx.Component:
    return field(name, label, error=_wrong(name, refusal), required=True, **props)


def _wrong(name: str, error: IngramError) -> rx.Var[str]:
    """Return the error's sentence where the form came back with it for this field."""
    said = (_QUERY["error"] == error.code) & (_QUERY["field"] == name)
    return rx.cond(said, error.sentence, "")
