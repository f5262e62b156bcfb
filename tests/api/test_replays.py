"""Replays: a turn answered once more, as it was then."""

from tests.world import Client, Tenant, error, ok


async def test_a_turn_is_answered_again_on_a_fresh_thread_with_the_design_it_had(project: Tenant, api: Client) -> None:
    agent = await project.agent(instructions="one two")
    person = await project.person(agent_id=agent["id"])
    await project.run(person.id, "before", thread_id="t")
    first = await project.run(person.id, "hello there", thread_id="t", metadata={"page": 7})
    ok(await api.patch(f"/v1/agents/{agent['id']}", json={"instructions": "more words than before", "model": "x/y"}))
    version = ok(await api.post(f"/v1/agents/{agent['id']}/versions"))["version"]
    ok(await api.post(f"/v1/agents/{agent['id']}/rollout", json={"version": version}))
    again = ok(await api.post(f"/v1/smiths/{person.id}/runs/{first['id']}/replay"))
    assert again["id"] != first["id"]
    assert again["thread_id"].startswith("thr_")
    for name in ("input", "output", "model", "agent_version", "channel", "status"):
        assert again[name] == first[name], name
    assert again["metadata"] == {"page": 7, "replay": {"of": first["id"], "deterministic": True}}
    assert again["usage"]["input_tokens"] == 4  # the instructions of then, and nothing of the thread


async def test_a_replay_can_be_streamed_and_is_made_once(project: Tenant, api: Client) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/runs/{(await project.run(person.id))['id']}/replay"
    answer = await api.post(path, json={"stream": True}, headers={"Idempotency-Key": "r"})
    assert "event: run.completed" in answer.text
    assert (
        "event: run.duplicate" in (await api.post(path, json={"stream": True}, headers={"Idempotency-Key": "r"})).text
    )


async def test_a_replay_of_a_gated_call_asks_again(project: Tenant, api: Client) -> None:
    tools = {"enabled_hosted_tools": ["calculator"], "approval_policy": [{"match": "add"}]}
    agent = await project.agent(model="test/tools", **tools)
    person = await project.person(agent_id=agent["id"])
    first = await project.run(person.id, '[[call add {"a": 1, "b": 2}]]')
    again = ok(await api.post(f"/v1/smiths/{person.id}/runs/{first['id']}/replay"))
    assert (first["status"], again["status"]) == ("paused_for_approval", "paused_for_approval")


async def test_another_s_run_is_not_replayed(project: Tenant, other: Tenant) -> None:
    ann, bob = await project.person(), await project.person()
    path = f"/v1/smiths/{ann.id}/runs/{(await project.run(ann.id))['id']}/replay"
    error(await other.api.post(path), 404, "not_found")
    error(await bob.api.post(path), 403, "smith_mismatch")
