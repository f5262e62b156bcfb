"""The dialog about a service in which smiths' people have accounts."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.dialogs import form_dialog
from ingram_app.console.looks import field
from ingram_app.domain.oauth_providers import OAuthProvider
from ingram_app.gateways.oauth_presets import PRESETS

_KNOWN = ", ".join(PRESETS)


@dataclass
class ProviderRow:
    provider: str = ""
    client_id: str = ""
    redirect_uri: str = ""
    scopes: str = ""
    authorize_url: str = ""
    token_uri: str = ""
    revoke_uri: str = ""
    return_origins: str = ""
    changed: str = ""
    refresh_webhook: str = ""
    auth_method: str = ""
    registered_for: str = ""
    """What is said of how we came to be its client, when nobody has registered us by hand."""

    @classmethod
    def of(cls, row: OAuthProvider) -> "ProviderRow":
        return cls(
            provider=row.provider,
            client_id=row.client_id,
            redirect_uri=row.redirect_uri,
            scopes=" ".join(row.scopes_allowed),
            authorize_url=row.authorize_url,
            token_uri=row.token_uri,
            revoke_uri=row.revoke_uri or "",
            return_origins=" ".join(row.return_origins),
            changed=row.updated_at.isoformat(),
            refresh_webhook=row.refresh_webhook or "",
            auth_method=row.auth_method,
            registered_for=f"registered by itself, for {row.registered.mcp_server}" if row.registered else "",
        )


NEW_PROVIDER = ProviderRow()


def read(form: dict[str, Any], chosen: ProviderRow) -> tuple[str, dict[str, Any]]:
    """Return a provider's name and what is given of it; what the form does not ask for stays."""

    def said(name: str) -> str:
        return str(form.get(name, "")).strip()

    given: dict[str, Any] = {name: said(name) or None for name in ("authorize_url", "token_uri", "revoke_uri")}
    given |= {"client_id": said("client_id"), "client_secret": said("client_secret") or None}
    given |= {"scopes_allowed": said("scopes_allowed").split(), "return_origins": said("return_origins").split()}
    given |= {"refresh_webhook": chosen.refresh_webhook or None, "auth_method": chosen.auth_method or None}
    return chosen.provider or said("provider"), given


def dialog(chosen: rx.Var[ProviderRow], errors: rx.Var[dict[str, str]], on_submit: Any) -> rx.Component:
    """Ask for a service, and for us as it knows us."""

    def one(name: str, label: str, value: Any, help: str, **props: Any) -> rx.Component:
        error = rx.cond(errors.contains(name), errors[name], "")
        props = {"auto_complete": "off", "default_value": value, "id": f"provider-{name}"} | props
        return field(name, label, help=help, error=error, **props)

    service = one("provider", "Service", "", f"{_KNOWN}, or a name for any other.", required=True, max_length=63)
    fields = rx.el.div(
        rx.cond(chosen.provider == "", service),
        one("client_id", "Client id", chosen.client_id, "As the service has given it to you.", required=True),
        one("client_secret", "Client secret", "", "Sealed; leave it empty to keep the one there is.", kind="password"),
        one("scopes_allowed", "What people are asked for", chosen.scopes, "Scopes, with spaces between."),
        one("return_origins", "Where people may be sent back to", chosen.return_origins, "Origins for smiths' tokens."),
        rx.el.details(
            rx.el.summary("Addresses of the service"),
            rx.el.div(
                one("authorize_url", "Consent", chosen.authorize_url, "Known for the services above."),
                one("token_uri", "Tokens", chosen.token_uri, "Known for the services above."),
                one("revoke_uri", "Taking back", chosen.revoke_uri, "Where it takes tokens back, if it does."),
                class_name="stack",
            ),
            open=errors.contains("authorize_url") | errors.contains("token_uri") | errors.contains("revoke_uri"),
        ),
        key=f"{chosen.provider} {chosen.changed}",
        class_name="stack",
    )
    about = "Tell the service the redirect address that stands in the list."
    return form_dialog("provider", "A service", about, fields, deed="Keep", on_submit=on_submit)
