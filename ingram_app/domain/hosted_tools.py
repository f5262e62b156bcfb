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
    searches_the_web: bool = False

    def available(self, *, search: bool) -> bool:
        """Tell whether it can do its work, given whether there is somebody to ask when the web is searched."""
        return search or not self.searches_the_web


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
_WEB_SEARCH = HostedTool(
    "web_search",
    "Web search",
    "Searches the web, with a search service that the project or the installation has.",
    (
        Function(
            "web_search",
            "Search the web. Returns titles, addresses and short excerpts.",
            parameters(
                {"query": _text("What to look for")},
                results={"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
            ),
        ),
    ),
    searches_the_web=True,
)
_WEB_FETCH = HostedTool(
    "web_fetch",
    "Web fetch",
    "Reads a public web page as Markdown. Addresses inside a network are out of its reach.",
    (
        Function(
            "web_fetch",
            "Read the web page at an address, as Markdown.",
            parameters(
                {"url": _text("An address that begins with https:// or http://")},
                start={"type": "integer", "minimum": 0, "description": "Where to go on in a long page"},
            ),
        ),
    ),
)
_FILE_SEARCH = HostedTool(
    "file_search",
    "File search",
    "Searches the vector stores of the design.",
    (Function("file_search", "Search the stored files.", parameters({"query": _text("What to look for")})),),
)
_REMEMBER = HostedTool(
    "remember",
    "Remember",
    "Writes down what is to be known of the person next time, besides what is learnt by itself.",
    (
        Function(
            "remember",
            "Write down a fact about the person that is to be known in later conversations.",
            parameters(
                {"content": _text("One fact in one sentence that can be understood alone, with absolute dates")},
                category=_text("A word for its kind, like preference, plan, person"),
                subject=_text("Whom or what it is about, other than the person"),
                replaces=_text("The id of the fact that it puts right, as recall tells it"),
            ),
        ),
    ),
)
_RECALL = HostedTool(
    "recall",
    "Recall",
    "Searches what the smith knows of its person, and its earlier conversations with them.",
    (
        Function(
            "recall",
            "Search what you know of the person, and your earlier conversations with them.",
            parameters(
                {"query": _text("What to look for")},
                limit={"type": "integer", "minimum": 1, "maximum": 20, "default": 5},
            ),
        ),
    ),
)
_SUGGEST_REPLIES = HostedTool(
    "suggest_replies",
    "Suggested replies",
    "Suggests what the person may want to say next; the run's output carries it.",
    (
        Function(
            "suggest_replies",
            "Suggest short replies that the person may want to choose from. They are shown as buttons.",
            parameters(
                {
                    "replies": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 4,
                        "items": {"type": "string", "minLength": 1, "maxLength": 200},
                    }
                }
            ),
        ),
    ),
)
_ALL = (_CALCULATOR, _REASONING, _WEB_SEARCH, _WEB_FETCH, _FILE_SEARCH, _REMEMBER, _RECALL, _SUGGEST_REPLIES)
HOSTED_TOOLS = {tool.name: tool for tool in _ALL}


def available(enabled: Iterable[str], *, search: bool) -> list[str]:
    """Return those of these tools that are there and have what they take."""
    return [name for name in enabled if name in HOSTED_TOOLS and HOSTED_TOOLS[name].available(search=search)]


def functions(enabled: Iterable[str]) -> list[tuple[str, Function]]:
    """Return what a model can call when these tools are enabled, each once, with the tool that it is of.

    Names that are not known bring nothing.
    """
    known = dict.fromkeys(name for name in enabled if name in HOSTED_TOOLS)
    return [(name, function) for name in known for function in HOSTED_TOOLS[name].functions]
