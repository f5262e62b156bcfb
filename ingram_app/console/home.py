"""Home: three steps to the first reply."""

import reflex as rx

from ingram_app.console.looks import head
from ingram_app.console.shell import page


@page("/p/[project]", title="Home")
def home() -> rx.Component:
    return head("Home", "Three steps to the first reply.")
