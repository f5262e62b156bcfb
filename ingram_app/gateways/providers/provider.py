"""What a model provider is: a name, a short catalog and one verb, `model`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic_ai.models import Model

from ingram_app.core.errors import Invalid


class ModelKeyMissing(Invalid):
    """There is no key for {provider}, which {model} needs. Set one: PUT /v1/tenant/model_keys/{provider}."""


class BaseUrlRequired(Invalid):
    """{provider} is none of the known providers: give its `base_url`, an OpenAI-compatible endpoint."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What opens a provider. The key is never shown, not even by `repr`."""

    api_key: str = field(repr=False)
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model worth showing in a list. Others of the provider work as well."""

    id: str
    label: str


class Provider(ABC):
    """One foreign protocol, or one endpoint that speaks it."""

    id: str
    label: str
    needs_key: ClassVar[bool] = True
    takes_base_url: ClassVar[bool] = True
    models: tuple[CatalogModel, ...] = ()
    context_tokens: ClassVar[int | None] = None
    """What its models take at once, when that is not for the price list to say."""
    takes_attachments: ClassVar[bool] = True
    """Its models can be sent pictures and files; a model that sees none refuses them itself."""
    takes_urls: ClassVar[bool] = True
    """It fetches a picture whose address it is given."""
    summarises: ClassVar[bool] = True
    """Its models can be trusted with a summary of what was said."""
    slow_imports: ClassVar[tuple[str, ...]] = ()
    """Modules that take seconds to import. Import them in a thread before the first `model`."""

    def learns(self, said: str) -> bool:
        """Tell whether its models are asked what is to be remembered of a turn in which this was said."""
        return self.summarises

    @abstractmethod
    def model(self, name: str, credential: Credential | None) -> Model:
        """Return the model, ready for requests in the running event loop; nothing is sent yet.

        Raises `ModelKeyMissing`, `BaseUrlRequired`.
        """

    def key_for(self, model: str, credential: Credential | None) -> Credential:
        """Return the credential. Raises `ModelKeyMissing` when there is none."""
        if credential is None:
            raise ModelKeyMissing(provider=self.id, model=model, param="model")
        return credential
