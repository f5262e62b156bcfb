"""The frame around every page: the project picker, the sections, the palette, who is signed in."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors

from ingram_app.console.dialogs import close_dialog, form_dialog
from ingram_app.console.looks import NativeForm, field, head, icon_button, link, link_button, served, skeleton
from ingram_app.console.palette import palette
from ingram_app.console.session import Session, standing
from ingram_app.console.waiting import Waiting
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import projects

Body = Callable[[], rx.Component]

_SECTIONS = [
    (
        "Build",
        [
            ("Home", "house", "", "h"),
            ("Agents", "bot", "/agents", "a"),
            ("Smiths", "users", "/smiths", "s"),
            ("Tools", "wrench", "/tools", "t"),
        ],
    ),
    (
        "Observe",
        [
            ("Runs", "activity", "/runs", "r"),
            ("Approvals", "shield-check", "/approvals", "p"),
            ("Events", "rss", "/events", "e"),
        ],
    ),
    (
        "Spend",
        [
            ("Usage & cost", "wallet", "/usage", "u"),
            ("Model calls", "receipt-text", "/calls", "l"),
        ],
    ),
    (
        "Revenue",
        [
            ("Customers", "briefcase", "/customers", "c"),
            ("Rates", "tag", "/rates", ""),
        ],
    ),
    (
        "Settings",
        [
            ("Project", "settings", "/settings/project", ""),
            ("Models", "cpu", "/settings/models", ""),
            ("API keys", "key-round", "/settings/api-keys", ""),
            ("Webhooks", "webhook", "/settings/webhooks", ""),
            ("Trace export", "telescope", "/settings/traces", ""),
            ("Stripe", "credit-card", "/settings/stripe", ""),
            ("Audit log", "scroll-text", "/settings/audit-log", ""),
        ],
    ),
]
"""Name, icon, path below the project, and the key that goes there after `g`."""
_OF_MANAGERS = {"/settings/audit-log"}
"""Paths that are offered to owners and admins alone."""


class NewProject(rx.State):
    """The dialog that asks for a new project's name."""

    error: str = ""

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Make the project and go there."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                project = await projects.create(session, caller, str(form.get("name", "")))
        except Invalid as error:
            self.error = error.sentence
            return None
        self.error = ""
        return [close_dialog("new-project"), rx.redirect(f"/p/{project.id}")]


def page(route: str, *, title: str, on_load: Any = ()) -> Callable[[Body], Body]:
    """Put a page's body into the frame, under `route`, which begins with `/p/[project]`.

    `on_load` are the page's own handlers; before them the frame is filled, beside them the session is watched.
    """
    handlers = list(on_load) if isinstance(on_load, (list, tuple)) else [on_load]

    def framed(body: Body) -> Body:
        @rx.page(
            route=route,
            title=f"{title} · Ingram Cloud",
            on_load=[Session.arrive, *handlers, Session.watch, Waiting.watch],
        )
        def whole() -> rx.Component:
            return frame(body)

        return body

    return framed


def frame(body: Body) -> rx.Component:
    """Return the whole page around a body."""
    shown = rx.cond(Session.missing != "", _not_here(), rx.cond(Session.ready, body(), skeleton()))
    return rx.fragment(
        rx.el.div(
            rx.el.nav(
                rx.el.a("Skip to the content", href="#main", class_name="skip"), class_name="skips", aria_label="Skip"
            ),
            _sidebar(),
            rx.el.div(class_name="scrim", custom_attrs={"data-does": "unside"}),
            rx.el.div(_topbar(), rx.el.main(rx.el.div(shown, class_name="width"), id="main", tab_index=-1)),
            class_name="frame",
        ),
        _lost_connection(),
        palette([(name, _within(path), _is_offered(path)) for _, items in _SECTIONS for name, _, path, _ in items]),
        form_dialog(
            "new-project",
            "New project",
            "A project is a tenant of its own: agents, smiths, runs and keys of one never meet those of another.",
            field("name", "Name", id="new-project-name", error=NewProject.error, max_length=80, required=True),
            deed="Create project",
            on_submit=NewProject.create,
        ),
    )


def head_components() -> list[rx.Component]:
    """What stands in the head of every page: the script that runs before the first paint, the icon."""
    script = Path(__file__).parents[2] / "assets" / "console.js"
    mark = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    return [
        rx.el.script(src=f"/console.js?v={mark}"),
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
    ]


def _within(path: str) -> rx.Var[str]:
    return rx.Var.create(f"/p/{Session.project_id}{path}").to(str)


