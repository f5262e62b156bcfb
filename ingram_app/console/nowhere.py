"""Nowhere: what an address that is no page shows."""

import reflex as rx

from ingram_app.console.looks import link_button
from ingram_app.console.sign_in import door


@rx.page(route="404", title="Not here · Ingram Cloud")
def nowhere() -> rx.Component:
    return door(
        rx.el.div(rx.el.h1("Not here"), rx.el.p("There is no page at this address.")),
        link_button("To your projects", "/", kind="main", reload_document=True),
    )
