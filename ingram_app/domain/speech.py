"""Speech: what was said in a turn, as people and programs read it, whatever the model layer writes it down as.

message    {run_id, role, content, created_at}        role: user | assistant | tool | system
content    {type: text, text}  {type: reasoning, text}  {type: interruption, text}
           {type: image | file, media_type, bytes, sha256, filename?}  {type: image, url}
           {type: tool_call, tool_call_id, tool, args}  {type: tool_result, tool_call_id, tool, result, is_error}
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ingram_app.domain import tool_calls

Part = dict[str, Any]
Role = Literal["user", "assistant", "tool", "system"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    run_id: str
    role: Role
    content: list[Part]
    created_at: datetime


def read(written: dict[str, Any], run_id: str, created_at: datetime) -> Message:
    """Return a message of a run's transcript or of its input; `created_at` is for one that tells no time."""
    if "kind" not in written:
        return Message(run_id, written["role"], _spoken(written["content"]), created_at)
    interrupted = bool((written.get("metadata") or {}).get("interrupted"))
    parts = [part for part in written["parts"] if part["part_kind"] in _READ]
    content = [told for part in parts for told in _READ[part["part_kind"]](part)]
    if interrupted:
        content[-1] = content[-1] | {"type": "interruption"}
    moment = written.get("timestamp") or next((part["timestamp"] for part in parts if part.get("timestamp")), None)
    return Message(run_id, _role(written["kind"], content), content, _moment(moment) or created_at)


def _role(kind: str, content: list[Part]) -> Role:
    if kind == "response":
        return "assistant"
    kinds = {part["type"] for part in content}
    if "tool_result" in kinds:
        return "tool"
    return "user" if kinds - {"interruption"} else "system"


def _spoken(content: str | list[Part]) -> list[Part]:
    return [_text(content)] if isinstance(content, str) else list(content)


def _text(words: str) -> Part:
    return {"type": "text", "text": words}


def _prompt(part: Part) -> list[Part]:
    content = part["content"]
    items = [content] if isinstance(content, str) else content
    return [_text(item) if isinstance(item, str) else _attachment(item) for item in items]


def _attachment(item: Part) -> Part:
    if item.get("kind") == "image-url":
        return {"type": "image", "url": item["url"]}
    media_type = str(item.get("media_type", ""))
    told = {"type": "image" if media_type.startswith("image/") else "file", "media_type": media_type}
    return told | (item.get("vendor_metadata") or {})


def _call(part: Part) -> list[Part]:
    args = part.get("args")
    with suppress(ValueError):  # models err: then they are shown as they came
        args = json.loads(args) if isinstance(args, str) else args
    return [{"type": "tool_call", "tool_call_id": part["tool_call_id"], "tool": part["tool_name"], "args": args}]


def _result(part: Part) -> list[Part]:
    is_error = part["part_kind"] == "retry-prompt" or part.get("outcome", "success") in ("failed", "retried")
    names = {"tool_call_id": part["tool_call_id"], "tool": part["tool_name"]}
    result = tool_calls.unmarked(part["content"]) if isinstance(part["content"], str) else part["content"]
    return [{"type": "tool_result", **names, "result": result, "is_error": is_error}]


_READ: dict[str, Callable[[Part], list[Part]]] = {
    "user-prompt": _prompt,
    "text": lambda part: [_text(part["content"])],
    "thinking": lambda part: [{"type": "reasoning", "text": part["content"]}] if part["content"] else [],
    "tool-call": _call,
    "tool-return": _result,
    "retry-prompt": _result,
}


def _moment(spelt: str | None) -> datetime | None:
    return datetime.fromisoformat(spelt) if spelt else None
