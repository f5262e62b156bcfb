"""What is sent to a chat completions endpoint: the history, the tools and the settings, in its words."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextContent,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

Json = dict[str, Any]

_SAME_NAME = ("seed", "parallel_tool_calls", "service_tier", "logit_bias")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_NEAREST_EFFORT = {"minimal": "low", "xhigh": "high", "max": "high"}


def request_body(
    model: Model, messages: Sequence[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
) -> Json:
    """Return the body of a streamed request."""
    instructions = "\n\n".join(part.content for part in parameters.instruction_parts or ())
    body: Json = {
        "model": model.model_name,
        "messages": wire_messages(messages, instructions),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if parameters.function_tools:
        body["tools"] = [_tool(tool) for tool in parameters.function_tools]
        if (choice := settings.get("tool_choice")) is not None:
            body["tool_choice"] = _tool_choice(choice)
    body |= _settings(model, settings, parameters)
    extra = settings.get("extra_body")
    return body | extra if isinstance(extra, dict) else body


def wire_messages(messages: Sequence[ModelMessage], instructions: str = "") -> list[Json]:
    """Return the history; the text and all tool calls of one response stand in one message."""
    wire: list[Json] = [{"role": "system", "content": instructions}] if instructions else []
    for message in messages:
        if isinstance(message, ModelRequest):
            for part in message.parts:
                wire += _request_messages(part)
        elif said := _response_message(message):
            wire.append(said)
    return _results_before_files(wire)


def _request_messages(part: ModelRequestPart) -> Iterator[Json]:
    match part:
        case SystemPromptPart():
            yield {"role": "system", "content": part.content}
        case UserPromptPart():
            yield {"role": "user", "content": _content(part.content)}
        case ToolReturnPart():
            text, files = part.model_response_str_and_user_content()
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": text}
            if files:
                yield {"role": "user", "content": _content(files), "_after_results": True}
        case _:
            raise UserError(f"a {part.part_kind} part can not be sent to this endpoint")


def _results_before_files(wire: list[Json]) -> list[Json]:
    """Move the files that tools returned behind the last result of their step: results must stand together."""
    ordered: list[Json] = []
    files: list[Json] = []
    for message in wire:
        if message.pop("_after_results", False):
            files.append(message)
            continue
        if message["role"] != "tool":
            ordered += files
            files = []
        ordered.append(message)
    return ordered + files


def _response_message(response: ModelResponse) -> Json | None:
    text = "\n\n".join(part.content for part in response.parts if isinstance(part, TextPart) and part.content)
    calls = [_call(part) for part in response.parts if isinstance(part, ToolCallPart)]
    if not text and not calls:
        return None
    message: Json = {"role": "assistant", "content": text or None}
    return message | {"tool_calls": calls} if calls else message


def _call(call: ToolCallPart) -> Json:
    function = {"name": call.tool_name, "arguments": call.args_as_json_str()}
    return {"id": call.tool_call_id, "type": "function", "function": function}


def _content(content: str | Sequence[UserContent]) -> str | list[Json]:
    if isinstance(content, str):
        return content
    return [part for item in content if (part := _content_part(item)) is not None]


def _content_part(item: UserContent) -> Json | None:
    match item:
        case str():
            return {"type": "text", "text": item}
        case TextContent():
            return {"type": "text", "text": item.content}
        case CachePoint():
            return None
        case ImageUrl():
            return {"type": "image_url", "image_url": {"url": item.url}}
        case BinaryContent():
            return _binary_part(item)
    raise UserError(f"a part of kind {item.kind} can not be sent to this endpoint: send its bytes instead of its URL")


def _binary_part(item: BinaryContent) -> Json:
    if item.is_image:
        return {"type": "image_url", "image_url": {"url": item.data_uri}}
    if item.is_audio:
        return {"type": "input_audio", "input_audio": {"data": item.base64, "format": item.format}}
    if item.media_type.startswith("text/") or item.media_type == "application/json":
        return {"type": "text", "text": f"File {item.identifier}:\n{item.data.decode(errors='replace')}"}
    return {"type": "file", "file": {"filename": item.identifier, "file_data": item.data_uri}}


def _tool(tool: ToolDefinition) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters_json_schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: object) -> object:
    match choice:
        case "auto" | "none" | "required":
            return choice
        case [str(name)]:
            return {"type": "function", "function": {"name": name}}
        case [str(), *_] as names:
            tools = [{"type": "function", "function": {"name": name}} for name in names]
            return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}}
    return "auto"


def _settings(model: Model, settings: ModelSettings, parameters: ModelRequestParameters) -> Json:
    """Return the settings in the endpoint's names. OpenAI's own reasoning models refuse those of sampling."""
    given: Json = dict(settings)
    ours = model.system == "openai"
    reasons = ours and bool(model.profile.get("supports_thinking"))
    names = _SAME_NAME if reasons else _SAME_NAME + _SAMPLING
    body = {name: given[name] for name in names if given.get(name) is not None}
    if (limit := given.get("max_tokens")) is not None:
        body["max_completion_tokens" if ours else "max_tokens"] = limit
    if stops := given.get("stop_sequences"):
        body["stop"] = stops
    if effort := _effort(model, parameters):
        body["reasoning_effort"] = effort
    return body


def _effort(model: Model, parameters: ModelRequestParameters) -> str | None:
    wanted, profile = parameters.thinking, cast(Json, model.profile)
    if wanted is None or wanted is True:
        return None
    if wanted is False:
        return "none" if profile.get("openai_supports_reasoning_effort_none") else "low"
    known = profile.get("openai_reasoning_efforts")
    return wanted if known is None or wanted in known else _NEAREST_EFFORT.get(wanted, wanted)
