"""Hosted tools: what the platform itself can do for a smith, enabled by name in `enabled_hosted_tools`.

To add one: describe it here, and do it in `engine/tools/`. One name can bring several functions: a bundle.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """What a model can call."""

    name: str
    description: str
    """For the model."""
    parameters: Schema
    repeatable: bool = True
    """To do it twice is as good as once: after a crash it may be done again."""


@dataclass(frozen=True, slots=True)
class HostedTool:
    """What an agent can be given."""

    name: str
    title: str
    description: str
    functions: tuple[Function, ...]


def parameters(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Return the JSON Schema of a function's arguments."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _number(description: str) -> Schema:
    return {"anyOf": [{"type": "number"}, {"type": "string"}], "description": f"{description}, in decimal notation"}


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


_TWO = parameters({"a": _number("A number"), "b": _number("Another number")})
_CALCULATOR = HostedTool(
    "calculator",
    "Calculator",
    "Calculates with exact decimals: add, subtract, multiply, divide, remainder, power, root, factorial.",
    (
        Function("add", "Return a + b, exactly.", _TWO),
        Function("subtract", "Return a - b, exactly.", _TWO),
        Function("multiply", "Return a × b, exactly.", _TWO),
        Function("divide", "Return a / b, to 50 significant digits.", _TWO),
        Function("remainder", "Return what is left of a after division by b; its sign is that of a.", _TWO),
        Function(
            "power",
            "Return base to the power of exponent.",
            parameters({"base": _number("The base"), "exponent": _number("The exponent")}),
        ),
        Function(
            "root",
            "Return the root of a number, the square root unless another degree is given.",
            parameters(
                {"number": _number("The number")},
                degree={"type": "integer", "minimum": 1, "maximum": 100, "default": 2},
            ),
        ),
        Function(
            "factorial",
            "Return n!, the product of 1 to n.",
            parameters({"n": {"type": "integer", "minimum": 0, "maximum": 449}}),
        ),
    ),
)
_REASONING = HostedTool(
    "reasoning",
    "Reasoning",
    "A place to think step by step before answering: think, analyze.",
    (
        Function(
            "think",
            "Write down a thought before you act: what is known, what is missing, what to do next.",
            parameters({"thought": _text("The thought")}, next_action=_text("What you will do next")),
        ),
        Function(
            "analyze",
            "Look at what an action brought before you go on: what it shows, and whether it is enough.",
            parameters(
                {"result": _text("What the action brought"), "analysis": _text("What it means")},
                next_action={"type": "string", "enum": ["continue", "validate", "final_answer"]},
            ),
        ),
    ),
)
HOSTED_TOOLS = {tool.name: tool for tool in (_CALCULATOR, _REASONING)}


def functions(enabled: Iterable[str]) -> list[Function]:
    """Return what a model can call when these tools are enabled, each once; names that are not known bring nothing."""
    found = (function for name in enabled if name in HOSTED_TOOLS for function in HOSTED_TOOLS[name].functions)
    return list({function.name: function for function in found}.values())
