"""MCP servers in a run: tools, gates, questions to people, accounts, and servers that are not there."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ingram_app.core import circuits
from ingram_app.domain import connections, mcp_servers, oauth_providers
from ingram_app.domain.approvals import InvalidContent
from ingram_app.domain.runs import Run
from ingram_app.gateways import mcp
from ingram_app.gateways.mcp import pool
from tests.engine.client import joined
from tests.engine.conftest import World, engine, until
from tests.engine.test_loop import told
from tests.fakes.mcp_server import Desk, running_mcp_server
from tests.fakes.oauth_server import Service, running_oauth_server

pytestmark = pytest.mark.usefixtures("working", "private_addresses_allowed")
REFUND = '[[call refund {"order": "4711", "cents": 500}]]'


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_mcp_server() as made:
        yield made
        await mcp.close()


async def register(world: World, desk: Desk, name: str = "desk", **given: Any) -> None:
    async with world.transaction() as session:
        await mcp_servers.put(session, world.caller, name, {"url": desk.url, **given})
    await mcp_servers.discover(world.caller, name)


async def says(world: World, said: str, **design: Any) -> Run:
    return await world.says(await world.smith("test/tools", **design), said)


def codes(run: Run) -> list[str]:
    return [warning["code"] for warning in run.warnings]


async def test_a_tool_of_a_server_is_called_for_the_smith_and_what_it_says_is_marked(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, '[[call look_up {"order": "4711"}]]')
    assert run.output["content"] == "look_up: <untrusted-data>\n4711: on its way\n</untrusted-data>"
    assert desk.calls == [("look_up", "4711")]
    assert "x-ic-signature" in desk.requests[-1]


async def test_a_design_names_the_servers_it_uses(world: World, desk: Desk) -> None:
    await register(world, desk)
    for named in ([], ["other"]):
        run = await says(world, '[[call look_up {"order": "1"}]]', mcp_servers=named)
        assert "There is no tool look_up." in run.output["content"]
        assert codes(run) == (["mcp_unavailable"] if named else [])
    assert desk.calls == []


async def test_what_is_not_allowed_is_not_there(world: World, desk: Desk) -> None:
    await register(world, desk, tool_allowlist=["shout"])
    run = await says(world, '[[call look_up {"order": "1"}]]')
    assert "There is no tool look_up." in run.output["content"]
    assert desk.calls == []


async def test_tools_of_one_name_get_their_server_s_name_before_it(world: World, desk: Desk) -> None:
    for name in ("desk", "depot"):
        await register(world, desk, name, tool_allowlist=["look_up"])
    run = await says(world, '[[call depot_look_up {"order": "1"} and look_up {"order": "2"}]]')
    assert desk.calls == [("look_up", "1")]
    assert "There is no tool look_up." in run.output["content"]


async def test_a_tool_does_not_take_the_place_of_a_built_in_or_of_a_client_s(world: World, desk: Desk) -> None:
    await register(world, desk, tool_allowlist=["look_up"])
    client = {"name": "look_up", "description": "Mine.", "parameters": {"type": "object"}}
    run = await says(world, '[[call desk_look_up {"order": "1"}]]', client_tools=[client])
    assert "on its way" in run.output["content"]


async def test_a_destructive_call_waits_and_is_made_once_with_what_was_shown(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, REFUND)
    assert run.status == "paused_for_approval"
    [approval] = await world.asked(run)
    assert (approval.tool, approval.args, desk.calls) == ("refund", {"order": "4711", "cents": 500}, [])
    await world.decide(approval)
    assert "500 paid back for 4711" in (await world.ended(run)).output["content"]
    assert desk.calls == [("refund", ("4711", 500))]


async def test_arguments_that_are_swapped_after_the_approval_are_not_sent(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, REFUND)
    [approval] = await world.asked(run)
    swapped = json.dumps({"order": "4711", "cents": 500_000})
    await world.sql("update tool_calls set args = cast(:args as json) where run_id = :id", args=swapped, id=run.id)
    await world.decide(approval)
    ended = await world.ended(run)
    assert "not those that were approved" in ended.output["content"]
    assert (codes(ended), desk.calls) == (["approval_mismatch"], [])


async def test_what_an_operator_takes_away_meanwhile_is_not_called(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, REFUND)
    [approval] = await world.asked(run)
    await register(world, desk, tool_allowlist=["look_up"])
    await world.decide(approval)
    assert "no longer there" in (await world.ended(run)).output["content"]
    assert desk.calls == []


async def test_a_rule_of_the_server_s_policy_gates(world: World, desk: Desk) -> None:
    await register(world, desk, approval_policy=[{"match": "look_*", "approver": "smith", "expires_in_seconds": 60}])
    run = await says(world, '[[call look_up {"order": "1"}]]')
    [approval] = await world.asked(run)
    assert (approval.approver, approval.expires_at is not None) == ("smith", True)


async def answered(world: World, run: Run, decision: str, **content: Any) -> Run:
    [*_, approval] = await world.asked(run)
    await world.decide(approval, decision, **content)
    return await world.ended(run)


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_question_of_a_server_pauses_the_run_and_the_answer_goes_back(
    world: World, desk: Desk, legacy: bool
) -> None:
    desk.legacy = legacy
    await register(world, desk)
    run = await says(world, "[[call order_shirt]]")
    assert run.status == "paused_for_approval"
    [asked] = [data for event, data in told(await world.frames(run)) if event == "approval.required"]
    assert asked["elicitation"]["message"] == "Which size?"
    [approval] = await world.asked(run)
    assert (approval.elicitation, approval.approver) == (asked["elicitation"], "smith")
    with pytest.raises(InvalidContent):
        await world.decide(approval, content={"colour": "red"})
    ended = await answered(world, run, "approve", content={"size": "M"})
    assert "a shirt of size M" in ended.output["content"]
    assert desk.calls == [("order_shirt", "accept")]


async def test_who_does_not_answer_a_question_has_the_call_not_made(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, "[[call order_shirt]]")
    ended = await answered(world, run, "reject", reason="no shirts")
    assert "rejected by a person" in ended.output["content"]
    assert desk.calls == []


async def test_a_question_survives_the_process_that_put_it(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, "[[call order_shirt]]")
    async with engine():
        ended = await answered(world, run, "approve", content={"size": "L"})
    assert "a shirt of size L" in ended.output["content"]


async def test_a_gated_call_may_ask_a_question_after_it_was_approved(world: World, desk: Desk) -> None:
    await register(world, desk, approval_policy=[{"match": "order_*"}])
    run = await says(world, "[[call order_shirt]]")
    [first] = await world.asked(run)
    await world.decide(first)

    async def asks() -> bool:
        return len(await world.asked(run)) == 2

    await until(asks)
    assert [one.approver for one in await world.asked(run)] == ["operator"] * 2  # the rule says who decides
    ended = await answered(world, run, "approve", content={"size": "S"})
    assert "a shirt of size S" in ended.output["content"]


async def stale(world: World) -> None:
    """Have what servers told be an hour old."""
    await world.sql("update mcp_servers set tools_refreshed_at = tools_refreshed_at - interval '61 minutes'")
    mcp_servers._known.clear()


async def test_a_server_that_is_down_costs_its_tools_and_a_warning_and_not_the_run(world: World, desk: Desk) -> None:
    await register(world, desk)
    await stale(world)
    desk.status = 503
    run = await says(world, '[[call look_up {"order": "1"}]] Hello')
    assert (run.status, codes(run)) == ("completed", ["mcp_unavailable"])
    assert "desk is left out: it answered 503" in run.warnings[0]["message"]
    desk.status = 200
    run = await says(world, '[[call look_up {"order": "1"}]]')
    assert "on its way" in run.output["content"]
    assert codes(run) == []


async def test_a_server_that_dies_before_a_call_is_told_of(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(world, desk)
    desk.status = 500
    run = await says(world, '[[call look_up {"order": "1"}]] And on')
    assert (run.status, codes(run)) == ("completed", ["mcp_unavailable"])
    async with world.transaction() as session:
        assert (await mcp_servers.find(session, world.caller, "desk")).status == "degraded"
    desk.status = 200
    now = circuits.monotonic()
    monkeypatch.setattr(circuits, "monotonic", lambda: now + pool.PAUSE_SECONDS + 1)
    await says(world, '[[call look_up {"order": "1"}]]')
    async with world.transaction() as session:
        assert (await mcp_servers.find(session, world.caller, "desk")).status == "active"


async def test_tools_are_asked_for_again_when_they_are_an_hour_old(world: World, desk: Desk) -> None:
    await register(world, desk)
    lists = sum("tools/list" in request["body"] for request in desk.requests)
    for expected in (lists, lists + 1, lists + 1):
        await says(world, "Hello")
        assert sum("tools/list" in request["body"] for request in desk.requests) == expected
        if expected == lists:
            await stale(world)


async def test_a_tool_that_says_much_or_commands_is_cut_and_marked(world: World, desk: Desk) -> None:
    await register(world, desk)
    run = await says(world, '[[call shout {"letters": 200000}]]')
    assert len(run.output["content"]) < 50_000
    assert "[cut:" in run.output["content"]


@pytest.fixture(scope="module")
def running_service() -> Iterator[Service]:
    with running_oauth_server() as made:
        yield made


@pytest.fixture
async def service(running_service: Service, world: World) -> Service:
    async with world.transaction() as session:
        await oauth_providers.put(session, world.caller, "acme", running_service.registration())
    return running_service


OAUTH = {"kind": "oauth", "provider": "acme"}


async def test_without_an_account_the_run_says_where_to_connect_and_goes_on(
    world: World, desk: Desk, service: Service
) -> None:
    desk.bearer = "a token of a smith"
    await register(world, desk, auth=OAUTH)
    run = await says(world, '[[call look_up {"order": "1"}]] Hello')
    [required] = [data for event, data in told(await world.frames(run)) if event == "connection.required"]
    assert (required["provider"], required["mcp_server"]) == ("acme", "desk")
    assert required["authorize_url"].startswith(f"{service.address}/oauth2/authorize?")
    assert (run.status, codes(run), desk.calls) == ("completed", ["connection_required"], [])
    async with world.transaction() as session:
        told_of = sa.text("select data from events where type = 'connection.required'")
        data = (await session.execute(told_of)).scalar_one()
    assert data == {"run_id": run.id, **{name: required[name] for name in ("provider", "mcp_server", "authorize_url")}}


async def test_a_call_carries_the_token_of_the_smith_s_own_account(world: World, desk: Desk, service: Service) -> None:
    await register(world, desk, auth=OAUTH)
    for token in ("token-of-ann", "token-of-bob"):
        smith_id = await world.smith("test/tools")
        credential = {"access_token": token, "expires_at": None}
        async with world.transaction() as session:
            await connections.bring(session, world.caller, smith_id, "acme", credential=credential)
        desk.bearer = token
        run = await world.says(smith_id, '[[call look_up {"order": "1"}]]')
        assert "on its way" in run.output["content"], run.warnings
        assert desk.requests[-1]["authorization"] == f"Bearer {token}"


async def test_a_provider_that_is_not_registered_is_a_warning(world: World, desk: Desk) -> None:
    await register(world, desk, auth=OAUTH)
    run = await says(world, "Hello")
    assert (run.status, codes(run)) == ("completed", ["mcp_unavailable"])


async def test_two_runs_that_race_refresh_a_token_once(world: World, desk: Desk, service: Service) -> None:
    await register(world, desk, auth=OAUTH)
    smith_id = await world.smith("test/tools")
    async with world.transaction() as session:
        await connections.bring(session, world.caller, smith_id, "acme", credential={"access_token": "old"})
        held = await connections.of_provider(session, world.caller.project_id, smith_id, "acme")
        assert held is not None
        service._live.add("live-refresh-token")
        held.expires_at = held.created_at + timedelta(seconds=30)
        await connections.renewed(session, held, connections.Tokens("old", "refused-by-nobody", held.expires_at))
    service.refreshes.clear()
    said = '[[call look_up {"order": "1"}]]'
    runs = await asyncio.gather(*(world.says(smith_id, said, thread_id=str(n)) for n in range(4)))
    assert len(service.refreshes) == 1
    assert {run.status for run in runs} == {"completed"}


async def test_no_word_of_a_secret_is_in_the_run(world: World, desk: Desk) -> None:
    desk.bearer = "s3cret-of-the-desk"
    await register(world, desk, auth={"kind": "bearer", "secret": "s3cret-of-the-desk"})
    run = await world.start(await world.smith("test/tools"), '[[call look_up {"order": "1"}]] [[call fail]]')
    frames = told(await world.frames(run))
    assert "on its way" in joined(frames)
    row = await world.row(run)
    assert "s3cret" not in f"{frames} {row.output} {row.warnings} {row.config}"
