"""Home and the settings, without a browser."""

import pytest

from ingram_app.console.api_keys import ApiKeys
from ingram_app.console.embedding_model import EmbeddingModel
from ingram_app.console.home import Home
from ingram_app.console.models import Models
from ingram_app.console.palette import Palette
from ingram_app.console.project import ProjectPage
from ingram_app.console.shell import NewProject
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents, memories, smiths, tokens
from ingram_app.domain.access import Role
from ingram_app.domain.memories import Fact
from ingram_app.domain.tokens import InvalidToken
from tests.console.desk import Desk, call, frame, sit


async def test_a_new_project_is_opened_and_a_taken_name_is_refused_at_the_field(desk: Desk) -> None:
    tab = desk.at(NewProject)
    answer = await call(tab, NewProject.create, {"name": "Sales"})
    assert "/p/proj_" in str(answer)
    assert await call(tab, NewProject.create, {"name": "Sales"}) is None
    assert tab.error == "There is already a project named Sales. Choose another name."


async def test_home_ticks_off_what_has_happened(desk: Desk) -> None:
    tab = desk.at(Home)
    await call(tab, Home.load)
    assert (tab.has_key, tab.smith_id, tab.reply) == (False, "", "")
    await call(tab, Home.make_key)
    assert tab.secret.startswith("tha_live_")
    caller = await tokens.authenticate(tab.secret)
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": "user-4711"})
    await call(tab, Home.load)
    assert (tab.has_key, tab.smith_id, tab.secret) == (True, clone.smith.id, "")


async def test_a_viewer_sees_home_and_makes_no_key(desk: Desk) -> None:
    tab = (await sit(Role.viewer, beside=desk)).at(Home)
    await call(tab, Home.load)
    with pytest.raises(Refused):
        await call(tab, Home.make_key)


async def test_a_key_is_shown_once_listed_and_revoked(desk: Desk) -> None:
    tab = desk.at(ApiKeys)
    await call(tab, ApiKeys.mint, {"name": "Nightly import", "lifetime": "86400"})
    words = tab.secret
    assert (await tokens.authenticate(words)).project_id == desk.project_id
    await call(tab, ApiKeys.forget)
    await call(tab, ApiKeys.load)
    row = tab.rows[0]
    assert (tab.secret, row.name, row.kind, row.state) == ("", "Nightly import", "Admin", "active")
    assert words.startswith(row.prefix.removesuffix("…"))
    await call(tab, ApiKeys.choose, row.id, row.name)
    await call(tab, ApiKeys.revoke)
    await call(tab, ApiKeys.load)
    assert tab.rows[0].state == "revoked"
    tokens._believed.clear()
    with pytest.raises(InvalidToken):
        await tokens.authenticate(words)


@pytest.mark.parametrize("lifetime", ["0", "²", "a day", "-5", "9" * 5000])
async def test_a_lifetime_that_is_none_makes_no_key(desk: Desk, lifetime: str) -> None:
    tab = desk.at(ApiKeys)
    await call(tab, ApiKeys.mint, {"name": "Mine", "lifetime": lifetime})
    assert tab.error.startswith("`ttl_seconds` must be from 1 to")
    assert (tab.secret, tab.rows) == ("", [])


async def test_a_stranger_can_not_revoke_a_key(desk: Desk, stranger: Desk) -> None:
    mine = desk.at(ApiKeys)
    await call(mine, ApiKeys.mint, {"name": "Mine"})
    theirs = stranger.at(ApiKeys)
    await call(theirs, ApiKeys.choose, mine.rows[0].id, "Mine")
    with pytest.raises(NotFound):
        await call(theirs, ApiKeys.revoke)


async def test_models_say_what_is_available_and_why_not(desk: Desk) -> None:
    tab = desk.at(Models)
    await call(tab, Models.load)
    openai = next(row for row in tab.models if row.id.startswith("gpt-"))
    assert (openai.state, openai.why) == ("no key", "There is no key for OpenAI.")
    await call(tab, Models.choose, "openai", "key")
    await call(tab, Models.put, {"api_key": "sk-test"})
    await call(tab, Models.load)
    assert {row.state for row in tab.models if row.id.startswith("gpt-")} == {"available"}
    await call(tab, Models.remove)
    await call(tab, Models.load)
    assert not any(row.own for row in tab.providers)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"provider": "My Server", "api_key": "x", "base_url": "http://a.example/v1"}, "provider"),
        ({"provider": "ollama", "api_key": "x", "base_url": ""}, "base_url"),
        ({"provider": "ollama", "api_key": "x", "base_url": "there"}, "base_url"),
        ({"provider": "ollama", "api_key": "", "base_url": "http://a.example/v1"}, "api_key"),
    ],
)
async def test_what_is_wrong_with_an_endpoint_stands_at_its_field(desk: Desk, form: dict[str, str], field: str) -> None:
    tab = desk.at(Models)
    await call(tab, Models.choose, "", "key")
    assert await call(tab, Models.put, form) is None
    assert list(tab.errors) == [field]


