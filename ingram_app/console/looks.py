"""Small pieces that pages are made of. Looks only: none knows a rule. Their style is in assets/console.css."""

from typing import Any

import reflex as rx
from reflex.config import get_config
from reflex.event import EventSpec
from reflex_base.constants.compiler import MemoizationDisposition, MemoizationMode
from reflex_components_core.el.elements.base import BaseHTML
from reflex_components_core.react_router import link

Text = rx.Var[str] | str


class _Time(BaseHTML):
    """An element of our own, from assets/console.js."""

    tag = "ic-time"
    # Reflex would name a component of its own after the tag, whose hyphen is none for JavaScript
    _memoization_mode = MemoizationMode(disposition=MemoizationDisposition.NEVER)


def served(path: str) -> str:
    """Return where the server takes a form: beside the pages, unless these are developed on a port of their own."""
    config = get_config()
    return path if config.api_url == config.deploy_url else f"{config.api_url}{path}"


class NativeForm(rx.el.Div):
    """A plain HTML form that the browser itself submits, as one must whose answer sets a cookie.

    `rx.form` and `rx.el.form` always prevent that.
    """

    tag = "form"
    action: rx.Var[str]
    method: rx.Var[str]


_BADGES = {
    "green": (
        "completed",
        "approved",
        "live",
        "available",
        "active",
        "published",
        "delivered",
        "sent",
        "own key",
        "platform's key",
        "needs no key",
    ),
    "accent": ("running", "rolling out"),
    "amber": (
        "paused_for_approval",
        "paused_for_tool",
        "waits for a decision",
        "draft only",
        "unpublished changes",
        "published, not live",
        "expires soon",
        "failing",
        "unsure",
        "degraded",
        "expired",
        "nearly used up",
    ),
    "red": ("failed", "revoked", "missing", "halted", "dead", "error", "used up"),
}
_WORDS = (
    ("paused_for_approval", "waits for approval"),
    ("paused_for_tool", "waits for a tool"),
)


def badge(status: Text) -> rx.Component:
    """Show a state in its colour: green live, amber waits for a person, red failed, grey over."""
    colour = rx.match(status, *((word, colour) for colour, words in _BADGES.items() for word in words), "grey")
    return rx.el.span(rx.match(status, *_WORDS, status), class_name=f"badge {colour}")


def relative_time(moment: Text) -> rx.Component:
    """Show how long ago `moment`, ISO 8601, was; exactly on hover. Empty shows a dash."""
    return _Time.create(custom_attrs={"at": moment})


def short_id(id: Text, short: Text) -> rx.Component:
    """Show an id by less of it, with a button that copies all of it."""
    return rx.el.span(rx.el.span(short, class_name="clip", title=id), copy_button(id, "Copy the id"), class_name="id")


def whole_id(id: Text) -> rx.Component:
    """Show an id with a button that copies it."""
    return rx.el.span(rx.el.span(id), copy_button(id, "Copy the id"), class_name="id")


def copy_button(text: Text, label: str) -> rx.Component:
    """A small button that copies `text`."""
    return rx.el.button(
        rx.icon("copy", size=14, class_name="when-idle", aria_hidden="true"),
        rx.icon("check", size=14, class_name="when-copied", aria_hidden="true"),
        type="button",
        class_name="icon-button tiny",
        aria_label=label,
        title=label,
        custom_attrs={"data-copy": text},
    )


def icon_button(icon: str, label: str, **props: Any) -> rx.Component:
    """A button that is an icon; `label` names it."""
    props = {"type": "button"} | props
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden="true"), class_name="icon-button", aria_label=label, title=label, **props
    )


def code(text: Text, label: str) -> rx.Component:
    """Show code to copy; `label` names it to who does not see it."""
    return rx.el.div(
        rx.el.pre(rx.el.code(text), tab_index=0, role="region", aria_label=label),
        copy_button(text, f"Copy: {label}"),
        class_name="code",
    )


def button(label: Text, *, icon: str = "", kind: str = "", **props: Any) -> rx.Component:
    """A button; `kind` is `main`, `danger`, `plain`, or several. `opens=` names a dialog that it opens."""
    attributes = {f"data-{name}": props.pop(name) for name in ("opens", "closes", "does") if name in props}
    return rx.el.button(
        *([rx.icon(icon, size=16, aria_hidden="true")] if icon else []),
        label,
        type=props.pop("type", "button"),
        class_name=f"button {kind}",
        custom_attrs=attributes,
        **props,
    )


def link_button(label: Text, href: Text, *, kind: str = "", **props: Any) -> rx.Component:
    """A link that looks like a button."""
    return link(label, href=href, class_name=f"button {kind}", **props)


