"""/docs: the API's reference as a page, drawn from the live routes. No script, nothing from elsewhere."""

from functools import cache
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.6 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
nav ul { columns: 20rem; padding: 0; list-style: none }
nav a, h3 { font-family: ui-monospace, monospace; font-weight: 500 }
nav a { text-decoration: none; color: inherit; overflow-wrap: anywhere }
h3 { margin: 3rem 0 .5rem; font-size: 1rem; overflow-wrap: anywhere }
h3 b { display: inline-block; min-width: 4.5rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883 }
td:first-child { font-family: ui-monospace, monospace }
small { opacity: .75 }
"""


@router.get("/docs")
async def reference(request: Request) -> HTMLResponse:
    """Show every route with its fields."""
    return HTMLResponse(_page(request.app), headers={"Content-Security-Policy": _POLICY})


@cache
def _page(app: Any) -> str:
    schema = app.openapi()
    routes = [
        (method.upper(), path, told) for path, methods in schema["paths"].items() for method, told in methods.items()
    ]
    parts = schema["components"]["schemas"]
    contents = "".join(f'<li><a href="#{_anchor(m, p)}">{m} {escape(p)}</a></li>' for m, p, _ in routes)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(schema['info']['title'])}: API reference</title><style>{_STYLE}</style>"
        f"<h1>API reference</h1><p>Version {escape(schema['info']['version'])}. Every call carries"
        " <code>Authorization: Bearer …</code>; the tenant is in the token. Machines read"
        ' <a href="/openapi.json">/openapi.json</a>.</p>'
        f'<nav aria-label="Routes"><ul>{contents}</ul></nav>'
        + "".join(_route(method, path, told, parts) for method, path, told in routes)
    )


def _route(method: str, path: str, told: dict[str, Any], parts: dict[str, Any]) -> str:
    fields = [
        (p["name"], p["in"], p.get("required"), p["schema"], p.get("description")) for p in told.get("parameters", [])
    ]
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields += _fields(body, parts, "body")
    answers = ", ".join(code for code in told["responses"] if code.isdigit())
    return (
        f'<section><h3 id="{_anchor(method, path)}"><b>{method}</b> {escape(path)}</h3>'
        f"<p>{escape(told.get('description', ''))} <small>Answers {escape(answers)}.</small></p>"
        + (f"<table>{''.join(_row(*field) for field in fields)}</table>" if fields else "")
        + "".join(_answer(code, answer, parts) for code, answer in told["responses"].items() if code.isdigit())
        + "</section>"
    )


def _answer(code: str, answer: dict[str, Any], parts: dict[str, Any]) -> str:
    shape = answer.get("content", {}).get("application/json", {}).get("schema", {})
    rows = "".join(_row(*field) for field in _fields(shape, parts, "answer"))
    return (
        f"<details><summary>{escape(code)} {escape(_type(shape))}</summary><table>{rows}</table></details>"
        if rows
        else ""
    )


def _fields(shape: dict[str, Any], parts: dict[str, Any], place: str) -> list[tuple[Any, ...]]:
    shape = shape.get("anyOf", [shape])[0]
    whole = parts.get(shape.get("$ref", "").rpartition("/")[2], shape)
    required = whole.get("required", [])
    return [
        (name, place, name in required and place == "body", field, field.get("description"))
        for name, field in whole.get("properties", {}).items()
    ]


def _row(name: str, place: str, required: bool | None, shape: dict[str, Any], told: str | None) -> str:
    must = " <small>required</small>" if required else ""
    return f"<tr><td>{escape(name)}{must}<td>{escape(_type(shape))}<td><small>{place}</small> {escape(told or '')}"


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"].rpartition("/")[2])
    if "anyOf" in shape:
        return " or ".join(_type(one) for one in shape["anyOf"])
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    if "enum" in shape:
        return " | ".join(map(str, shape["enum"]))
    return str(shape.get("const") or shape.get("type") or "anything")


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}{path}".replace("{", "").replace("}", "").replace("/", "-").lower(), quote=True)
