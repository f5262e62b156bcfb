"""Traces: found by whoever may look, with what the model was told."""

import pytest

from ingram_app.core.database import transaction
from ingram_app.domain import prompts
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.tool_calls import NOTICE
from tests.world import Person, Tenant, error, ok


@pytest.fixture(scope="module")
async def person(project: Tenant) -> Person:
    agent = await project.agent(model="test/echo", instructions="Be brief.")
    return await project.person(agent_id=agent["id"])


async def test_traces_are_listed_and_found_by_their_own_id(project: Tenant, person: Person) -> None:
    run = await project.run(person.id)
    [listed] = ok(await project.api.get("/v1/traces", params={"run_id": run["id"]}))["data"]
    assert (listed["run_id"], listed["status"]) == (run["id"], "completed")
    assert ok(await project.api.get(f"/v1/traces/{listed['id']}"))["run_id"] == run["id"]
    error(await project.api.get("/v1/traces/nothing"), 404, "not_found")


async def test_a_trace_is_its_smith_s_and_its_project_s(project: Tenant, other: Tenant, person: Person) -> None:
    run = await project.run(person.id)
    sibling = await project.person()
    for path in (f"/v1/runs/{run['id']}/trace", f"/v1/traces/{run['id'].replace('run_', 'trc_')}"):
        ok(await person.api.get(path))
        error(await sibling.api.get(path), 404, "not_found")
        error(await other.api.get(path), 404, "not_found")


async def test_what_the_model_was_told_is_put_together_again(project: Tenant, person: Person) -> None:
    for words in ("one", "two"):
        run = await project.run(person.id, words, thread_id="told")
    caller = Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)
    async with transaction(caller.tenancy) as session:
        prompt = await prompts.of_run(session, caller, run["id"])
    assert (prompt.instructions, prompt.summary) == ("Be brief.", None)
    assert [(m.role, m.content[0]["text"]) for m in prompt.earlier] == [("user", "one"), ("assistant", "one")]
    assert [(m.role, m.content[0]["text"]) for m in prompt.own] == [("user", "two"), ("assistant", "two")]


async def test_the_model_was_told_its_instructions_with_names_filled_in_and_about_tools(project: Tenant) -> None:
    about = {"display_name": "Joe", "instructions": "You help {{ display_name }}."}
    smith = await project.smith(**about, enabled_hosted_tools=["calculator"])
    run = await project.run(smith["id"], "one")
    caller = Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)
    async with transaction(caller.tenancy) as session:
        prompt = await prompts.of_run(session, caller, run["id"])
    assert prompt.instructions == f"You help Joe.\n\n{NOTICE}"
