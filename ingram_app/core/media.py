"""Media: the kinds of files that are taken, and whether bytes are what they say they are."""

import zlib
from collections.abc import Callable

_PNG = b"\x89PNG\r\n\x1a\n"


def _is_png(data: bytes) -> bool:
    """Tell whether the bytes are the chunks of one picture, whole, from its header to its end and nothing more."""
    place, first = len(_PNG), True
    while data.startswith(_PNG) and place + 12 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 12 + size
        if end > len(data) or first != (kind == b"IHDR"):
            return False
        if zlib.crc32(data[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
            return False
        if kind == b"IEND":
            return end == len(data)
        place, first = end, False
    return False


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


IMAGES: dict[str, Callable[[bytes], bool]] = {
    "image/png": _is_png,
    "image/jpeg": lambda data: data.startswith(b"\xff\xd8\xff") and data.rstrip(b"\0").endswith(b"\xff\xd9"),
    "image/gif": lambda data: data[:6] in (b"GIF87a", b"GIF89a") and data.endswith(b";"),
    "image/webp": lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP" and _riff_size(data) == len(data),
}
FILES: dict[str, Callable[[bytes], bool]] = {
    "application/pdf": lambda data: data.startswith(b"%PDF-"),
    "application/json": _is_text,
    "text/csv": _is_text,
    "text/markdown": _is_text,
    "text/plain": _is_text,
}


def _riff_size(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little") + 8
    return size + size % 2
