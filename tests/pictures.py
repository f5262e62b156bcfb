"""Pictures, whole and broken, as somebody might send them."""

import base64
import struct
import zlib
from typing import Any


def png(color: int = 0, *, padding: int = 0) -> bytes:
    """Return a picture of one grey pixel, and some bytes that nobody sees."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    hidden = [(b"teXt", b"x" * padding)] if padding else []
    chunks = [(b"IHDR", header), *hidden, (b"IDAT", zlib.compress(bytes([0, color]))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def gif() -> bytes:
    colors, frame = b"\0\0\0\xff\xff\xff", b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0" + colors + frame + b";"


def jpeg() -> bytes:
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"


def webp() -> bytes:
    body = b"WEBPVP8L" + struct.pack("<I", 6) + b"/\x00\x00\x00\x00\x00"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def image(content: bytes, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    """Return a picture as a part of what a user says."""
    return {"type": "image", "media_type": media_type, "data": base64.b64encode(content).decode(), **more}


def file(content: bytes, media_type: str = "text/plain", **more: Any) -> dict[str, Any]:
    return image(content, media_type, **more) | {"type": "file"}


def said(*parts: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """Return a request that says these parts."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"input": [{"role": "user", "content": content}], **more}
