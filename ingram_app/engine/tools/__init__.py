"""What hosted tools do: one small sibling each. `domain.hosted_tools` says what they are called and take."""

from ingram_app.engine.tools import calculator, files, reasoning, replies, web
from ingram_app.engine.tools.tool import Deed, Tool, ToolAsks, ToolRefused, ToolUnavailable, Use

DEEDS: dict[str, Deed] = {**calculator.DEEDS, **reasoning.DEEDS, **web.DEEDS, **files.DEEDS, **replies.DEEDS}
"""By the name of the function that the model calls."""

__all__ = ["DEEDS", "Deed", "Tool", "ToolAsks", "ToolRefused", "ToolUnavailable", "Use"]