async def test_an_endpoint_of_one_s_own_is_listed(desk: Desk) -> None:
    tab = desk.at(Models)
    await call(tab, Models.choose, "", "key")
    await call(tab, Models.put, {"provider": "ollama", "api_key": "x", "base_url": "http://a.example/v1/"})
    await call(tab, Models.load)
    row = tab.providers[-1]
    assert (row.id, row.custom, row.state, row.endpoint) == ("ollama", True, "own key", "http://a.example/v1")


async def test_the_default_model_is_any_that_somebody_could_serve(desk: Desk) -> None:
    tab = desk.at(Models)
    await call(tab, Models.prefer, {"default_model": "test/echo"})
    assert (tab.default, tab.default_error) == ("test/echo", "")
    await call(tab, Models.prefer, {"default_model": "nonsense"})
    assert tab.default_error.startswith("No provider goes with the model id nonsense.")


async def test_a_project_is_renamed_everywhere(desk: Desk) -> None:
    tab = desk.at(ProjectPage)
    await call(tab, ProjectPage.load)
    await call(tab, ProjectPage.rename, {"name": "Help desk"})
    assert tab.name == "Help desk"
    await call(tab, ProjectPage.rename, {"name": " "})
    assert tab.error == "A project's name has from 1 to 80 characters."


async def test_a_project_goes_when_its_name_is_typed_and_says_what_goes_with_it(desk: Desk) -> None:
    tab = desk.at(ProjectPage)
    await call(tab, ProjectPage.load)
    assert tab.loss.startswith("1 agent, 0 smiths and 0 runs go with it. 0 keys will be refused at once")
    await call(tab, ProjectPage.delete, {"name": "Support"})
    await call(tab, ProjectPage.load)
    await call(tab, ProjectPage.delete, {"name": "Support desk"})
    with pytest.raises(Exception, match="There is no project"):
        await call(tab, ProjectPage.load)


async def test_the_palette_finds_what_is_the_project_s_own(desk: Desk, stranger: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        agent = await agents.create(session, caller, name="Returns")
        clone, _ = await smiths.create(session, caller, {"external_id": "user-4711"})
    tab = desk.at(Palette)
    await call(tab, Palette.find, "RETU")
    assert [(hit.label, hit.kind) for hit in tab.hits] == [("Returns", "Agent")]
    assert tab.hits[0].href == f"/p/{desk.project_id}/agents/{agent.id}"
    await call(tab, Palette.find, "user-47")
    assert [hit.id for hit in tab.hits] == [clone.smith.id]
    await call(tab, Palette.find, clone.smith.id)
    assert [hit.label for hit in tab.hits] == ["user-4711"]
    foreign = stranger.at(Palette)
    for words in ("RETU", "user-47", clone.smith.id):
        await call(foreign, Palette.find, words)
        assert foreign.hits == []
    assert frame(foreign).email == "", "a search shows nothing else of a tab"


async def test_an_embedding_model_is_chosen_and_shows_how_far_it_has_come(desk: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {})
        await memories.write(session, caller, clone.smith.id, Fact("Plays the cello."))
    tab = desk.at(EmbeddingModel)
    await call(tab, EmbeddingModel.load)
    assert (tab.model, tab.embedded, tab.texts, tab.waiting, tab.problem) == ("", 0, 1, 1, "")
    await call(tab, EmbeddingModel.prefer, {"embedding_model": "openai/text-embedding-3-small"})
    await call(tab, EmbeddingModel.load)
    assert (tab.model, tab.error, tab.waiting) == ("openai/text-embedding-3-small", "", 1)
    await call(tab, EmbeddingModel.prefer, {"embedding_model": "nonsense"})
    assert tab.error.startswith("No provider goes with the model id nonsense.")
    with pytest.raises(Refused):
        await call((await sit(Role.viewer, beside=desk)).at(EmbeddingModel), EmbeddingModel.prefer, {})
