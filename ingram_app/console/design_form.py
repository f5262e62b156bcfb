"""An agent's draft as a form, and what a form says of a draft."""

import json
from dataclasses import dataclass
from typing import Any

from ingram_app.console import model_field
from ingram_app.console.figures import whole
from ingram_app.domain import designs, hosted_tools
from ingram_app.domain.agents import Agent
from ingram_app.domain.designs import InvalidDesign

SPARE = 2
"""Empty rows for variables that are still to come."""
_LISTS = ("fallback_models", "vector_store_ids")
HOSTED, SERVER = "hosted:", "server:"
"""What stands before a choice's name in the form."""
_AS_JSON = ("client_tools", "approval_policy", "skills")
_SETTINGS = ("temperature", "max_tokens", "reasoning_effort")
_NO_SERVICE = "There is no search service to ask; the Tools page says which."
_SWITCHES = ("auto_memory", "memory_consolidation")


@dataclass
class VariableRow:
    place: int
    name: str
    default: str
    description: str
    required: bool


@dataclass
class Choice:
    """A tool or a server that an agent can be given."""

    name: str
    title: str
    about: str
    on: bool


def hosted(draft: dict[str, Any], *, search: bool) -> list[Choice]:
    """Return the built-in tools, and what the draft names that is none."""
    named = draft.get("enabled_hosted_tools") or []
    choices = [
        Choice(
            tool.name,
            tool.title,
            tool.description if tool.available(search=search) else _NO_SERVICE,
            tool.name in named,
        )
        for tool in hosted_tools.HOSTED_TOOLS.values()
    ]
    unknown = [name for name in named if name not in hosted_tools.HOSTED_TOOLS]
    return choices + [Choice(name, name, "There is no such tool.", True) for name in unknown]


def servers(draft: dict[str, Any], registered: list[str]) -> list[Choice]:
    """Return the project's servers, and what the draft names that is none."""
    named = draft.get("mcp_servers") or []
    choices = [Choice(name, name, "", name in named) for name in registered]
    gone = [name for name in named if name not in registered]
    return choices + [Choice(name, name, "It is not registered.", True) for name in gone]


def texts(draft: dict[str, Any]) -> dict[str, str]:
    """Return what stands in the form's fields, by their names."""
    stands = {"instructions": draft.get("instructions") or "", "cheaper_model": draft.get("cheaper_model") or ""}
    stands |= {name: "\n".join(draft.get(name) or []) for name in _LISTS}
    stands |= {name: _json(draft.get(name)) for name in _AS_JSON}
    settings = draft.get("model_settings") or {}
    stands |= {name: "" if settings.get(name) is None else str(settings[name]) for name in _SETTINGS}
    return stands | {"mcp": "all" if draft.get("mcp_servers") is None else "these"}


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
    said["enabled_hosted_tools"] = _ticked(form, HOSTED, draft["enabled_hosted_tools"])
    said["mcp_servers"] = _ticked(form, SERVER, draft["mcp_servers"] or []) if form.get("mcp") == "these" else None
    said |= {name: _read(form, name, draft[name]) for name in _AS_JSON}
    said["variables"] = _variables(form)
    said["model_settings"] = {name: _setting(form, name) for name in _SETTINGS}
    return said


def _words(form: dict[str, Any], name: str) -> list[str]:
    return [line.strip() for line in str(form.get(name, "")).splitlines() if line.strip()]


def _ticked(form: dict[str, Any], kind: str, stood: list[str]) -> list[str]:
    """Return the names that are ticked, those that stood before in their order."""
    ticked = [name.removeprefix(kind) for name in form if name.startswith(kind)]
    return [name for name in stood if name in ticked] + [name for name in ticked if name not in stood]


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
        place
        for key in form
        for word, _, after in [key.rpartition("-")]
        if word == "variable-name" and (place := whole(after)) is not None
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
