"""What the fake models obey: `name=value` words in the model's name or in the last user message.

tokens=20        how long the answer is              cut=3        drop the connection after 3 tokens
delay_ms=0       the pause between two tokens        break=3      send an error event after 3 tokens
first_ms=0       the pause before the first          empty=1      answer with nothing in it
fail=429         answer with this status             usage=0      leave the usage out
call=weather     answer with a tool call             done=0       leave the end mark out
calls=2          … so many of them, at once          finish=0     leave the finish reason out
args={"a":1}     … with these arguments (no spaces)  think=2      think so many tokens first
wait=2           a failure asks to wait, in seconds  times=1      go wrong (fail, cut, break, first_ms) only the first
wait=date        … as a date, a second from now                   so many times that this very request comes
"""

import re
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Any

_KNOB = re.compile(
    r"\b(tokens|delay_ms|first_ms|fail|cut|break|empty|usage|done|finish|calls|call|think|wait|times)=([\w.-]+)"
)
_ARGUMENTS = re.compile(r"\bargs=(\{\S*\})")
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog")


@dataclass(frozen=True, slots=True)
class Knobs:
    tokens: int = 20
    delay_seconds: float = 0
    first_seconds: float = 0
    fail: int | None = None
    cut: int | None = None
    breaks: int | None = None
    empty: bool = False
    usage: bool = True
    done: bool = True
    finish: bool = True
    call: str | None = None
    calls: int = 1
    arguments: str = '{"city":"Rome"}'
    think: int = 0
    wait: str | None = None
    times: int | None = None

    def grown_well(self) -> "Knobs":
        """Return the same without all that goes wrong."""
        return replace(self, fail=None, cut=None, breaks=None, first_seconds=0)

    def words(self) -> list[str]:
        return [] if self.empty else [f"{word} " for word in islice(cycle(_WORDS), self.tokens)]

    def thoughts(self) -> list[str]:
        return ["hm "] * self.think


def knobs_of(model: str, messages: list[dict[str, Any]], default: Knobs) -> Knobs:
    """Return what this request asks for. Once a tool has answered the last user message, calls are over."""
    text, answered = _last_user_text(messages)
    found = dict(_KNOB.findall(f"{model.replace(',', ' ')} {text}"))
    knobs = replace(
        default,
        tokens=int(found.get("tokens", default.tokens)),
        delay_seconds=float(found.get("delay_ms", default.delay_seconds * 1000)) / 1000,
        first_seconds=float(found.get("first_ms", default.first_seconds * 1000)) / 1000,
        fail=_number(found.get("fail")),
        cut=_number(found.get("cut")),
        breaks=_number(found.get("break")),
        empty="empty" in found,
        usage=found.get("usage") != "0",
        done=found.get("done") != "0",
        finish=found.get("finish") != "0",
        call=None if answered else found.get("call"),
        calls=int(found.get("calls", 1)),
        think=int(found.get("think", 0)),
        wait=found.get("wait"),
        times=_number(found.get("times")),
    )
    arguments = _ARGUMENTS.search(text)
    return replace(knobs, arguments=arguments[1]) if arguments else knobs


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _last_user_text(messages: list[dict[str, Any]]) -> tuple[str, bool]:
    """Return the text of the last user message, and whether a tool result follows it; in any of the three dialects."""
    answered = False
    for message in reversed(messages):
        parts = _parts(message)
        if message.get("role") == "tool" or any(_is_result(part) for part in parts):
            answered = True
        elif message.get("role") == "user":
            return " ".join(part.get("text") or "" for part in parts), answered
    return "", answered


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content", message.get("parts")) or []
    return [{"text": content}] if isinstance(content, str) else content


def _is_result(part: dict[str, Any]) -> bool:
    return part.get("type") == "tool_result" or "functionResponse" in part
