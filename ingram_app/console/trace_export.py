"""Trace export: the collector that a project's traces are sent to, and how that goes."""

from typing import Any

import reflex as rx

from ingram_app.console.dialogs import code_button, code_drawer, confirm, curl
from ingram_app.console.figures import moment
from ingram_app.console.looks import (
    alert,
    badge,
    button,
    facts,
    field,
    guarded,
    head,
    kept,
    relative_time,
    save_bar,
    skeleton,
    split,
)
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import trace_exports
from ingram_app.domain.trace_exports import TraceExport
from ingram_app.gateways.outbound import ForbiddenTarget

_FORM = "trace-export-form"
_REMOVE = "remove-trace-export"


class TraceExportPage(rx.State):
    endpoint: str = ""
    headers: str = ""
    """The names of those that are kept."""
    content: bool = False
    state: str = ""
    """In a word, as `badge` shows it; empty while nothing is exported."""
    why: str = ""
    """Why the platform has switched it off, or what went wrong the last time."""
    exported: int = 0
    dropped: int = 0
    last: str = ""
    failing: str = ""
    changed: str = ""
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show where traces are sent."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                self._show(await trace_exports.find(session, caller))
        except NotFound:
            self.reset()
        self.loaded = True

    @rx.event
    async def keep(self, form: dict[str, Any]):
        """Send traces there from now on."""
        caller = await standing(self)
        try:
            asked = _asked_for(form)
            async with transaction(caller.tenancy) as session:
                export = await trace_exports.put(session, caller, **asked)
        except (Invalid, ForbiddenTarget) as error:
            self.errors = {error.param if error.param in ("endpoint", "headers") else "endpoint": error.sentence}
            return None
        self._show(export)
        return [kept(_FORM), rx.toast.success("Saved.")]

    @rx.event
    async def switch(self, active: bool):
        """Switch it on or off."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            export = await trace_exports.find(session, caller)
            terms = {"include_content": export.include_content, "active": bool(active)}
            self._show(await trace_exports.put(session, caller, export.endpoint, **terms))

    @rx.event
    async def remove(self):
        """Send no more traces, and forget where to."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await trace_exports.remove(session, caller)
        self.reset()
        self.loaded = True
        return [kept(_FORM), rx.toast.success("Traces are exported no more.")]

    def _show(self, export: TraceExport) -> None:
        self.endpoint, self.headers, self.content = (
            export.endpoint,
            ", ".join(export.header_names),
            export.include_content,
        )
        self.state, self.why = export.state.value.replace("_", " "), export.disabled_reason or export.last_error or ""
        self.exported, self.dropped = export.exported_runs, export.dropped_runs
        self.last, self.failing = moment(export.last_exported_at), moment(export.failing_since)
        self.changed, self.errors = moment(export.updated_at), {}


def _asked_for(form: dict[str, Any]) -> dict[str, Any]:
    """Return what the form says, as the verb takes it. Raises `InvalidHeaders`."""
    headers: dict[str, str] = {}
    for line in str(form.get("headers", "")).splitlines():
        name, colon, value = line.partition(":")
        if line.strip() and not colon:
            raise trace_exports.InvalidHeaders(name=line[:100], reason="it looks like `name: value`", param="headers")
        if line.strip():
            headers[name.strip()] = value.strip()
    asked: dict[str, Any] = {"endpoint": str(form.get("endpoint", "")), "include_content": "content" in form}
    return asked | ({"headers": headers} if headers or "clear" in form else {})


@page("/p/[project]/settings/traces", title="Trace export", on_load=TraceExportPage.load)
def trace_export() -> rx.Component:
    switch = rx.cond(
        TraceExportPage.state == "switched off",
        button("Switch on", on_click=TraceExportPage.switch(True)),
        button("Switch off", on_click=TraceExportPage.switch(False)),
    )
    deeds = rx.cond(
        Session.manages & (TraceExportPage.state != ""),
        rx.fragment(switch, button("Remove", kind="danger", opens=_REMOVE)),
    )
    return rx.fragment(
        head(
            "Trace export",
            "The trace of every run that ends goes to a collector of yours, over OpenTelemetry's protocol.",
            code_button(),
            deeds,
        ),
        rx.cond(TraceExportPage.loaded, split(_body(), _aside()), skeleton()),
        confirm(
            _REMOVE,
            "Remove the export",
            "Nothing more is sent there, and its headers are forgotten.",
            deed="Remove the export",
            on_confirm=TraceExportPage.remove,
        ),
        _code(),
    )


def _body() -> rx.Component:
    form = guarded(
        _FORM,
        field(
            "endpoint",
            "Endpoint",
            help="OTLP over HTTP, in protobuf. A host alone is completed with /v1/traces.",
            error=TraceExportPage.errors.get("endpoint", ""),
            default_value=TraceExportPage.endpoint,
            required=True,
            max_length=2000,
            placeholder="https://otel.example.com/v1/traces",
            disabled=~Session.manages,
        ),
        *_headers(),
        _content(),
        save_bar(),
        key=TraceExportPage.changed,
        on_submit=TraceExportPage.keep,
    )
    return rx.el.div(alert(TraceExportPage.why), form, class_name="stack")


def _headers() -> tuple[rx.Component, rx.Component]:
    kept_before = TraceExportPage.headers != ""
    words = field(
        "headers",
        "Headers",
        kind="area",
        help=rx.cond(
            kept_before,
            f"Kept, sealed: {TraceExportPage.headers}. What you write takes their place.",
            "One a line, such as authorization: Bearer … They are sealed, and never shown again.",
        ),
        error=TraceExportPage.errors.get("headers", ""),
        rows=3,
        auto_complete="off",
        spell_check=False,
        disabled=~Session.manages,
    )
    box = rx.el.input(type="checkbox", name="clear", disabled=~Session.manages)
    return words, rx.cond(kept_before, rx.el.label(box, "Send none of the headers that are kept", class_name="tick"))


def _content() -> rx.Component:
    about = "Prompts, answers, arguments and results. Without it, names and figures."
    on = TraceExportPage.content
    return rx.el.label(
        rx.el.input(type="checkbox", role="switch", name="content", default_checked=on, disabled=~Session.manages),
        rx.el.span(rx.el.span("Send what was said"), rx.el.span(about, class_name="help")),
        class_name="switch",
    )


def _aside() -> rx.Component:
    told = facts(
        ("State", badge(TraceExportPage.state)),
        ("Runs exported", TraceExportPage.exported.to_string()),
        ("Runs not wanted", TraceExportPage.dropped.to_string()),
        ("Last exported", relative_time(TraceExportPage.last)),
        ("Failing since", relative_time(TraceExportPage.failing)),
        ("Changed", relative_time(TraceExportPage.changed)),
    )
    nothing = rx.el.p("Nothing is exported yet.", class_name="muted")
    return rx.cond(TraceExportPage.state != "", told, nothing)


def _code() -> rx.Component:
    path = "/v1/tenant/trace_export"
    body = '{"endpoint": "https://otel.example.com/v1/traces", "headers": {"authorization": "Bearer …"}}'
    span = (
        '{"spans": [{"id": "00f067aa0ba902b7", "trace_id": "trc_…", "kind": "retrieval", "name": "look up",'
        ' "started_at": "2026-01-01T00:00:00Z", "duration_ms": 12}]}'
    )
    return code_drawer(
        ("Export traces", curl("PUT", Session.address, path, body)),
        ("See how it goes", curl("GET", Session.address, path)),
        ("Stop it", curl("DELETE", Session.address, path)),
        ("Send spans of your own", curl("POST", Session.address, "/v1/traces:ingest", span)),
    )
