"""The chart of a period's cost: a column for each day, stacked by model, and the same as a table."""

from dataclasses import dataclass

import reflex as rx

from ingram_app.console.figures import money
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


@dataclass
class Column:
    """One day."""

    day: str
    label: str
    """Under it, at some of the days."""
    cost: str
    parts: list[Part]
    figures: list[str]
    """What each of the series cost."""


@dataclass
class Series:
    name: str
    colour: str
    cost: str


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
    columns = [_column(day, place, len(days), names, by_day[day], highest) for place, day in enumerate(days)]
    return columns, [Series(name, f"c{place}", money(sums[name])) for place, name in enumerate(names)]


def _column(day: str, place: int, days: int, names: list[str], values: list[int], highest: int) -> Column:
    parts = [
        Part(f"{value / highest:.2%}", f"c{number}", f"{day}, {name}: {money(value)}")
        for number, (name, value) in enumerate(zip(names, values, strict=True))
        if value
    ]
    every = max(1, -(-days // 8))
    label = day[5:] if place % every == 0 else ""
    return Column(day, label, money(sum(values)), parts, [money(value) for value in values])


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
    return rx.el.div(class_name=f"part {part.colour}", style={"height": part.height}, title=part.told)


def _legend(one: Series) -> rx.Component:
    return rx.el.li(rx.el.span(class_name=f"part {one.colour}"), one.name, rx.el.span(one.cost, class_name="muted"))


def _row(column: Column) -> rx.Component:
    figures = rx.foreach(column.figures, lambda figure: rx.el.td(figure, class_name="number"))
    return rx.el.tr(rx.el.td(column.day), rx.el.td(column.cost, class_name="number"), figures)
