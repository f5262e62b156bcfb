"""The way in: to the project that was open last, to the first there is, or to a new one."""

import reflex as rx

from ingram_app.console.looks import button, head
from ingram_app.console.session import Session
from ingram_app.console.shell import frame


class Start(rx.State):
    @rx.event
    async def go(self):
        """Go to a project, if there is one."""
        tab = await self.get_state(Session)
        ids = [choice.id for choice in tab.projects]
        if ids:
            wished = tab.last_project_id
            return rx.redirect(f"/p/{wished if wished in ids else ids[0]}", replace=True)


@rx.page(route="/", title="Ingram Cloud", on_load=[Session.arrive, Start.go, Session.watch])
def start() -> rx.Component:
    return frame(_body)


def _body() -> rx.Component:
    return rx.cond(
        Session.projects.length() == 0,
        rx.el.div(
            head("Welcome", "Everything you build lives in a project: a tenant of its own, with its own keys."),
            rx.cond(
                Session.manages,
                rx.el.div(button("New project", kind="main", icon="plus", opens="new-project"), class_name="row"),
                rx.el.p("Ask an owner or admin of your organization to make one.", class_name="muted"),
            ),
            class_name="stack",
        ),
    )
