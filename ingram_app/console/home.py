"""Home: where a person arrives."""

import reflex as rx


@rx.page(route="/", title="Ingram Cloud")
def home() -> rx.Component:
    return rx.heading("Ingram Cloud")
