"""Web search, before services that answer as the real ones do."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingram_app.core.settings import settings
from ingram_app.gateways import searching
from ingram_app.gateways.searching import Engine, Result, SearchFailed
from tests.fakes.http import Reply, Request, serving

FOUND = {"title": "Graz", "url": "https://graz.example/"}
ANSWERS: dict[str, Any] = {
    "brave": {"web": {"results": [FOUND | {"description": "A town."}]}},
    "tavily": {"results": [FOUND | {"content": "A town.", "score": 0.9}]},
    "searxng": {"results": [FOUND | {"content": "A town."}] * 20},
}


class Service:
    def __init__(self) -> None:
        self.address = ""
        self.answer: Any = {}
        self.status = 200
        self.asked: list[Request] = []

    async def serve(self, request: Request, reply: Reply) -> None:
        self.asked.append(request)
        reply.json(self.answer, self.status)

    def engine(self, name: str) -> Engine:
        return Engine(name, "the-key", self.address)


@pytest.fixture
async def service(private_addresses_allowed: None) -> AsyncIterator[Service]:
    made = Service()
    async with serving(made.serve) as made.address:
        yield made


@pytest.mark.parametrize("name", searching.SERVICES)
async def test_each_service_is_asked_in_its_own_way(service: Service, name: str):
    service.answer = ANSWERS[name]
    found = await searching.search(service.engine(name), "Graz & its clock tower", 5)
    assert found[0] == Result("Graz", "https://graz.example/", "A town.")
    assert len(found) <= 5
    [asked] = service.asked
    if name == "tavily":
        assert asked.json() == {"query": "Graz & its clock tower", "max_results": 5}
    else:
        assert "q=Graz+%26+its+clock+tower" in asked.path
    assert ("the-key" in str(asked.headers)) == (name != "searxng")


@pytest.mark.parametrize("answer", [{}, [], None, "x", {"results": [{"title": "t"}]}, {"results": 7}])
async def test_a_service_that_answers_nonsense_is_told_of(service: Service, answer: Any):
    service.answer = answer
    with pytest.raises(SearchFailed, match="something else"):
        await searching.search(service.engine("tavily"), "x", 5)


async def test_a_service_that_refuses_is_told_of_without_its_key(service: Service):
    service.status = 401
    with pytest.raises(SearchFailed, match="answered 401") as failed:
        await searching.search(service.engine("brave"), "x", 5)
    assert "the-key" not in str(failed.value)


async def test_an_installation_s_own_service_is_read_from_its_settings(monkeypatch: pytest.MonkeyPatch):
    assert searching.installed() is None
    monkeypatch.setenv("IC_SEARCH_PROVIDER", "brave")
    monkeypatch.setenv("IC_SEARCH_API_KEY", "the-key")
    settings.cache_clear()
    engine = searching.installed()
    assert engine == Engine("brave", "the-key")
    assert "the-key" not in repr(engine)
    monkeypatch.undo()
    settings.cache_clear()
