"""What is known of well-known services, so that an id and a secret are all there is to give.

To add one: name it in `PRESETS`, as the service's own documentation has it.
"""

from dataclasses import dataclass, field
from typing import Literal

AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
"""How we prove who we are; `none`: by PKCE alone."""
TakesBack = Literal["rfc7009", "github", "notion", "slack"]
"""How a service wants to be told that a token is over."""


@dataclass(frozen=True, slots=True)
class Preset:
    label: str
    authorize_url: str
    token_uri: str
    revoke_uri: str | None = None
    """Where it takes back tokens."""
    auth_method: AuthMethod = "client_secret_basic"
    asked_besides: dict[str, str] = field(default_factory=dict)
    """What it wants to be told for a token that can be refreshed, or is a person's."""
    scopes_besides: tuple[str, ...] = ()
    """What is always asked for: without these a token could not be refreshed."""
    takes_back: TakesBack = "rfc7009"


PRESETS = {
    "google": Preset(
        "Google",
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com/revoke",
        "client_secret_post",
        {"access_type": "offline", "prompt": "consent"},
    ),
    "github": Preset(
        "GitHub",
        "https://github.com/login/oauth/authorize",
        "https://github.com/login/oauth/access_token",
        "https://api.github.com/applications/{client_id}/token",
        "client_secret_post",
        takes_back="github",
    ),
    "slack": Preset(
        "Slack",
        "https://slack.com/oauth/v2_user/authorize",
        "https://slack.com/api/oauth.v2.user.access",
        "https://slack.com/api/auth.revoke",
        takes_back="slack",
    ),
    "notion": Preset(
        "Notion",
        "https://api.notion.com/v1/oauth/authorize",
        "https://api.notion.com/v1/oauth/token",
        "https://api.notion.com/v1/oauth/revoke",
        asked_besides={"owner": "user"},
        takes_back="notion",
    ),
    "microsoft": Preset(
        "Microsoft",
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        auth_method="client_secret_post",
        asked_besides={"prompt": "select_account"},
        scopes_besides=("offline_access",),
    ),
}
"""Slack's addresses are those for tokens of persons; a bot's is got at `oauth/v2/authorize` and `oauth.v2.access`."""
