"""Wording: messages as plain text, and about how many tokens they take."""

from collections.abc import Iterator, Sequence

from pydantic_ai.messages import (
    BaseToolCallPart,
    BaseToolReturnPart,
    BinaryContent,
    ModelMessage,
    ModelRequestPart,
    ModelResponsePart,
    RetryPromptPart,
    TextContent,
    TextPart,
    UserContent,
    UserPromptPart,
)

from ingram_app.gateways import windows

PICTURE_TOKENS = 1600
BYTES_OF_A_FILE_TOKEN = 60
"""Of a PDF, say, whose pages take some two thousand each."""
PART_TOKENS = 4
"""What a part takes besides its words."""
CLIPPED_CHARACTERS = 4000
"""As much of one part as a summary is made of: its beginning and its end."""


def tokens_of(messages: Sequence[ModelMessage]) -> int:
    """Return about how many tokens messages take."""
    return sum(_tokens(part) for message in messages for part in message.parts)


def written(messages: Sequence[ModelMessage]) -> str:
    """Return messages as they would be read out."""
    return "\n".join(line for message in messages for part in message.parts for line in _lines(part))


def chunks(texts: Sequence[str], tokens: int) -> list[str]:
    """Return texts put together as far as they take no more tokens than that; one that takes more stands alone."""
    found: list[str] = []
    room = 0
    for text in texts:
        needed = windows.tokens_of(text)
        if found and needed <= room:
            found[-1] += f"\n\n{text}"
        else:
            found.append(text)
            room = tokens
        room -= needed
    return found


def _tokens(part: ModelRequestPart | ModelResponsePart) -> int:
    content = getattr(part, "content", None)
    if isinstance(content, str):
        return windows.tokens_of(content) + PART_TOKENS
    match part:
        case UserPromptPart():
            return sum(_tokens_of_item(item) for item in part.content) + PART_TOKENS
        case BaseToolCallPart():
            return windows.tokens_of(part.args_as_json_str()) + 2 * PART_TOKENS
        case BaseToolReturnPart():
            return windows.tokens_of(part.model_response_str()) + 2 * PART_TOKENS
    return PART_TOKENS


def _tokens_of_item(item: UserContent) -> int:
    match item:
        case str():
            return windows.tokens_of(item)
        case TextContent():
            return windows.tokens_of(item.content)
        case BinaryContent() if not item.is_image:
            size = (item.vendor_metadata or {}).get("bytes", len(item.data))
            return int(size // (3 if item.media_type.startswith("text/") else BYTES_OF_A_FILE_TOKEN))
    return PICTURE_TOKENS


def _lines(part: ModelRequestPart | ModelResponsePart) -> Iterator[str]:
    match part:
        case UserPromptPart():
            content = part.content if isinstance(part.content, str) else "\n".join(map(_words, part.content))
            yield f"User: {_clipped(content)}"
        case TextPart() if part.content:
            yield f"Assistant: {_clipped(part.content)}"
        case BaseToolCallPart():
            yield f"(The assistant used {part.tool_name}: {_clipped(part.args_as_json_str())})"
        case BaseToolReturnPart():
            yield f"({part.tool_name} answered: {_clipped(part.model_response_str())})"
        case RetryPromptPart():
            yield f"({part.tool_name} failed: {_clipped(part.model_response())})"


def _words(item: UserContent) -> str:
    match item:
        case str():
            return item
        case TextContent():
            return item.content
        case BinaryContent():
            return f"[{item.media_type}]"
    return f"[{item.kind}]"


def _clipped(text: str) -> str:
    half = CLIPPED_CHARACTERS // 2
    return text if len(text) <= CLIPPED_CHARACTERS else f"{text[:half]} […] {text[-half:]}"
