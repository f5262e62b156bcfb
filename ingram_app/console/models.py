"""Models: with whose key the project reaches them, which of them it can use and why not, and the one it uses when an
agent names none."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm, curl, open_dialog
from ingram_app.console.embedding_model import EmbeddingModel, embedding_model
from ingram_app.console.figures import moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import (
    badge,
    button,
    field,
    guarded,
    head,
    kept,
    relative_time,
    save_bar,
    section,
    skeleton,
)
from ingram_app.console.model_key import NEW_ENDPOINT, ProviderRow, key_dialog
from ingram_app.console.prices import Prices, prices_section
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import model_keys, projects
from ingram_app.domain.model_keys import Catalog, ModelKey
from ingram_app.domain.projects import PLATFORM

_FORM = "default-model"
_PRICE = '{"input": 1000000, "output": 2000000}'


@dataclass
class ModelRow:
    id: str
    label: str
    state: str
    why: str


class Models(rx.State):
    providers: list[ProviderRow] = []
    models: list[ModelRow] = []
    default: str = ""
    loaded: bool = False
    chosen: ProviderRow = NEW_ENDPOINT
    """The provider that a dialog is about; one without an id is a new endpoint."""
    errors: dict[str, str] = {}
    default_error: str = ""

    @rx.event
    async def load(self):
        """Show providers and models."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            catalog = await model_keys.catalog(session, caller)
            keys = {key.provider: key for key in await model_keys.browse(session, caller)}
            project = await projects.own(session, caller)
        self.providers, self.models = _providers(catalog, keys), _models(catalog)
        self.default = project.preferences.get("default_model") or ""
        self.errors, self.default_error, self.loaded = {}, "", True

    @rx.event
    async def choose(self, provider: str, dialog: str):
        """Open a dialog about a provider, or about a new endpoint."""
        await standing(self)
        self.chosen = next((row for row in self.providers if row.id == provider), NEW_ENDPOINT)
        self.errors = {}
        return open_dialog("model-key" if dialog == "key" else "remove-key")

    @rx.event
    async def put(self, form: dict[str, Any]):
        """Keep a key."""
        caller = await standing(self)
        provider = self.chosen.id or str(form.get("provider", "")).strip()
        base_url = str(form.get("base_url", "")).strip().rstrip("/") or None
        try:
            async with transaction(caller.tenancy) as session:
                await model_keys.put(
                    session, caller, provider, api_key=str(form.get("api_key", "")).strip(), base_url=base_url
                )
        except Invalid as error:
            self.errors = {error.param or "provider": error.sentence}
            return None
        return [close_dialog("model-key"), Models.load, rx.toast.success("The key is kept, sealed.")]

    @rx.event
    async def remove(self):
        """Forget the chosen provider's key."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await model_keys.remove(session, caller, self.chosen.id)
        return [Models.load, rx.toast.success("The key is forgotten.")]

    @rx.event
    async def prefer(self, form: dict[str, Any]):
        """Choose the project's default model; nothing is the platform's."""
        caller = await standing(self)
        wished = str(form.get("default_model", "")).strip()
        try:
            async with transaction(caller.tenancy) as session:
                await projects.prefer(session, caller, {"default_model": wished or None})
        except Invalid as error:
            self.default_error = error.sentence
            return None
        self.default, self.default_error = wished, ""
        return [kept(_FORM), rx.toast.success("Saved.")]


_STATES = {"byok": "own key", "hosted": "platform's key", "local": "needs no key", None: "no key"}


def _providers(catalog: Catalog, keys: dict[str, ModelKey]) -> list[ProviderRow]:
    sources = {model.provider: model.source for model in catalog.data}
    rows = []
    for provider in catalog.providers:
        key = keys.get(provider.id)
        custom = provider.id not in sources
        source = "byok" if key else sources.get(provider.id)
        rows.append(
            ProviderRow(
                id=provider.id,
                label=provider.id if custom else provider.label,
                state=_STATES[source],
                own=key is not None,
                takes=source != "local",
                endpoint=(key.base_url or "") if key else "",
                custom=custom,
                takes_base_url=provider.base_url,
                changed=moment(key.updated_at if key else None),
            )
        )
    return rows


def _models(catalog: Catalog) -> list[ModelRow]:
    labels = {provider.id: provider.label for provider in catalog.providers}
    return [
        ModelRow(
            model.id,
            model.label,
            "available" if model.available else "no key",
            "" if model.available else f"There is no key for {labels[model.provider]}.",
        )
        for model in catalog.data
    ]


@page(
    "/p/[project]/settings/models",
    title="Models",
    on_load=[Models.load, EmbeddingModel.load, EmbeddingModel.watch, Prices.load],
)
def models() -> rx.Component:
    put = curl("PUT", Session.address, "/v1/tenant/model_keys/openai", '{"api_key": "…"}')
    prefer = curl("PATCH", Session.address, "/v1/tenant/settings", '{"default_model": "test/echo"}')
    new = button("Add an endpoint", icon="plus", on_click=Models.choose("", "key"))
    return rx.fragment(
        head(
            "Models",
            "Your own keys are used first, then the platform's. They are sealed, and nobody can read them back.",
            code_button(),
            rx.cond(Session.manages, new),
        ),
        _parts(),
        key_dialog(Models.chosen, Models.errors, Models.put),
        confirm(
            "remove-key",
            f"Forget the key of {Models.chosen.label}",
            "Runs that need it fail from now on, unless the platform has a key of its own.",
            deed="Forget the key",
            on_confirm=Models.remove,
        ),
        code_drawer(
            ("Set a key", put),
            ("List models", curl("GET", Session.address, "/v1/tenant/models")),
            ("Choose the default", prefer),
            ("Set a price", curl("PUT", Session.address, "/v1/tenant/prices/test/echo", _PRICE)),
        ),
    )


def _parts() -> rx.Component:
    shown = rx.fragment(_provider_table(), _default(), embedding_model(), _model_table(), prices_section())
    return rx.cond(Models.loaded, shown, skeleton())


def _provider_table() -> rx.Component:
    return list_table(
        ["Provider", "Key", "Endpoint", "Changed", ""], Models.providers, _provider_cells, label="Providers"
    )


def _provider_cells(row: ProviderRow) -> list[rx.Component]:
    deeds = rx.el.div(
        rx.cond(
            row.takes,
            button(
                rx.cond(row.own, "Replace key", "Set key"),
                kind="plain",
                on_click=Models.choose(row.id, "key"),
                aria_label=f"Set the key of {row.label}",
            ),
        ),
        rx.cond(
            row.own,
            button(
                "Remove",
                kind="plain danger",
                on_click=Models.choose(row.id, "remove"),
                aria_label=f"Remove the key of {row.label}",
            ),
        ),
        class_name="row end",
    )
    usual = rx.el.span(rx.cond(row.takes, "the provider's", "inside"), class_name="muted")
    return [
        rx.el.strong(row.label),
        badge(row.state),
        rx.cond(row.endpoint != "", rx.el.code(row.endpoint), usual),
        relative_time(row.changed),
        rx.cond(Session.manages, deeds),
    ]


def _default() -> rx.Component:
    return section(
        "Default model",
        "What an agent uses whose model is “default”. Any id works, also one that is not in the list.",
        guarded(
            _FORM,
            field(
                "default_model",
                "Model id",
                help=f"Empty: {PLATFORM.default_model}, the tiny one that runs inside this installation.",
                error=Models.default_error,
                default_value=Models.default,
                placeholder=PLATFORM.default_model,
                list="model-ids",
                max_length=200,
                auto_complete="off",
                disabled=~Session.manages,
            ),
            rx.el.datalist(rx.foreach(Models.models, _suggestion), id="model-ids"),
            save_bar(),
            on_submit=Models.prefer,
        ),
    )


def _suggestion(row: ModelRow) -> rx.Component:
    return rx.el.option(row.label, value=row.id)


def _model_table() -> rx.Component:
    return section(
        "What can be used",
        "A choice of each provider's models; its others work as well, by their id.",
        list_table(
            ["Model", "Name", "State", "Why not"],
            Models.models,
            lambda row: [rx.el.code(row.id), row.label, badge(row.state), rx.el.span(row.why, class_name="muted")],
            label="Models",
        ),
    )
