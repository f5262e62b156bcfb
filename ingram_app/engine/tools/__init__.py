"""What hosted tools do: one small sibling each. `domain.hosted_tools` says what they are called and take."""

from ingram_app.engine.tools import calculator, files, memory, reasoning, replies, web
from ingram_app.engine.tools.tool import Deed, Tool, ToolAsks, ToolRefused, ToolUnavailable, Use

_BUNDLES = (calculator, reasoning, web, files, memory, replies)
DEEDS: dict[str, Deed] = {name: deed for bundle in _BUNDLES for name, deed in bundle.DEEDS.items()}
"""By the name of the function that the model calls."""

__all__ = ["DEEDS", "Deed", "Tool", "ToolAsks", "ToolRefused", "ToolUnavailable", "Use"]
