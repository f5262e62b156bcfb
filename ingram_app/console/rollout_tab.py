"""The looks of an agent's rollout: what runs now, the slider, the guard, the plan that asks, the history."""

from typing import Any

import reflex as rx

from ingram_app.console.agent_head import AgentHead
from ingram_app.console.dialogs import form_dialog
from ingram_app.console.differences import side_by_side
from ingram_app.console.lists import list_table
from ingram_app.console.looks import alert, button, field, relative_time, section
from ingram_app.console.rollout import Deed, Rollout
from ingram_app.console.session import Session


def tab() -> rx.Component:
    """All of it."""
    return rx.cond(
        AgentHead.live == "",
        rx.el.p(
            "Nothing has been published yet. The first version goes live by itself.", class_name="muted none-match"
        ),
        rx.el.div(_now(), rx.cond(Session.builds, _form()), _history(), class_name="stack wide-gap tab"),
    )


def halted() -> rx.Component:
    """The banner of a rollout that broke its guard; it stays until the next."""
    return rx.cond(
        AgentHead.halted != "",
        rx.el.div(
            rx.el.strong("Rollout halted"),
            rx.el.span(AgentHead.halted),
            relative_time(AgentHead.halted_at),
            class_name="notice red banner",
            role="status",
        ),
    )


def _now() -> rx.Component:
    others = rx.cond(AgentHead.rolling != "", "Everyone else, and whoever is pinned to it, runs ", "Everyone runs ")
    return section(
        "Now",
        "Each smith stays on its side: raising the percentage only adds smiths.",
        rx.el.div(
            rx.el.p(
                rx.cond(AgentHead.rolling != "", rx.fragment(rx.el.strong(AgentHead.rolling), " of the smiths. ")),
                others,
                rx.el.strong(AgentHead.live.lower()),
                ".",
            ),
            rx.cond(
                Session.builds & (AgentHead.back != ""),
                button(f"Roll back to {AgentHead.back}", icon="undo-2", on_click=Rollout.roll_back),
            ),
            class_name="row wide wraps",
        ),
        rx.el.div(
            rx.el.div(style={"width": f"{AgentHead.share}%"}),
            class_name="share",
            aria_hidden="true",
        ),
    )


def _form() -> rx.Component:
    return section(
        "Roll out",
        "Nothing happens before you have seen what would.",
        rx.el.form(
            rx.el.div(
                rx.el.div(
                    rx.el.label("Version", html_for="rollout-version"),
                    rx.el.select(
                        rx.foreach(Rollout.choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
                        id="rollout-version",
                        name="version",
                        default_value=Rollout.version,
                        class_name="input",
                    ),
                    class_name="field",
                ),
                _slider(),
                class_name="pair",
            ),
            _guard(),
            alert(Rollout.error),
            rx.el.div(button("Plan …", kind="main", type="submit"), class_name="row"),
            on_submit=Rollout.ask,
            key=Rollout.revision,
        ),
    )


def _slider() -> rx.Component:
    return rx.el.div(
        rx.el.label("Share of the smiths", html_for="rollout-percent"),
        rx.el.div(
            rx.el.input(
                id="rollout-percent",
                name="percent",
                type="range",
                min=0,
                max=100,
                default_value=Rollout.percent,
                list="rollout-stops",
                custom_attrs={"data-shown-in": "rollout-share"},
            ),
            rx.el.output(f"{Rollout.percent} %", id="rollout-share", html_for="rollout-percent"),
            rx.el.datalist(*(rx.el.option(value=stop) for stop in (0, 10, 25, 50, 75, 100)), id="rollout-stops"),
            class_name="slider",
        ),
        class_name="field",
    )


def _guard() -> rx.Component:
    def bound(name: str, label: str, help: str) -> rx.Component:
        wrong = rx.cond(Rollout.error_at == name, Rollout.error, "")
        return field(
            name, label, default_value=Rollout.guard[name], help=help, error=wrong, input_mode="decimal", max_length=12
        )

    return rx.el.div(
        rx.el.label(
            rx.el.input(type="checkbox", name="guarded", default_checked=Rollout.guard["on"] == "on", role="switch"),
            rx.el.span(
                rx.el.span("Guard it"),
                rx.el.span(
                    "Goes back to 0 % by itself, within half a minute, when the version's runs break a bound.",
                    class_name="help",
                ),
            ),
            class_name="switch",
        ),
        rx.el.div(
            bound("max_failure_rate", "Failed runs, at most", "In percent of its ended runs."),
            bound("max_cost_ratio", "Cost, at most", "Times what a run of the live version costs."),
            bound("min_runs", "Runs before it is judged", "With fewer nothing happens."),
            bound("window_minutes", "Minutes looked back", "Older runs do not count."),
            class_name="fourths",
        ),
        class_name="guard stack",
    )


def dialog() -> rx.Component:
    """The plan, which asks."""
    plan = Rollout.planned
    return form_dialog(
        "roll-out",
        plan.title,
        plan.moves,
        rx.cond(
            plan.shields.length() > 0,
            rx.el.ul(rx.foreach(plan.shields, lambda shield: rx.el.li(shield)), class_name="notice points"),
        ),
        rx.cond(
            Rollout.shown.length() > 0,
            rx.el.div(side_by_side(Rollout.shown, "What they run", "What they will run"), class_name="scrolls"),
            rx.el.p("No field changes.", class_name="muted small"),
        ),
        deed=plan.deed,
        on_submit=lambda _: Rollout.apply(),
    )


def _history() -> rx.Component:
    def cells(deed: Deed) -> list[Any]:
        return [rx.el.span(deed.what, class_name="note broad"), deed.by, relative_time(deed.at)]

    return section(
        "History",
        "What was published, rolled out and taken back.",
        list_table(
            ["What", "By", "When"],
            Rollout.history,
            cells,
            label="History",
            older=Rollout.older,
            empty=rx.el.p("Nothing yet.", class_name="muted small"),
        ),
    )
