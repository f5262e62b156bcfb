"""Lists: a table of 50 rows with keyset Older and Newer, filters in the address, what stands in an empty one."""

from collections.abc import Callable, Sequence
from typing import Any

import reflex as rx

from ingram_app.console.looks import Text, code, link, skeleton
from ingram_app.console.session import Session


def list_table(
    columns: Sequence[str],
    rows: rx.Var,
    cells: Callable[[Any], Sequence[Any]],
    *,
    label: str,
    href: Callable[[Any], Any] | None = None,
    loaded: rx.Var[bool] | bool = True,
    empty: rx.Component | None = None,
    older: rx.Var[str] | None = None,
) -> rx.Component:
    """Lay out `rows`, one `cells(row)` each, under `columns`; a column whose name ends with `#` holds numbers,
    one without a name holds buttons. On a telephone each row is a card: the first cell above, the others below
    beside their column's name.

    `href(row)` makes the first cell a link that the whole row opens. `older` is the page's `next_cursor`: with it
    *Older* goes to `?cursor=…`, the rest of the address kept, and *Newer* goes back.
    """
    heads = [
        rx.el.th(name.rstrip("#"), scope="col", class_name=_number(name)) if name else rx.el.td() for name in columns
    ]

    def row(item: Any) -> rx.Component:
        shown = list(cells(item))
        if href is not None:
            shown[0] = link(shown[0], href=href(item))
        cells_ = (cell(name, what) for name, what in zip(columns, shown, strict=True))
        return rx.el.tr(*cells_, custom_attrs={"data-row": ""} if href is not None else {})

    table = rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(*heads)), rx.el.tbody(rx.foreach(rows, row)), aria_label=label, class_name="list"
        ),
        class_name="table-wrap",
        tab_index=0,
        role="region",
        aria_label=label,
    )
    whole = rx.el.div(table, *([pager(older)] if older is not None else []), class_name="stack")
    return rx.cond(loaded, rx.cond(rows.length() > 0, whole, empty or rx.el.p("Nothing here.")), skeleton())


def cell(column: str, shown: Any) -> rx.Component:
    """A cell of a table of class `list`, under a column as `list_table` names it."""
    attributes = {"data-label": column.rstrip("#")} if column else {}
    return rx.el.td(shown, class_name=_number(column), custom_attrs=attributes)


def pager(older: rx.Var[str]) -> rx.Component:
    """Older and Newer, where there is such a page."""
    return rx.el.nav(
        rx.cond(
            rx.State.router.url.query_parameters["cursor"].is_not_none(),
            rx.el.button("Newer", class_name="button", type="button", on_click=rx.call_script("history.back()")),
        ),
        rx.cond(older != "", link("Older", class_name="button", href=with_query("cursor", older))),
        class_name="pager",
        aria_label="Pages",
    )


def chips(name: str, choices: Sequence[tuple[str, str]], *, label: str) -> rx.Component:
    """Filter by one word in the address: `choices` are (value, words); the empty value takes the filter away."""
    current = rx.State.router.url.query_parameters[name]
    return rx.el.div(
        *(
            link(
                words,
                href=with_query(name, value, "cursor"),
                class_name="chip",
                aria_current=rx.cond(current == value, "true", "false")
                if value
                else rx.cond(current.is_not_none() & (current != ""), "false", "true"),
            )
            for value, words in choices
        ),
        class_name="chips",
        role="group",
        aria_label=label,
    )


def search(name: str, label: str) -> rx.Component:
    """A search of the list, `?name=…`; the key `/` goes there. It is sent on Enter."""
    current = rx.State.router.url.query_parameters[name]
    return rx.el.form(
        rx.el.input(
            name=name,
            type="search",
            placeholder=label,
            aria_label=label,
            default_value=current,
            key=current,  # what the address says is known only after the first paint
            class_name="input",
            custom_attrs={"data-search": ""},
        ),
        class_name="bare",
        role="search",
        on_submit=lambda form: rx.redirect(_searched(form, name)),
    )


