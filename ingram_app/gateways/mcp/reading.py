"""What MCP servers say, cut to a length and put into words for a model."""

import json
from collections.abc import Iterable
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import (
    URL_ELICITATION_REQUIRED,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from ingram_app.gateways.mcp.peer import Described, Question, Result

MOST_PAGES = 20
MOST_TOOLS = 256
NAME_LETTERS = 128
SCHEMA_BYTES = 32 * 1024
DESCRIPTION_LETTERS = 2000
TEXT_LETTERS = 40_000


def described(tools: Iterable[Tool]) -> list[Described]:
    """Return the tools that can be told, the first of each name."""
    told = {tool.name: _described(tool) for tool in reversed([tool for tool in tools if _is_tellable(tool)])}
    return list(reversed(told.values()))[:MOST_TOOLS]


def result(answer: CallToolResult) -> Result:
    """Return what a tool says as text; what is no text is named, not shown."""
    said = "\n".join(_words(block) for block in answer.content)
    if not said and answer.structured_content is not None:
        said = json.dumps(answer.structured_content, ensure_ascii=False)
    return Result(cut(said, TEXT_LETTERS), answer.is_error)


def question(asked: Any) -> Question:
    """Return what a server wants to know from a person."""
    told: Question = asked.model_dump(by_alias=True, mode="json", exclude_none=True, exclude={"meta", "task"})
    told.pop("elicitationId", None)  # a new one each time it is asked
    return told


def url_question(refused: MCPError) -> Question | None:
    """Return the page that a person has to visit before a call can be made, if that is why it was refused."""
    if refused.error.code != URL_ELICITATION_REQUIRED:
        return None
    try:
        first = refused.error.data["elicitations"][0]
        return {"mode": "url", "message": str(first["message"]), "url": str(first["url"])}
    except (LookupError, TypeError):
        return None


def cut(text: str, letters: int) -> str:
    """Return the beginning of a text, with a note of what is missing."""
    return text if len(text) <= letters else f"{text[:letters]}\n[cut: {len(text) - letters} more characters]"


def _described(tool: Tool) -> Described:
    hints = tool.annotations
    reads, repeats, destroys = (
        (hints.read_only_hint, hints.idempotent_hint, hints.destructive_hint) if hints else (None, None, None)
    )
    return Described(
        name=tool.name,
        description=cut(tool.description or tool.title or "", DESCRIPTION_LETTERS),
        parameters=tool.input_schema,
        destructive=bool(destroys),
        repeatable=bool(reads or repeats),
    )


def _is_tellable(tool: Tool) -> bool:
    if not 1 <= len(tool.name) <= NAME_LETTERS or not tool.name.isprintable():
        return False
    return tool.input_schema.get("type") == "object" and len(json.dumps(tool.input_schema)) <= SCHEMA_BYTES


def _words(block: Any) -> str:
    match block:
        case TextContent():
            return block.text
        case EmbeddedResource(resource=TextResourceContents() as held):
            return f"{held.uri}:\n{held.text}"
        case ResourceLink():
            return f"{block.name}: {block.uri}"
        case ImageContent() | AudioContent():
            return f"[{block.mime_type}, {len(block.data) * 3 // 4} bytes, not shown]"
    return f"[{type(block).__name__}, not shown]"
