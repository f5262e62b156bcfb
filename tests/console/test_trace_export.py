"""The trace export's page and the days that things are kept, without a browser."""

import pytest

from ingram_app.console.retention import RetentionPart
from ingram_app.console.trace_export import TraceExportPage
from ingram_app.core.database import transaction
from ingram_app.core.errors import Refused
from ingram_app.domain import projects, trace_exports
from ingram_app.domain.access import Role
from ingram_app.domain.projects import Retention
from ingram_app.domain.trace_exports import TraceExport
from tests.console.desk import Desk, call, sit

THERE = "https://otel.example.com/v1/traces"


async def export(desk: Desk) -> TraceExport:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return await trace_exports.find(session, caller)


async def kept(desk: Desk) -> Retention:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await projects.own(session, caller)).retention


async def test_headers_are_read_line_by_line_and_kept_until_others_or_none_are_wanted(desk: Desk) -> None:
    tab = desk.at(TraceExportPage)
    await call(tab, TraceExportPage.load)
    assert (tab.state, tab.loaded) == ("", True)
    await call(tab, TraceExportPage.keep, {"endpoint": THERE, "headers": "authorization: Bearer a:b\n\n x-team :ours "})
    assert (tab.state, tab.headers, tab.content) == ("active", "authorization, x-team", False)
    await call(tab, TraceExportPage.keep, {"endpoint": THERE, "headers": "", "content": "on"})
    assert ((await export(desk)).header_names, tab.content) == (["authorization", "x-team"], True)
    await call(tab, TraceExportPage.keep, {"endpoint": THERE, "headers": "no colon"})
    assert "name: value" in tab.errors["headers"]
    await call(tab, TraceExportPage.keep, {"endpoint": "https://127.0.0.1/"})
    assert "public address" in tab.errors["endpoint"]
    await call(tab, TraceExportPage.switch, False)
    assert (tab.state, (await export(desk)).active, (await export(desk)).include_content) == (
        "switched off",
        False,
        True,
    )
    await call(tab, TraceExportPage.keep, {"endpoint": THERE, "clear": "on"})
    assert (await export(desk)).header_names == []
    await call(tab, TraceExportPage.remove)
    assert (tab.state, tab.endpoint, tab.loaded) == ("", "", True)


async def test_a_viewer_and_a_member_look_and_change_nothing(desk: Desk) -> None:
    await call(desk.at(TraceExportPage), TraceExportPage.keep, {"endpoint": THERE})
    for role in (Role.viewer, Role.member):
        tab = (await sit(role, beside=desk)).at(TraceExportPage)
        await call(tab, TraceExportPage.load)
        assert tab.endpoint == THERE
        with pytest.raises(Refused):
            await call(tab, TraceExportPage.keep, {"endpoint": "https://mine.example.com"})
        with pytest.raises(Refused):
            await call(tab, TraceExportPage.switch, False)
        with pytest.raises(Refused):
            await call(tab, TraceExportPage.remove)
    assert (await export(desk)).endpoint == THERE


async def test_days_are_kept_put_back_and_said_at_their_field_when_they_are_none(desk: Desk) -> None:
    tab = desk.at(RetentionPart)
    await call(tab, RetentionPart.load)
    await call(tab, RetentionPart.keep, {"events_days": " 7 ", "deliveries_days": ""})
    assert (tab.values["events_days"], (await kept(desk)).events_days, (await kept(desk)).deliveries_days) == (
        "7",
        7,
        30,
    )
    await call(tab, RetentionPart.keep, {"events_days": "0", "traces_days": "9"})
    assert [name for name, said in tab.errors.items() if said] == ["events_days"]
    await call(tab, RetentionPart.keep, {"events_days": ""})
    assert ((await kept(desk)).events_days, (await kept(desk)).traces_days) == (90, 30)
    viewer = (await sit(Role.viewer, beside=desk)).at(RetentionPart)
    with pytest.raises(Refused):
        await call(viewer, RetentionPart.keep, {"events_days": "1"})