def head(title: Text, about: Text | None = None, *actions: rx.Component) -> rx.Component:
    """The top of a page: its name, one sentence of what these things are, the main action at the right."""
    return rx.el.header(
        rx.el.div(rx.el.h1(title), *([rx.el.p(about)] if about is not None else [])),
        *([rx.el.div(*actions, class_name="row")] if actions else []),
        class_name="page-head",
    )


def section(title: str, about: Text, *body: rx.Component) -> rx.Component:
    """A part of a page, under a line."""
    return rx.el.section(rx.el.header(rx.el.h2(title), rx.el.p(about)), *body, class_name="section")


def field(
    name: str, label: str, *, help: Text = "", error: rx.Var[str] | None = None, kind: str = "text", **props: Any
) -> rx.Component:
    """A field with its label above, help below, and the error that is about it.

    `kind` is an input's type, or `area` for many lines, or `select` with `options=[(value, words), …]`.
    """
    wrong = error if error is not None else rx.Var.create("")
    props = {
        "id": name,
        "name": name,
        "class_name": "input",
        "aria_invalid": rx.cond(wrong != "", "true", "false"),
        "aria_describedby": f"{props.get('id', name)}-about",
    } | props
    about = field_note(props["id"], help, wrong)
    return rx.el.div(rx.el.label(label, html_for=props["id"]), _control(kind, props), about, class_name="field")


def alert(wrong: rx.Var[str]) -> rx.Component:
    """What went wrong as a whole, while something is."""
    return rx.cond(wrong != "", rx.el.p(wrong, class_name="notice red", role="alert"))


def field_note(id: str, help: Text, wrong: rx.Var[str]) -> rx.Component:
    """What stands below a field: the error that is about it, else help."""
    error = rx.el.span(wrong, class_name="error", role="alert")
    return rx.el.p(rx.cond(wrong != "", error, rx.el.span(help, class_name="help")), id=f"{id}-about")


def _control(kind: str, props: dict[str, Any]) -> rx.Component:
    if kind == "area":
        return rx.el.textarea(**props)
    if kind == "select":
        options = props.pop("options")
        return rx.el.select(*(rx.el.option(words, value=value) for value, words in options), **props)
    return rx.el.input(type=kind, **props)


def save_bar(label: str = "Save") -> rx.Component:
    """Save and discard; shown only while the form, a `guarded` one, differs from what is kept."""
    return rx.el.div(
        button(label, kind="main", type="submit"), button("Discard", kind="plain", type="reset"), class_name="savebar"
    )


def guarded(id: str, *body: rx.Component, **props: Any) -> rx.Component:
    """A form that asks before its changes are lost. After a save, answer with `kept(id)`."""
    return rx.el.form(*body, id=id, custom_attrs={"data-guarded": ""}, **props)


def kept(form_id: str) -> EventSpec:
    """Tell the browser that what stands in a `guarded` form has been kept."""
    return rx.call_script(f"ic.kept('{form_id}')")


def skeleton() -> rx.Component:
    """What stands where something will be; visible after 150 ms."""
    return rx.el.div(*(rx.el.div() for _ in range(4)), class_name="skeleton", aria_hidden="true")


def facts(*pairs: tuple[str, Any] | rx.Component) -> rx.Component:
    """Names with values, for the right column of one thing; what is not always there is a `fact` within a condition."""
    return rx.el.dl(*(fact(*pair) if isinstance(pair, tuple) else pair for pair in pairs), class_name="facts")


def fact(name: str, value: Any) -> rx.Component:
    """A name with its value."""
    return rx.el.div(rx.el.dt(name), rx.el.dd(value))


def _tabs(current: Text, names: list[tuple[str, str]]) -> rx.Component:
    """Tabs whose place is the address: `names` are (key, words); the first stands for no `?tab=`."""
    path = rx.State.router.url.path
    first = names[0][0]
    return rx.el.nav(
        *(
            link(
                words,
                href=path if key == first else f"{path}?tab={key}",
                aria_current=rx.cond((current == key) | ((current == "") & (key == first)), "page", "false"),
            )
            for key, words in names
        ),
        class_name="tabs",
        aria_label="Views",
    )


def one_thing(
    name: Text,
    id: Text,
    *actions: rx.Component,
    status: Text | None = None,
    views: list[tuple[str, str]] | None = None,
    current: Text = "",
) -> rx.Component:
    """The top of one thing's page: name, id with copy, state, main action at the right, tabs below."""
    title = rx.el.div(
        rx.el.div(rx.el.h1(name), *([badge(status)] if status is not None else []), class_name="row"), whole_id(id)
    )
    return rx.el.div(
        rx.el.header(title, rx.el.div(*actions, class_name="row"), class_name="page-head"),
        *([_tabs(current, views)] if views else []),
        class_name="stack",
    )


def split(body: rx.Component, aside: rx.Component) -> rx.Component:
    """The body at the left, facts at the right."""
    return rx.el.div(rx.el.div(body, class_name="grow"), aside, class_name="split")
