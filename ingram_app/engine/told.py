"""What a model is told of a tool call: in our words, or in those of the tool, marked as data from outside."""

import re

from ingram_app.core.database import compact
from ingram_app.domain.tool_calls import CallState, ToolCall

_MARK = re.compile(r"<(/?\s*untrusted-data)", re.IGNORECASE)


def told(call: ToolCall) -> str:
    """Return the text that stands for a call's result. What a tool says can not end the marks around it."""
    if call.state is CallState.refused:
        return str(call.result)
    text = call.result if isinstance(call.result, str) else compact(call.result)
    harmless = _MARK.sub(r"&lt;\1", text)
    return f"<untrusted-data>\n{harmless}\n</untrusted-data>"
