"""The key of a model provider, or an endpoint of one's own: what a row of the Models page shows, and its dialog."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.dialogs import form_dialog
from ingram_app.console.looks import field


@dataclass
class ProviderRow:
    id: str
    label: str
    state: str
    own: bool
    """The project has a key for it."""
    takes: bool
    """A key can be set."""
    endpoint: str
    """Of the project's key, when it is not the provider's usual one."""
    custom: bool
    takes_base_url: bool
    changed: str


NEW_ENDPOINT = ProviderRow("", "", "", False, True, "", True, True, "")
"""The row of an endpoint that is yet to be named."""


def key_dialog(chosen: rx.Var[ProviderRow], errors: rx.Var[dict[str, str]], on_submit: Any) -> rx.Component:
    """The dialog `model-key`, about the chosen provider; `errors` are by the name of their field."""
    return form_dialog(
        "model-key",
        rx.cond(chosen.id == "", "An endpoint of your own", f"Key of {chosen.label}"),
        rx.cond(
            chosen.custom,
            "Any server that speaks OpenAI's protocol: Ollama, vLLM, LM Studio, a gateway.",
            "It is sealed with the project's own key, and used for this project alone.",
        ),
        rx.cond(chosen.id == "", _name(errors)),
        field(
            "api_key",
            "Key",
            id="key-words",
            kind="password",
            help=rx.cond(chosen.custom, "Any word, when the endpoint asks for none.", ""),
            error=errors.get("api_key", ""),
            required=True,
            max_length=4000,
            auto_complete="off",
        ),
        rx.cond(chosen.takes_base_url, _base_url(chosen, errors)),
        deed="Keep the key",
        on_submit=on_submit,
    )


def _name(errors: rx.Var[dict[str, str]]) -> rx.Component:
    return field(
        "provider",
        "Name",
        id="key-provider",
        help="Its models are then called name/model, such as ollama/llama3.",
        error=errors.get("provider", ""),
        required=True,
        max_length=63,
        placeholder="ollama",
    )


def _base_url(chosen: rx.Var[ProviderRow], errors: rx.Var[dict[str, str]]) -> rx.Component:
    return field(
        "base_url",
        "Base URL",
        id="key-url",
        help=rx.cond(chosen.custom, "With the path, up to /v1.", "Empty: the provider's own."),
        error=errors.get("base_url", ""),
        default_value=chosen.endpoint,
        key=chosen.id,
        required=chosen.custom,
        placeholder="https://models.example.com/v1",
    )
