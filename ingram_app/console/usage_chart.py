"""The chart of a period's cost: a column for each day, stacked by model, and the same as a table."""

from dataclasses import dataclass
from datetime import date, timedelta

import reflex as rx

from ingram_app.console import made_of
from ingram_app.console.figures import money
from ingram_app.console.lists import led
from ingram_app.console.looks import link
from ingram_app.console.session import Session
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import Group

_APART = 5
"""Models that have a colour of their own, those that cost most; the others share one."""
_OTHERS = "other models"


@dataclass
class Part:
    """What one model cost on one day."""

    height: str
    colour: str
    told: str
    made_of: str
    """Where the calls are that it is made of, below the project."""


@dataclass
class Figure:
    """What one of the series cost on a day."""

    cost: str
    made_of: str


@dataclass
class Column:
    """One day."""

    day: str
    label: str
    """Under it, at some of the days."""
    cost: str
    made_of: str
    parts: list[Part]
    figures: list[Figure]
    """What each of the series cost."""


@dataclass
class Series:
    name: str
    colour: str
    cost: str
    made_of: str


def drawn(period: Period, told: list[Group]) -> tuple[list[Column], list[Series]]:
    """Return the chart of what models cost by day; `told` has a group for each model and day."""
    costs: dict[tuple[str, str], int] = {}
    models: dict[str, int] = {}
    for group in told:
        day, _, model = group.key.partition(" ")
        costs[day, model] = group.cost_micros
        models[model] = models.get(model, 0) + group.cost_micros
    ranked = sorted(models, key=lambda model: (-models[model], model))
    names = ranked[:_APART] + [_OTHERS] * (len(ranked) > _APART)
    sums = {name: models.get(name, 0) for name in names}
    sums |= {_OTHERS: sum(models[model] for model in ranked[_APART:])} if len(ranked) > _APART else {}
    days = [day.isoformat() for day in period.days]
    by_day = {day: [costs.get((day, name), 0) for name in ranked[:_APART]] for day in days}
    for day in days if len(ranked) > _APART else []:
        by_day[day].append(sum(costs.get((day, model), 0) for model in ranked[_APART:]))
    highest = max((sum(values) for values in by_day.values()), default=0) or 1
    columns = [
        _column(day, place, len(days), names, by_day[f"{day}"], highest) for place, day in enumerate(period.days)
    ]
    series = [
        Series(name, f"c{place}", money(sums[name]), _led(period, names, name)) for place, name in enumerate(names)
    ]
    return columns, series


def _led(period: Period, names: list[str], name: str) -> str:
    """Return where the calls of a series are: of a model, or of all that have no colour of their own."""
    if names.index(name) == _APART:
        return made_of.others(period, "model", names[:_APART])
    return made_of.calls(period, {"model": name})


def _column(on: date, place: int, days: int, names: list[str], values: list[int], highest: int) -> Column:
    day, period = on.isoformat(), Period(on, on + timedelta(days=1))
    led_to = [_led(period, names, name) for name in names]
    parts = [
        Part(f"{value / highest:.2%}", f"c{number}", f"{day}, {name}: {money(value)}", led_to[number])
        for number, (name, value) in enumerate(zip(names, values, strict=True))
        if value
    ]
    every = max(1, -(-days // 8))
    label = day[5:] if place % every == 0 else ""
    figures = [Figure(money(value), where) for value, where in zip(values, led_to, strict=True)]
    return Column(day, label, money(sum(values)), made_of.calls(period), parts, figures)


def chart(columns: rx.Var[list[Column]], series: rx.Var[list[Series]]) -> rx.Component:
    """Show the chart, its legend, and the same figures as a table."""
    bars = rx.el.div(rx.foreach(columns, _bar), class_name="bars", aria_hidden="true")
    legend = rx.el.ul(rx.foreach(series, _legend), class_name="legend")
    heads = rx.foreach(series, lambda one: rx.el.th(one.name, scope="col", class_name="number"))
    table = rx.el.table(
        rx.el.thead(rx.el.tr(rx.el.th("Day", scope="col"), rx.el.th("All", scope="col", class_name="number"), heads)),
        rx.el.tbody(rx.foreach(columns, _row)),
        aria_label="Cost by day",
    )
    whole = rx.el.div(table, class_name="table-wrap", tab_index=0, role="region", aria_label="Cost by day")
    behind = rx.el.details(rx.el.summary("The same as a table"), whole)
    return rx.el.div(bars, legend, behind, class_name="stack")


def _bar(column: Column) -> rx.Component:
    return rx.el.div(
        rx.el.div(rx.foreach(column.parts, _part), class_name="bar", title=f"{column.day}: {column.cost}"),
        rx.el.span(column.label),
    )


def _part(part: Part) -> rx.Component:
    return link(
        href=f"/p/{Session.project_id}{part.made_of}",
        class_name=f"part {part.colour}",
        style={"height": part.height},
        title=part.told,
        tab_index=-1,
    )


def _legend(one: Series) -> rx.Component:
    return rx.el.li(rx.el.span(class_name=f"part {one.colour}"), one.name, led(one.cost, one.made_of, one.name))


def _row(column: Column) -> rx.Component:
    figures = rx.foreach(
        column.figures, lambda one: rx.el.td(led(one.cost, one.made_of, column.day), class_name="number")
    )
    whole = led(column.cost, column.made_of, column.day)
    return rx.el.tr(rx.el.td(column.day), rx.el.td(whole, class_name="number"), figures)
