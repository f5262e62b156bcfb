"""The web as a model reads it: one public page at an address that it names, as Markdown.

Public addresses only, each redirect looked at anew, no credentials, no cookies; bounded in time and size.
"""

import asyncio
import codecs
import json
import re
from dataclasses import dataclass

import httpx2

from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget

SECONDS = 20
REDIRECTS = 5
_HEADERS = {
    "User-Agent": "IngramCloud/1 (web_fetch)",
    "Accept": "text/html, text/plain, application/json, text/*;q=0.8",
}
_HTML = ("text/html", "application/xhtml+xml")
_TEXT = ("application/json", "application/xml", "application/rss+xml", "application/atom+xml", "application/yaml")
_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024
_CHARSET = re.compile(r"(utf|ascii|us-ascii|iso-?8859|latin|windows-125|cp125|shift|euc|gb|big5|koi8)[\w-]*", re.ASCII)
"""Those of pages; Python also knows ciphers and escapes by such names."""


class Unreadable(Exception):
    """A page could not be read; the text says why, for a model."""


@dataclass(frozen=True, slots=True)
class Page:
    url: str
    """Where it was found, after redirects."""
    text: str
    """Markdown, or the text as it came."""


async def read(url: str) -> Page:
    """Return the page at an address. Raises `Unreadable`."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _follow(_target(url))
    except TimeoutError:
        raise Unreadable(f"It did not answer in {SECONDS} seconds.") from None
    except ForbiddenTarget as refused:
        raise Unreadable(f"{refused.facts['host']} is not at a public address.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as failed:
        raise Unreadable(f"It could not be read: {failed or type(failed).__name__}.") from None


async def _follow(url: httpx2.URL) -> Page:
    for _ in range(REDIRECTS + 1):
        async with outbound.public_client().stream("GET", url, headers=_HEADERS) as answer:
            if answer.next_request is not None:
                url = _target(str(answer.next_request.url))
                continue
            if not answer.is_success:
                raise Unreadable(f"It answered {answer.status_code}.")
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in (*_HTML, *_TEXT) and not kind.startswith("text/"):
                raise Unreadable(f"It is {kind[:80] or 'of no kind that it names'}; only text can be read.")
            body = await answer.aread()
            text = body.decode(_charset(answer.charset_encoding), errors="replace")
            return Page(str(url), await asyncio.to_thread(_readable, kind, text, str(url)))
    raise Unreadable(f"It leads on more than {REDIRECTS} times.")


def _target(url: str) -> httpx2.URL:
    """Return an address that may be asked; where it leads to is looked at on the way. Raises `Unreadable`."""
    try:
        target = httpx2.URL(url.strip())
    except (httpx2.InvalidURL, ValueError):
        raise Unreadable("That is no address of a page.") from None
    if target.scheme not in ("http", "https") or not target.host:
        raise Unreadable("Only addresses that begin with http:// or https:// can be read.")
    if target.userinfo:
        raise Unreadable("An address with a user name or password in it is not read.")
    if target.port is not None and target.port not in _PORTS and target.port < _FIRST_FREE_PORT:
        raise Unreadable(f"Port {target.port} is not for pages.")
    return target.copy_with(fragment=None)


def _charset(named: str | None) -> str:
    if named is None or not _CHARSET.fullmatch(named.lower()):
        return "utf-8"
    try:
        return codecs.lookup(named).name
    except LookupError:
        return "utf-8"


def _readable(kind: str, text: str, url: str) -> str:
    """Return what a person would see of it: what is hidden in a page is not shown to the model either."""
    if kind in _HTML:
        # Imported on first use: it takes 3 MB.
        from html_to_markdown import ConversionOptions, convert

        return (convert(text, ConversionOptions(skip_images=True, autolinks=False, base_url=url)).content or "").strip()
    if kind == "application/json":
        return _indented(text)
    return text


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text