def days_filter() -> rx.Component:
    """Filter by days in UTC, `?from=2026-11-01&to=2026-11-30`; without the second it is the first alone."""

    def day(name: str, label: str, *, required: bool) -> rx.Component:
        current = rx.State.router.url.query_parameters[name]
        about: dict[str, Any] = {"default_value": current, "key": current, "required": required}
        return rx.el.input(name=name, type="date", aria_label=label, title=label, class_name="input", **about)

    return rx.el.form(
        day("from", "From day (UTC)", required=True),
        rx.el.span("to", class_name="muted"),
        day("to", "To day (UTC)", required=False),
        rx.el.button("Show", class_name="button slim", type="submit"),
        class_name="row days",
        on_submit=lambda form: rx.redirect(_searched(form, "from", "to")),
    )


def agent_filter(choices: rx.Var) -> rx.Component:
    """Filter by one of the agents in `choices`, `?agent=…`."""
    current = rx.State.router.url.query_parameters["agent"]
    return rx.el.select(
        rx.el.option("Every agent", value=""),
        rx.foreach(choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
        value=rx.cond(current.is_not_none(), current, ""),
        aria_label="Agent",
        class_name="input",
        on_change=lambda value: rx.redirect(with_query("agent", value, "cursor")),
    )


def filter_set(word: str, label: str, shown: rx.Var[str], *others: str) -> rx.Component:
    """A filter of the address, as a chip that takes it away, and `others` with it; `shown` stands for its value."""
    value = rx.State.router.url.query_parameters[word]
    return rx.cond(
        value.is_not_none() & (value != ""),
        link(
            f"{label}: ",
            rx.el.span(shown, class_name="clip"),
            rx.icon("x", size=14, aria_hidden="true"),
            href=with_query(word, "", "cursor", *others),
            class_name="chip",
            aria_current="true",
            title="Take this filter away",
        ),
    )


def led(figure: Text, path: Text, *what: Text) -> rx.Component:
    """A figure that leads to what it is made of, at `path` below the project; `what` says which figure it is."""
    named = rx.Var.create(" ".join(f"{word}" for word in ("", *what)))
    return link(figure, href=f"/p/{Session.project_id}{path}", aria_label=f"{figure}{named}")


def with_pill(fresh: rx.Var[int], more: rx.Var[bool], on_click: Any, table: rx.Component) -> rx.Component:
    """A table under the pill that says how many rows are new, `more` for at least so many, and brings them in."""
    number = rx.cond(more, f"{fresh}+", fresh.to_string())
    pill = rx.el.button(
        rx.icon("arrow-up", size=14, aria_hidden="true"),
        f"{number} new",
        type="button",
        class_name="button pill",
        on_click=on_click,
    )
    shown = rx.cond(fresh > 0, rx.el.div(pill, class_name="pill-row", role="status"))
    return rx.el.div(shown, table, class_name="with-pill")


def with_query(name: str, value: Text, *without: str) -> rx.Var[str]:
    """Return the tab's address with one word of its query set, empty to take it away, and others taken away."""
    return _address(rx.State.router.url.query, {name: rx.Var.create(value)}, without)


def _searched(form: Any, *names: str) -> rx.Var[str]:
    return _address(rx.State.router.url.query, {name: form.to(dict)[name] for name in names}, ["cursor"])


def _address(query: Any, words: dict[str, rx.Var], without: Sequence[str]) -> rx.Var[str]:
    """Rewrite a query in the browser, where the rest of it is."""
    rewritten: Any = rx.vars.FunctionStringVar.create(
        "((query, words, without) => { const q = new URLSearchParams(query);"
        " for (const gone of without) q.delete(gone);"
        " for (const [name, value] of Object.entries(words)) { if (value) q.set(name, value); else q.delete(name); }"
        " return '?' + q; })"
    )
    return rewritten.call(query, rx.Var.create(words), rx.Var.create(list(without))).to(str)


def empty(title: str, why: Text, *actions: rx.Component, curl: Text | None = None) -> rx.Component:
    """What stands in a list of nothing: what will stand here and why one wants it, the button, the curl."""
    return rx.el.div(
        rx.el.div(rx.el.h2(title), rx.el.p(why)),
        *([rx.el.div(*actions, class_name="row")] if actions else []),
        *([code(curl, "The same by API")] if curl is not None else []),
        class_name="empty",
    )


def _number(column: str) -> str:
    return "number" if column.endswith("#") else ""
