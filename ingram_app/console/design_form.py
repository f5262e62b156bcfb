"""An agent's draft as a form, and what a form says of a draft."""

import json
from dataclasses import dataclass
from typing import Any

from ingram_app.console import model_field
from ingram_app.domain import designs
from ingram_app.domain.agents import Agent
from ingram_app.domain.designs import InvalidDesign

SPARE = 2
"""Empty rows for variables that are still to come."""
_LISTS = ("enabled_hosted_tools", "fallback_models", "vector_store_ids")
_AS_JSON = ("client_tools", "approval_policy", "skills")
_SETTINGS = ("temperature", "max_tokens", "reasoning_effort")
_SWITCHES = ("auto_memory", "memory_consolidation")


@dataclass
class VariableRow:
    place: int
    name: str
    default: str
    description: str
    required: bool


def texts(draft: dict[str, Any]) -> dict[str, str]:
    """Return what stands in the form's fields, by their names."""
    stands = {"instructions": draft.get("instructions") or "", "cheaper_model": draft.get("cheaper_model") or ""}
    stands |= {name: "\n".join(draft.get(name) or []) for name in _LISTS}
    stands |= {name: _json(draft.get(name)) for name in _AS_JSON}
    settings = draft.get("model_settings") or {}
    stands |= {name: "" if settings.get(name) is None else str(settings[name]) for name in _SETTINGS}
    servers = draft.get("mcp_servers")
    return stands | {"mcp_servers": "\n".join(servers or []), "mcp": "all" if servers is None else "these"}


def variables(draft: dict[str, Any]) -> list[VariableRow]:
    """Return the draft's variables, and room for more."""
    known = draft.get("variables") or []
    rows = [
        VariableRow(
            place, one["name"], one.get("default") or "", one.get("description") or "", bool(one.get("required"))
        )
        for place, one in enumerate(known)
    ]
    return rows + [VariableRow(len(known) + spare, "", "", "", False) for spare in range(SPARE)]


def memory(draft: dict[str, Any]) -> dict[str, bool]:
    """Return whether each memory switch is on."""
    config = designs.effective(draft, {})
    return {name: config[name] for name in _SWITCHES}


def changes(agent: Agent, form: dict[str, Any]) -> dict[str, Any]:
    """Return what a form says otherwise than the draft. Raises `InvalidDesign`."""
    draft = designs.changed(agent.draft, {})
    said = {"name": str(form.get("name", "")), "model": model_field.read(form), **_said(form, draft)}
    stood = draft | {"name": agent.name}
    found = {name: value for name, value in said.items() if value != stood[name]}
    for name, before in memory(draft).items():
        if (name in form) != before:  # a switch that is left alone stays the platform's own
            found[name] = name in form
    return found


def _said(form: dict[str, Any], draft: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {name: str(form.get(name, "")) or None for name in ("instructions",)}
    said["cheaper_model"] = str(form.get("cheaper_model", "")).strip() or None
    said |= {name: _words(form, name) for name in _LISTS}
    said["mcp_servers"] = _words(form, "mcp_servers") if form.get("mcp") == "these" else None
    said |= {name: _read(form, name, draft[name]) for name in _AS_JSON}
    said["variables"] = _variables(form)
    said["model_settings"] = {name: _setting(form, name) for name in _SETTINGS}
    return said


def _words(form: dict[str, Any], name: str) -> list[str]:
    return [line.strip() for line in str(form.get(name, "")).splitlines() if line.strip()]


def _read(form: dict[str, Any], name: str, stood: Any) -> Any:
    text = str(form.get(name, "")).strip()
    if text == _json(stood).strip():
        return stood
    try:
        return json.loads(text) if text else []
    except ValueError as wrong:
        raise InvalidDesign(field=name, why=f"it is no JSON: {wrong}", param=name) from None


def _setting(form: dict[str, Any], name: str) -> float | int | str | None:
    text = str(form.get(name, "")).strip()
    if not text or name == "reasoning_effort":
        return text or None
    try:
        return int(text) if name == "max_tokens" else float(text)
    except ValueError:
        raise InvalidDesign(field=name, why=f"{text} is no number", param=f"model_settings.{name}") from None


def _variables(form: dict[str, Any]) -> list[dict[str, Any]]:
    places = sorted(
        int(place)
        for key in form
        for word, _, place in [key.rpartition("-")]
        if word == "variable-name" and place.isdigit() and len(place) < 5
    )
    return [
        {
            "name": name,
            "default": str(form.get(f"variable-default-{place}", "")) or None,
            "description": str(form.get(f"variable-description-{place}", "")).strip() or None,
            "required": f"variable-required-{place}" in form,
        }
        for place in places
        if (name := str(form.get(f"variable-name-{place}", "")).strip())
    ]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
