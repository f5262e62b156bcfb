"""The shelf: turns of the past as messages, those that were read a moment ago at hand.

Reading the hundred turns of a long thread takes a millisecond, and whoever goes on with a thread does so soon. A turn
is found by its own text, so what is at hand is never out of date.
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from pydantic_ai.messages import ModelMessage

from ingram_app.engine import prompt

MOST_BYTES = 6 * 1024 * 1024
"""Some fifteen hundred short turns."""
SECONDS = 600
"""So long, twice as long at most, a turn that nobody asks for again stays: nobody's words are kept for good."""
_MESSAGE_BYTES, _PART_BYTES = 1100, 400
"""About what a message and a part of it take besides their words; those are held twice. What is counted of a value
that is no text is less than it takes, ten times less at worst."""


@dataclass(slots=True)
class _Turn:
    messages: Sequence[ModelMessage]
    bytes: int
    used_at: float = 0


class Shelf:
    """Turns by their text, last used last."""

    def __init__(self) -> None:
        self._turns = OrderedDict[str, _Turn]()
        self._bytes = 0

    def read(self, text: str) -> Sequence[ModelMessage]:
        """Return the messages of a turn. Others have them too: whoever wants one otherwise makes another."""
        turn = self._turns.get(text)
        if turn is None:
            messages = tuple(prompt.read(text))
            turn = self._turns[text] = _Turn(messages, _bytes(text, messages))
            self._bytes += turn.bytes
            while self._bytes > MOST_BYTES:
                self._drop()
        else:
            self._turns.move_to_end(text)
        turn.used_at = monotonic()
        return turn.messages

    def tidy(self) -> None:
        """Drop what nobody has asked for of late."""
        while self._turns and next(iter(self._turns.values())).used_at < monotonic() - SECONDS:
            self._drop()

    def _drop(self) -> None:
        self._bytes -= self._turns.popitem(last=False)[1].bytes


def _bytes(text: str, messages: Sequence[ModelMessage]) -> int:
    parts = sum(len(message.parts) for message in messages)
    return 2 * sys.getsizeof(text) + _MESSAGE_BYTES * len(messages) + _PART_BYTES * parts


SHELF = Shelf()


async def tidy_forever() -> None:
    """Keep nothing on the shelf of this process that nobody asks for."""
    while True:
        await asyncio.sleep(SECONDS)
        SHELF.tidy()
