"""Embeddings: what is near in meaning is near as a vector, from the model in the house and from others' endpoints."""

import math

import pytest

from ingram_app.core.errors import NotFound
from ingram_app.gateways import embeddings
from ingram_app.gateways.embeddings import EmbeddingRequestFailed
from ingram_app.gateways.providers import BaseUrlRequired, Credential, ModelKeyMissing
from tests.gateways.conftest import FakeModels

LOCAL = "local/multilingual-e5-small"


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_what_means_the_same_is_nearer_than_what_does_not() -> None:
    [question] = await embeddings.embed(LOCAL, None, ["Where does she live?"], as_queries=True)
    home, drink = await embeddings.embed(LOCAL, None, ["Her flat is in Rome.", "She drinks tea."])
    assert near(question, home) > near(question, drink)
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-3) for vector in (question, home, drink))


@pytest.mark.parametrize("text", ["", " ", "\0", "x" * 40_000, "🫖" * 2000])
async def test_any_text_has_a_vector(text: str) -> None:
    [vector] = await embeddings.embed(LOCAL, None, [text])
    assert len(vector) == 384
    assert all(map(math.isfinite, vector))


async def test_a_local_model_that_is_none_is_not_found() -> None:
    with pytest.raises(NotFound, match="local/other"):
        await embeddings.embed("local/other", None, ["x"])


async def test_an_endpoint_is_asked_for_many_at_once_and_answers_in_order(models: FakeModels) -> None:
    texts = [f"text {number}" for number in range(300)]
    vectors = await embeddings.embed("my-endpoint/embedder", models.credential, texts)
    assert len(vectors) == 300
    assert vectors[7] == (await embeddings.embed("my-endpoint/embedder", models.credential, ["text 7"]))[0]
    seen = await models.seen()
    assert seen["last"]["headers"]["authorization"] == f"Bearer {models.credential.api_key}"


@pytest.mark.parametrize("model", ["fail=401", "fail=500", "empty=1"])
async def test_an_endpoint_that_answers_badly_says_so_without_the_key(models: FakeModels, model: str) -> None:
    with pytest.raises(EmbeddingRequestFailed) as failed:
        await embeddings.embed(f"my-endpoint/{model}", models.credential, ["x"])
    assert models.credential.api_key not in failed.value.sentence


async def test_an_endpoint_that_is_not_there_says_so() -> None:
    with pytest.raises(EmbeddingRequestFailed):
        await embeddings.embed("my-endpoint/x", Credential("k", "https://nowhere.invalid/v1"), ["x"])


async def test_a_key_and_an_address_are_asked_for() -> None:
    with pytest.raises(ModelKeyMissing):
        await embeddings.embed("text-embedding-3-small", None, ["x"])
    with pytest.raises(BaseUrlRequired):
        await embeddings.embed("my-endpoint/x", Credential("k"), ["x"])
