"""Choosing a model: those that are known, by provider, with what stands in the way; or any other id."""

from dataclasses import dataclass

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.looks import Text, field_note
from ingram_app.domain import model_keys, projects
from ingram_app.domain.access import Caller

OTHER = "other"
"""The choice that stands for an id of one's own."""


@dataclass
class ModelChoice:
    id: str
    label: str


@dataclass
class ProviderChoice:
    """A provider's models under its name, which says too why they can not be reached."""

    label: str
    models: list[ModelChoice]


@dataclass
class Choices:
    providers: list[ProviderChoice]
    standard: str
    """What `default` stands for in this project."""

    @property
    def known(self) -> set[str]:
        return {model.id for provider in self.providers for model in provider.models}

    def chosen(self, model: str | None) -> str:
        """Return the choice that stands for a model: itself, `OTHER`, or empty for the default."""
        if model in (None, "", "default"):
            return ""
        return model if model in self.known else OTHER


async def choices(session: AsyncSession, caller: Caller) -> Choices:
    """Return the models to choose from."""
    catalog = await model_keys.catalog(session, caller)
    project = await projects.own(session, caller)
    providers = []
    for provider in catalog.providers:
        models = [model for model in catalog.data if model.provider == provider.id]
        if models:
            label = provider.label if models[0].available else f"{provider.label}, no key yet"
            providers.append(
                ProviderChoice(label, [ModelChoice(model.id, f"{model.id}  ·  {model.label}") for model in models])
            )
    return Choices(providers, project.default_model)


def read(form: dict[str, object]) -> str | None:
    """Return the model that a form names, none for the default."""
    chosen = str(form.get("model", ""))
    return (str(form.get("other_model", "")).strip() if chosen == OTHER else chosen) or None


def model_field(
    providers: rx.Var, standard: Text, *, chosen: Text, other: Text, error: rx.Var[str], about: Text, id: str
) -> rx.Component:
    """The select, and the field for an id of one's own that it opens."""
    return rx.el.div(
        rx.el.label("Model", html_for=id),
        rx.el.select(
            rx.el.option(f"The project's default, {standard}", value=""),
            rx.foreach(
                providers,
                lambda provider: rx.el.optgroup(
                    rx.foreach(provider.models, lambda model: rx.el.option(model.label, value=model.id)),
                    label=provider.label,
                ),
            ),
            rx.el.option("Another model id …", value=OTHER),
            id=id,
            name="model",
            class_name="input",
            default_value=chosen,
            aria_describedby=f"{id}-about",
        ),
        rx.el.input(
            name="other_model",
            class_name="input other-model mono",
            default_value=other,
            placeholder="endpoint/model, or any id a provider knows",
            aria_label="Model id",
            max_length=200,
        ),
        field_note(id, about, error),
        class_name="field model-field",
    )