def _sidebar() -> rx.Component:
    return rx.el.aside(
        _picker(),
        rx.el.button(
            rx.icon("search", size=16, aria_hidden="true"),
            "Go to …",
            rx.el.kbd("Ctrl K", aria_hidden="true"),
            class_name="side-button",
            type="button",
            custom_attrs={"data-opens": "palette"},
        ),
        rx.el.nav(
            rx.cond(Session.project_id != "", rx.fragment(*map(_section, _SECTIONS))),
            aria_label="Main",
            class_name="sections",
        ),
        _person(),
        id="side",
        class_name="side",
        aria_label="Sidebar",
    )


def _section(section: tuple[str, list[tuple[str, str, str, str]]]) -> rx.Component:
    name, items = section
    return rx.el.div(rx.el.h2(name), rx.el.ul(*(_link(*item) for item in items)))


def _link(name: str, icon: str, path: str, key: str) -> rx.Component:
    href, here = _within(path), rx.State.router.url.path.to(str)
    current = (here == href) | here.startswith(href + "/") if path else here == href
    item = rx.el.li(
        link(
            rx.icon(icon, size=16, aria_hidden="true"),
            name,
            *([_count()] if path == "/approvals" else []),
            href=href,
            aria_current=rx.cond(current, "page", "false"),
            custom_attrs={"data-key": key},
        )
    )
    return rx.cond(_is_offered(path), item)


def _is_offered(path: str) -> rx.Var[bool] | bool:
    return Session.manages if path in _OF_MANAGERS else True


def _count() -> rx.Component:
    """How many wait for a person."""
    number = rx.el.span(Waiting.count, rx.el.span(" waiting", class_name="visually-hidden"), class_name="count")
    return rx.cond(Waiting.count > 0, number)


def _picker() -> rx.Component:
    return rx.el.div(
        rx.el.button(
            rx.el.span(Session.project_name[:1].upper(), class_name="tile", aria_hidden="true"),
            rx.el.span(rx.cond(Session.project_name != "", Session.project_name, "Choose a project")),
            rx.icon("chevrons-up-down", size=14, aria_hidden="true"),
            type="button",
            class_name="picker-button",
            custom_attrs={"popoverTarget": "picker"},
        ),
        rx.el.div(
            rx.el.input(
                type="search",
                class_name="input",
                placeholder="Find a project",
                aria_label="Find a project",
                custom_attrs={"data-filters": "#picker li"},
            ),
            rx.el.ul(rx.foreach(Session.projects, _choice)),
            rx.cond(
                Session.manages,
                rx.fragment(
                    rx.el.hr(),
                    rx.el.button(
                        rx.icon("plus", size=16, aria_hidden="true"),
                        "New project",
                        type="button",
                        custom_attrs={"data-opens": "new-project"},
                    ),
                ),
            ),
            id="picker",
            class_name="menu",
            custom_attrs={"popover": "auto"},
        ),
    )


def _choice(choice) -> rx.Component:
    current = choice.id == Session.project_id
    return rx.el.li(
        link(
            rx.el.span(choice.name, class_name="grow"),
            rx.cond(current, rx.icon("check", size=16, aria_hidden="true")),
            href=f"/p/{choice.id}",
            aria_current=rx.cond(current, "true", "false"),
        )
    )


def _person() -> rx.Component:
    return rx.el.div(
        link(
            rx.el.span(Session.name),
            rx.el.span(Session.email, class_name="muted small", id="who"),
            href="/account",
            title="Your account",
        ),
        icon_button("sun-moon", "Light or dark", custom_attrs={"data-does": "theme"}),
        NativeForm.create(
            icon_button("log-out", "Sign out", type="submit"),
            action=served("/auth/sign-out"),
            method="post",
            class_name="bare",
        ),
        class_name="person",
    )


def _topbar() -> rx.Component:
    return rx.el.header(
        icon_button("menu", "Menu", aria_expanded="false", aria_controls="side", custom_attrs={"data-does": "side"}),
        rx.el.span(Session.project_name),
        class_name="topbar",
    )


def _not_here() -> rx.Component:
    return rx.el.div(
        head("Not here", Session.missing),
        rx.el.div(link_button("To your projects", "/"), class_name="row"),
        class_name="stack",
    )


def _lost_connection() -> rx.Component:
    """A quiet bar while the server can not be reached; what has been typed stays."""
    return rx.cond(
        has_connection_errors,
        rx.el.div("Connection lost. Trying again …", class_name="quiet-bar", role="status"),
    )
