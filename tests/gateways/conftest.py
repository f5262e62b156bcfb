"""The world of the gateways: a fake model server on loopback, and settings that let it be called."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from ingram_app.core.settings import settings
from ingram_app.gateways import outbound
from ingram_app.gateways.providers import Credential
from tests.fakes.model_server import running_model_server

KEY = "sk-a-secret-of-ours"


@dataclass(frozen=True)
class FakeModels:
    address: str

    @property
    def credential(self) -> Credential:
        return Credential(KEY, f"{self.address}/v1")

    async def seen(self) -> dict[str, Any]:
        answer = await outbound.client().get(f"{self.address}/_seen")
        return answer.json()


@pytest.fixture
def private_addresses_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture(scope="session")
async def model_server() -> AsyncIterator[str]:
    async with running_model_server() as address:
        yield address


@pytest.fixture
async def models(model_server: str, private_addresses_allowed: None) -> FakeModels:
    async with httpx2.AsyncClient() as client:
        await client.post(f"{model_server}/_forget")
    return FakeModels(model_server)
