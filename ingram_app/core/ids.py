"""Ids that say what they name and sort by age: `run_` and 21 or 22 letters of base58.

The body is a UUIDv7 (RFC 9562) in the Bitcoin alphabet, whose order is that of ASCII: ids sort by creation.
"""

import os
import re
import time

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LENGTH = 21
"""What every UUIDv7 made between 1975 and 2248 needs."""
ID = re.compile(r"[a-z]{2,5}_[1-9A-HJ-NP-Za-km-z]{21,22}")

_last = 0


def new_id(prefix: str) -> str:
    """Return a new id; ids of one process grow strictly, also within a millisecond."""
    global _last
    moment = time.time_ns() * 4096 // 1_000_000
    _last = moment = max(moment, _last + 1)
    number = (moment >> 12) << 80 | 7 << 76 | (moment & 0xFFF) << 64 | 2 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return f"{prefix}_{_base58(number)}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` has the form of an id of this kind."""
    return text.startswith(f"{prefix}_") and ID.fullmatch(text) is not None


def _base58(number: int) -> str:
    letters = []
    while number:
        number, place = divmod(number, 58)
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters)).rjust(_LENGTH, _ALPHABET[0])
