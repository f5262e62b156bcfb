"""Threads and transcripts: what a conversation leaves behind."""

from collections.abc import Callable

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import threads
from ingram_app.domain.access import Caller, SmithMismatch
from tests.world import Person, Tenant


@pytest.fixture(scope="module")
async def talker(project: Tenant) -> Person:
    person = await project.person()
    await project.run(person.id, "  Where is\n my   parcel? " + "x" * 200, thread_id="parcel")
    await project.run(person.id, "And now?", thread_id="parcel")
    await project.run(person.id, "Something else")
    return person


async def test_a_thread_is_named_by_its_first_words(tenant: Caller, talker: Person) -> None:
    async with transaction(tenant.tenancy) as session:
        thread = await threads.find(session, tenant, talker.id, "parcel")
        assert thread.title.startswith("Where is my parcel? xxx")
        assert len(thread.title) <= 80
        assert thread.run_count == 2
        assert thread.last_activity_at > thread.created_at
        page = await threads.browse(session, tenant, talker.id)
    assert [one.title for one in page.data] == ["Something else", thread.title]


async def test_a_thread_is_one_smith_s(tenant: Caller, talker: Person, project: Tenant) -> None:
    sibling = await project.smith()
    async with transaction(tenant.tenancy) as session:
        with pytest.raises(NotFound):
            await threads.find(session, tenant, sibling["id"], "parcel")
        assert (await threads.browse(session, tenant, sibling["id"])).data == []


async def test_a_smith_s_token_sees_no_other_s(
    of_smith: Callable[..., Caller], talker: Person, project: Tenant
) -> None:
    caller = of_smith((await project.smith())["id"], "runs:read")
    with pytest.raises(SmithMismatch):
        async with transaction(caller.tenancy) as session:
            await threads.find(session, caller, talker.id, "parcel")
