"""Threads over the API: any printable name, read, renamed, deleted."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.world import Client, Person, Tenant, error, ok

SHOWN = {"id", "title", "run_count", "created_at", "last_activity_at"}
HOSTILE = [
    "a/b", "/", "//", "a/messages", "a/events", "../../agents", "..", ".", "%2F", "a%2Fb", "a b", "ä é 漢字 🙂", "?x=1",
    "#", "a;b=c", "'; drop table threads; --", "<script>", "\\", "a+b", "{thread_id}", ":", "x" * 200, "~", '"',
]  # fmt: skip


def at(smith: Person, thread_id: str, rest: str = "") -> str:
    """Return a thread's path, spelt so that no client tidies it up."""
    spelt = quote(thread_id, safe="").replace(".", "%2E")
    return f"/v1/smiths/{smith.id}/threads/{spelt}{rest}"


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_thread_may_have_any_printable_name(smith: Person, project: Tenant, name: str) -> None:
    run = await project.run(smith.id, "hello", thread_id=name)
    shown = ok(await smith.api.get(at(smith, name)))
    assert set(shown) == SHOWN | {"summary"}
    assert (shown["id"], shown["title"]) == (name, "hello")
    told = ok(await smith.api.get(at(smith, name, "/messages")))["data"]
    assert [(one["run_id"], one["role"]) for one in told] == [(run["id"], "assistant"), (run["id"], "user")]
    assert ok(await smith.api.patch(at(smith, name), json={"title": name[:80]}))["title"] == (name[:80].strip())
    assert (await smith.api.delete(at(smith, name))).status_code == 204
    error(await smith.api.get(at(smith, name)), 404, "not_found")


@pytest.mark.parametrize("name", ["\ue02f", "a\ue02fb", "a\nb", "\x00", "\x7f", "x" * 5000])
async def test_no_thread_has_such_a_name(smith: Person, name: str) -> None:
    body = {"input": [{"content": "hello"}], "thread_id": name}
    error(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=body), 422, "invalid_thread_id", "thread_id")
    for rest in ("", "/messages", "/events") if "\ue02f" not in name else ():  # spells `/` in a path
        answer = await smith.api.get(at(smith, name, rest))
        assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "schema_error", "title"),
        ({"title": None}, "schema_error", "title"),
        ({"title": "   "}, "invalid_title", "title"),
        ({"title": "x" * 81}, "invalid_title", "title"),
        ({"title": "x" * 1_500_000}, "invalid_title", "title"),
        ({"title": "a\nb"}, "invalid_title", "title"),
        ({"title": "a\x00"}, "invalid_title", "title"),
        ({"title": "x", "id": "y"}, "schema_error", "id"),
    ],
)
async def test_what_is_no_title_is_refused(smith: Person, project: Tenant, body: Any, code: str, param: str) -> None:
    await project.run(smith.id, "hello", thread_id="titled")
    error(await smith.api.patch(at(smith, "titled"), json=body), 422, code, param)
    assert ok(await smith.api.get(at(smith, "titled")))["title"] == "hello"


async def test_a_token_that_only_reads_renames_and_deletes_nothing(project: Tenant) -> None:
    reader = await project.person("runs:read")
    await project.run(reader.id, thread_id="t")
    error(await reader.api.patch(at(reader, "t"), json={"title": "x"}), 403, "insufficient_scope")
    error(await reader.api.delete(at(reader, "t")), 403, "insufficient_scope")
    assert ok(await reader.api.get(at(reader, "t", "/messages")))["has_more"] is False


async def test_the_same_name_under_another_smith_is_another_thread(project: Tenant, other_api: Client) -> None:
    one, two = await project.person(), await project.person()
    await project.run(one.id, "mine", thread_id="same")
    await project.run(two.id, "yours", thread_id="same")
    ok(await one.api.delete(at(one, "same")))
    assert ok(await two.api.get(at(two, "same")))["title"] == "yours"
    for rest in ("", "/messages", "/events"):
        error(await other_api.get(at(two, "same", rest)), 404, "not_found")
        error(await one.api.get(at(two, "same", rest)), 403, "smith_mismatch")
    error(await other_api.delete(at(two, "same")), 404, "not_found")
    assert len(ok(await two.api.get(at(two, "same", "/messages")))["data"]) == 2


async def test_the_summary_of_older_turns_is_shown(project: Tenant, other: Tenant) -> None:
    ok(await project.api.patch("/v1/tenant/settings", json={"limits": {"max_history_tokens": 200}}))
    person = await project.person()
    runs = [await project.run(person.id, f"turn {number} " + "hello " * 100, thread_id="t") for number in range(4)]
    ok(await project.api.patch("/v1/tenant/settings", json={"limits": {"max_history_tokens": None}}))
    summary = ok(await person.api.get(at(person, "t")))["summary"]
    assert set(summary) == {"text", "reaches", "run_id", "model", "input_tokens", "output_tokens", "created_at"}
    assert "turn 0" in summary["text"]
    assert (summary["reaches"], summary["run_id"], summary["model"]) == (3, runs[3]["id"], "test/echo")
    assert "history_summarised" in {warning["code"] for warning in runs[3]["warnings"]}
    assert len(ok(await person.api.get(at(person, "t", "/messages")))["data"]) == 8  # nothing is lost to a reader
    error(
        await other.api.patch("/v1/tenant/settings", json={"limits": {"max_history_tokens": 99}}), 422, "schema_error"
    )
