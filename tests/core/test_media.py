"""Media: what is a picture, and what only begins like one."""

import pytest

from ingram_app.core.media import FILES, IMAGES
from tests import pictures
from tests.pictures import chunk

HTML = b"<html><script>alert(1)</script></html>"
WHOLE = {
    "image/png": pictures.png(),
    "image/gif": pictures.gif(),
    "image/jpeg": pictures.jpeg(),
    "image/webp": pictures.webp(),
    "application/pdf": b"%PDF-1.7\n%%EOF",
    "application/json": b'{"a": 1}',
    "text/csv": "a;ä\n".encode(),
    "text/markdown": b"# Title",
    "text/plain": b"words",
}
ALL = IMAGES | FILES


@pytest.mark.parametrize("media_type", WHOLE)
def test_whole_ones_are_what_they_say(media_type: str) -> None:
    assert ALL.keys() == WHOLE.keys()
    assert ALL[media_type](WHOLE[media_type])


@pytest.mark.parametrize("media_type", IMAGES)
def test_none_is_another(media_type: str) -> None:
    assert [other for other, content in WHOLE.items() if ALL[media_type](content)] == [media_type]
    assert not ALL[media_type](b"")
    assert not ALL[media_type](HTML)


LYING = {
    "a header with a page behind it": ("image/png", pictures.png()[:8] + HTML),
    "a page behind the end": ("image/png", pictures.png() + HTML),
    "a page in place of the header chunk": (
        "image/png",
        pictures.png()[:8] + chunk(b"teXt", HTML) + chunk(b"IEND", b""),
    ),
    "a wrong checksum": ("image/png", pictures.png()[:-1] + b"x"),
    "a chunk longer than the file": ("image/png", pictures.png()[:8] + b"\xff\xff\xff\xffIHDR" + b"x" * 50),
    "no end": ("image/png", pictures.png()[:-12]),
    "a page that begins as a JPEG": ("image/jpeg", b"\xff\xd8\xff" + HTML),
    "a page that begins as a GIF": ("image/gif", b"GIF89a" + HTML),
    "a page that begins as a WebP": ("image/webp", pictures.webp() + HTML),
    "a page that is a PDF further down": ("application/pdf", HTML + b"%PDF-1.7"),
    "bytes that are no text": ("text/plain", b"\xff\xfe\x00"),
    "text with a null in it": ("text/plain", b"a\0b"),
}


@pytest.mark.parametrize("how", LYING)
def test_what_only_begins_right_is_not_taken(how: str) -> None:
    media_type, content = LYING[how]
    assert not ALL[media_type](content)


def test_a_picture_of_many_chunks_is_looked_through_in_no_time() -> None:
    many = pictures.png()[:33] + chunk(b"teXt", b"") * 200_000 + pictures.png()[33:]
    assert IMAGES["image/png"](many)
