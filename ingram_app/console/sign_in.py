"""Sign in: with an e-mail address and a password."""

import reflex as rx

from ingram_app.console.looks import NativeForm, alert, button, field, served
from ingram_app.domain.sessions import SignInFailed, SignInLimited


@rx.page(route="/sign-in", title="Sign in · Ingram Cloud")
def sign_in() -> rx.Component:
    query = rx.State.router.url.query_parameters
    wrong = rx.match(query["error"], *((error.code, error().sentence) for error in (SignInFailed, SignInLimited)), "")
    return door(
        rx.el.h1("Sign in"),
        NativeForm.create(
            alert(wrong),
            rx.el.input(type="hidden", name="next", value=rx.cond(query["next"].is_not_none(), query["next"], "/")),
            field(
                "email",
                "E-mail address",
                kind="email",
                required=True,
                max_length=254,
                auto_complete="username",
                default_value=query["email"],
            ),
            field("password", "Password", kind="password", required=True, auto_complete="current-password"),
            button("Sign in", kind="main", type="submit"),
            action=served("/auth/sign-in"),
            method="post",
            class_name="stack",
        ),
    )


def door(*body: rx.Component) -> rx.Component:
    """The frame of pages for people who are not in yet."""
    return rx.el.main(
        rx.el.p(rx.el.img(src="/favicon.svg", alt="", width=24, height=24), "Ingram Cloud", class_name="brand"),
        *body,
        class_name="door",
    )
