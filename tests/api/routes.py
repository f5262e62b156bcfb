"""Every route of the live API, and how to fill it: a new one can not be forgotten."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from ingram_app.api import build

RUN = {"input": [{"role": "user", "content": "hello"}]}
BODIES: dict[str, Any] = {
    "PUT /v1/tenant/trace_export": {"endpoint": "https://93.184.215.14/v1/traces"},
    "POST /v1/traces:ingest": {
        "spans": [
            {
                "id": "00f067aa0ba902b7",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                "kind": "retrieval",
                "name": "look up",
                "started_at": "2026-01-01T00:00:00Z",
                "ended_at": "2026-01-01T00:00:01Z",
            }
        ]
    },
    "PUT /v1/smiths/{smith_id}/memory": {"content": "Likes tea."},
    "POST /v1/smiths/{smith_id}/memory/recall": {"query": "hello"},
    "POST /v1/smiths/{smith_id}/memories": {"content": "Likes tea."},
    "POST /v1/smiths/{smith_id}/memories/search": {"query": "tea"},
    "PATCH /v1/smiths/{smith_id}/memories/{memory_id}": {"content": "Likes coffee."},
    "POST /v1/organization/projects": {"name": "A third"},
    "POST /v1/tenant/tokens": {"scope": "admin"},
    "PATCH /v1/tenant/settings": {"embedding_model": "text-embedding-3-small"},
    "PUT /v1/tenant/prices/{model}": {"input": 1, "output": 1},
    "PUT /v1/tenant/model_keys/{provider}": {"api_key": "sk-another"},
    "PUT /v1/smiths/{smith_id}/model_keys/{provider}": {"api_key": "sk-another"},
    "PUT /v1/tenant/providers/{provider}": {
        "client_id": "us",
        "client_secret": "sk-another",
        "authorize_url": "https://127.0.0.1:1/authorize",
        "token_uri": "https://127.0.0.1:1/token",
    },
    "POST /v1/smiths/{smith_id}/connections/authorize": {"provider": "openai"},
    "POST /v1/smiths/{smith_id}/connections": {
        "provider": "openai",
        "credential": {"kind": "oauth_tokens", "access_token": "sk-another"},
    },
    "PATCH /v1/smiths/{smith_id}/connections/{connection_id}": {"metadata": {"account": "ann"}},
    "POST /v1/tenant/webhooks": {"url": "https://hooks.example.com/ingram"},
    "PATCH /v1/tenant/webhooks/{webhook_id}": {"events": ["run"]},
    "PUT /v1/tenant/search": {"provider": "none"},
    "POST /v1/budgets": {"scope": "tenant", "limit": 25},
    "PATCH /v1/budgets/{budget_id}": {"limit": 30},
    "POST /v1/customers": {"name": "Hotel Post"},
    "PATCH /v1/customers/{customer_id}": {"name": "Hotel Krone"},
    "POST /v1/usage/events": {"smith_id": "smt_nobody", "meter": "pages", "quantity": 3},
    "PUT /v1/tenant/rates": {"model_cost_percent": 130},
    "PUT /v1/tenant/stripe": {"api_key": "sk_test_another_one"},
    "PUT /v1/tenant/mcp/{name}": {"url": "https://127.0.0.1:1/mcp"},
    "POST /v1/agents": {"name": "An agent"},
    "PATCH /v1/agents/{agent_id}": {"name": "Renamed"},
    "POST /v1/agents/import": {"from_smith": "smt_nobody", "name": "An agent"},
    "POST /v1/agents/{agent_id}/attach": {"all": True},
    "POST /v1/agents/{agent_id}/rollout": {"version": 1},
    "POST /v1/smiths": {"external_id": "somebody"},
    "PATCH /v1/smiths/{smith_id}": {"display_name": "Renamed"},
    "POST /v1/smiths/{smith_id}/claim": {"external_id": "user-9"},
    "PATCH /v1/smiths/{smith_id}/threads/{thread_id}": {"title": "Renamed"},
    "POST /v1/smiths/{smith_id}/runs": RUN,
    "POST /v1/smiths/{smith_id}/runs/{run_id}/submit": {"kind": "cancel"},
}
"""A good body of each route that needs one."""

OPEN = {"GET /v1/projects/{project_id}/jwks.json", "GET /v1/oauth/callback", "GET /v1/oauth/callback/{provider_id}"}
"""Routes under /v1 that ask for no token."""

NAMES = {
    "provider": "openai", "model": "test/slow", "version": "1",
    "a": "1", "b": "draft", "name": "desk", "slug": "deepwiki", "sha256": "0" * 64
}  # fmt: skip
"""What stands in a path without being the id of something, and a good value of it."""


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    names: tuple[str, ...]
    """What its path is to be filled with."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> Any:
        return BODIES.get(str(self))

    @property
    def ids(self) -> tuple[str, ...]:
        """The names in its path that are ids."""
        return tuple(name for name in self.names if name not in NAMES)

    @property
    def is_for_organizations(self) -> bool:
        return self.path.startswith("/v1/organization/")


@cache
def told() -> dict[str, Any]:
    """Return what the live routes say of themselves."""
    return build().openapi()


@cache
def all_routes() -> list[Route]:
    """Return every route in the schema, those that need a body checked to have one here."""
    found = []
    for path, methods in told()["paths"].items():
        for method, route in methods.items():
            names = [one["name"] for one in route.get("parameters", []) if one["in"] == "path"]
            found.append(Route(method.upper(), path, tuple(names)))
            if route.get("requestBody", {}).get("required"):
                assert found[-1].body is not None, f"{found[-1]} needs a body here"
    return found


def guarded() -> list[Route]:
    """Return the routes that need a token."""
    return [route for route in all_routes() if route.path.startswith("/v1/") and str(route) not in OPEN]


def of_tenants() -> list[Route]:
    return [route for route in guarded() if not route.is_for_organizations]


def of_organizations() -> list[Route]:
    return [route for route in guarded() if route.is_for_organizations]
