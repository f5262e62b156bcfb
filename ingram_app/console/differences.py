"""What differs between two designs: field by field, the old at the left, the new at the right."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import reflex as rx

from ingram_app.domain.versions import Change

_AROUND = 3
"""Lines that did not change, shown around those that did."""
_MOST = 400
"""Lines of one field that are shown."""
_LABELS = {
    "auto_memory": "Remember",
    "mcp_servers": "MCP servers",
    "ui_resources": "UI resources",
    "memory_consolidation": "Consolidate memory",
    "enabled_hosted_tools": "Hosted tools",
}


@dataclass
class Line:
    kind: str
    """`same`, `changed`, or `gap` for lines that are left out."""
    left: str
    right: str


@dataclass
class Difference:
    """One field that changed."""

    field: str
    lines: list[Line]


def label(field: str) -> str:
    """Return what a field of a design is called."""
    return _LABELS.get(field) or field.replace("_", " ").capitalize()


def differences(changes: Sequence[Change]) -> list[Difference]:
    """Return changes as they are shown."""
    return [
        Difference(label(change.field), _lines(_text(change.before), _text(change.after))[:_MOST]) for change in changes
    ]


def _text(value: Any) -> list[str]:
    """Return a value in lines, none for nothing."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, bool):
        return ["on" if value else "off"]
    if isinstance(value, str):
        return value.splitlines()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    return json.dumps(value, indent=2, ensure_ascii=False).splitlines()


def _lines(before: list[str], after: list[str]) -> list[Line]:
    found: list[Line] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(_AROUND)):
        if number:
            found.append(Line("gap", "", ""))
        for tag, left, left_end, right, right_end in group:
            kind = "same" if tag == "equal" else "changed"
            one, other = before[left:left_end], after[right:right_end]
            length = max(len(one), len(other))
            pairs = zip(one + [""] * (length - len(one)), other + [""] * (length - len(other)), strict=True)
            found += [Line(kind, *pair) for pair in pairs]
    return found


def side_by_side(shown: rx.Var, before: rx.Var[str] | str, after: rx.Var[str] | str) -> rx.Component:
    """Show differences under the names of the two designs."""
    return rx.el.div(rx.foreach(shown, lambda one: _field(one, before, after)), class_name="stack")


def _field(one: Any, before: Any, after: Any) -> rx.Component:
    heads = rx.el.tr(rx.el.th(before, scope="col"), rx.el.th(after, scope="col"))
    return rx.el.div(
        rx.el.h3(one.field),
        rx.el.div(
            rx.el.table(
                rx.el.thead(heads), rx.el.tbody(rx.foreach(one.lines, _line)), class_name="diff", aria_label=one.field
            ),
            class_name="table-wrap",
            tab_index=0,
            role="region",
            aria_label=one.field,
        ),
        class_name="stack tight",
    )


def _line(line: Any) -> rx.Component:
    def cell(text: Any, side: str) -> rx.Component:
        changed = (line.kind == "changed") & (text != "")
        return rx.el.td(rx.cond(line.kind == "gap", "…", text), class_name=rx.cond(changed, side, ""))

    return rx.el.tr(cell(line.left, "gone"), cell(line.right, "come"), class_name=line.kind)
