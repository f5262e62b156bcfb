"""MCP, before a real server of the official SDK: sessions, questions, refusals, and a server that dies."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ingram_app.core import circuits
from ingram_app.core.settings import settings
from ingram_app.gateways import mcp
from ingram_app.gateways.mcp import Answer, Asked, McpFailed, Peer, pool
from tests.fakes.http import Reply, Request, serving
from tests.fakes.mcp_server import Desk, running_mcp_server
from tests.serving import free_port

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_mcp_server() as made:
        yield made
        await mcp.close()


def peer(desk: Desk, principal: str = "smt_1", **how: object) -> Peer:
    return Peer(f"srv {desk.url}", principal, desk.url, **how)  # type: ignore[arg-type]


async def test_its_tools_are_discovered_with_what_they_do(desk: Desk):
    tools = {tool.name: tool for tool in await mcp.discover(peer(desk))}
    assert set(tools) == {"look_up", "refund", "order_shirt", "wait", "fail", "shout"}
    assert tools["look_up"].description == "Look up an order."
    assert tools["look_up"].parameters["properties"].keys() == {"order"}
    assert [(tools[name].destructive, tools[name].repeatable) for name in ("look_up", "refund", "wait")] == [
        (False, True), (True, False), (False, False),
    ]  # fmt: skip


async def test_a_tool_is_called_and_answers(desk: Desk):
    assert await mcp.call(peer(desk), "look_up", {"order": "4711"}) == mcp.Result("4711: on its way", is_error=False)
    assert desk.calls == [("look_up", "4711")]


async def test_what_goes_wrong_in_a_tool_is_its_result(desk: Desk):
    failed = await mcp.call(peer(desk), "fail", {})
    assert (failed.is_error, "the printer is on fire" in failed.text) == (True, True)
    for tool, arguments in (("nothing", {}), ("look_up", {"order": 1, "x": []}), ("refund", {})):
        assert (await mcp.call(peer(desk), tool, arguments)).is_error


async def test_a_long_answer_is_cut(desk: Desk):
    said = await mcp.call(peer(desk), "shout", {"letters": 100_000})
    assert said.text.endswith("A\n[cut: 60000 more characters]")


async def test_each_request_carries_bearer_and_what_stands_for_the_smith(desk: Desk):
    desk.bearer = "s3cret"
    signed = peer(
        desk, bearer="s3cret", headers=lambda body: {"X-IC-Smith-External-Id": "ann", "X-Length": str(len(body))}
    )
    await mcp.call(signed, "look_up", {"order": "1"})
    for request in desk.requests:
        assert request["x-ic-smith-external-id"] == "ann"
        assert request["x-length"] == str(len(request["body"]))


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_session_is_kept_for_the_same_principal_and_no_other(desk: Desk, legacy: bool):
    desk.legacy = legacy
    for _ in range(2):
        await mcp.call(peer(desk), "look_up", {"order": "1"})
    once = len(desk.requests)
    await mcp.call(peer(desk), "look_up", {"order": "1"})
    assert len(desk.requests) == once + 1
    await mcp.call(peer(desk, "smt_2"), "look_up", {"order": "1"})
    await mcp.call(peer(desk, bearer="another"), "look_up", {"order": "1"})
    assert len(desk.requests) > once + 5


async def test_calls_at_once_do_not_disturb_each_other(desk: Desk):
    said = await asyncio.gather(*(mcp.call(peer(desk), "look_up", {"order": str(n)}) for n in range(12)))
    assert [one.text for one in said] == [f"{n}: on its way" for n in range(12)]


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_question_is_put_to_a_person_and_the_call_made_again_with_the_answer(desk: Desk, legacy: bool):
    desk.legacy = legacy
    with pytest.raises(Asked) as asked:
        await mcp.call(peer(desk), "order_shirt", {})
    question = asked.value.question
    assert (question["mode"], question["message"]) == ("form", "Which size?")
    assert question["requestedSchema"]["properties"].keys() == {"size"}
    assert json.loads(json.dumps(question)) == question
    assert desk.calls == []
    accepted = Answer(question, "accept", {"size": "M"})
    assert (await mcp.call(peer(desk), "order_shirt", {}, [accepted])).text == "a shirt of size M"
    assert (await mcp.call(peer(desk), "order_shirt", {}, [Answer(question, "decline")])).text == "no shirt: decline"
    with pytest.raises(Asked):
        await mcp.call(peer(desk), "order_shirt", {}, [replace(accepted, question=question | {"message": "Sure?"})])


async def test_a_server_that_refuses_us_says_with_what(desk: Desk):
    desk.bearer = "s3cret"
    with pytest.raises(McpFailed, match="it answered 401") as refused:
        await mcp.call(peer(desk, bearer="wrong"), "look_up", {"order": "1"})
    assert refused.value.status == 401


async def test_that_one_principal_is_refused_costs_the_others_nothing(desk: Desk):
    desk.bearer = "s3cret"
    for _ in range(pool.FAILURES + 1):
        with pytest.raises(McpFailed, match="401"):
            await mcp.call(peer(desk, bearer="wrong"), "look_up", {"order": "1"})
    assert not (await mcp.call(peer(desk, bearer="s3cret"), "look_up", {"order": "1"})).is_error


async def test_a_server_that_keeps_failing_is_left_alone_for_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    desk.status = 503
    for _ in range(pool.FAILURES):
        with pytest.raises(McpFailed, match="it answered 503"):
            await mcp.call(peer(desk), "look_up", {"order": "1"})
    asked = len(desk.requests)
    with pytest.raises(McpFailed, match="left alone"):
        await mcp.call(peer(desk, "smt_2"), "look_up", {"order": "1"})
    assert len(desk.requests) == asked
    desk.status = 200
    now = circuits.monotonic()
    monkeypatch.setattr(circuits, "monotonic", lambda: now + pool.PAUSE_SECONDS + 1)
    assert not (await mcp.call(peer(desk), "look_up", {"order": "1"})).is_error


async def test_a_server_that_does_not_answer_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mcp, "CALL_SECONDS", 0.1)
    with pytest.raises(McpFailed, match=r"did not answer in 0.1 seconds"):
        await mcp.call(peer(desk), "wait", {})


async def test_a_private_address_is_refused_unless_allowed(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "false")
    settings.cache_clear()
    with pytest.raises(McpFailed, match="not at a public address"):
        await mcp.discover(peer(desk))
    assert desk.requests == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/mcp", "http://other.example/mcp"])
async def test_a_redirect_to_another_server_is_not_followed(location: str):
    async def lead_on(request: Request, reply: Reply) -> None:
        reply.whole(status=307, location=location)

    async with serving(lead_on) as address:
        with pytest.raises(McpFailed):
            await mcp.discover(Peer("srv", "smt_1", address, bearer="s3cret"))


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[" * 100_000, b'{"jsonrpc": "2.0", "id": 1, "result": 7}'])
async def test_a_server_that_speaks_something_else_is_told_of(body: bytes):
    async def babble(request: Request, reply: Reply) -> None:
        reply.whole(body, content_type="application/json")

    async with serving(babble) as address:
        with pytest.raises(McpFailed):
            await mcp.discover(Peer("srv", "smt_1", address))


async def test_an_answer_without_end_is_not_read(desk: Desk):
    async def endless(request: Request, reply: Reply) -> None:
        reply.begin_stream()
        while True:
            await reply.send(b"data: " + b"x" * 65536)

    async with serving(endless) as address:
        with pytest.raises(McpFailed):
            await mcp.discover(Peer("srv", "smt_1", address))


@pytest.fixture
async def program(tmp_path: object) -> AsyncIterator["Program"]:
    made = Program(free_port())
    await made.start()
    yield made
    await made.kill()
    await mcp.close()


class Program:
    """The server in a process of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.peer = Peer("srv", "smt_1", f"http://127.0.0.1:{port}/mcp")

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.fakes.mcp_server", "--port", str(self.port)]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout is not None
        assert await self.process.stdout.readline()

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def test_a_server_that_dies_in_the_middle_of_a_call_fails_it_and_the_next_call_finds_it_again(program: Program):
    assert (await mcp.call(program.peer, "look_up", {"order": "1"})).text == "1: on its way"
    waiting = asyncio.create_task(mcp.call(program.peer, "wait", {}))
    assert (await mcp.call(program.peer, "look_up", {"order": "2"})).text == "2: on its way"
    await program.kill()
    with pytest.raises(McpFailed):
        async with asyncio.timeout(5):
            await waiting
    with pytest.raises(McpFailed, match="can not be reached"):
        await mcp.call(program.peer, "look_up", {"order": "3"})
    await program.start()
    assert (await mcp.call(program.peer, "look_up", {"order": "4"})).text == "4: on its way"


async def test_a_call_on_a_session_from_before_a_restart_is_made_once_on_a_new_one(program: Program):
    await mcp.call(program.peer, "look_up", {"order": "1"})
    await program.kill()
    await program.start()
    assert (await mcp.call(program.peer, "look_up", {"order": "2"})).text == "2: on its way"
