"""Every knob of the platform, read once from the environment and `.env`. Nothing else reads either."""

import os
import re
import secrets
from contextlib import suppress
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, HttpUrl, PostgresDsn, RedisDsn, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingram_app.core.errors import IngramError


class SettingsWrong(IngramError):
    """{name} is wrong: {reason}. Set it right in the environment or in .env; .env.example says what it takes."""


class Settings(BaseSettings):
    """`port` is read from `IC_PORT`, and so on. The environment wins over `.env`; an empty value counts as unset."""

    model_config = SettingsConfigDict(env_prefix="IC_", env_file=".env", env_ignore_empty=True, extra="ignore")

    port: int = Field(default=8000, ge=1, le=65535)
    """Where the console and the API are served, together."""

    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` for every one of the machine."""

    public_url: HttpUrl | None = None
    """How the outside reaches this installation. Default: `http://localhost:<port>`. With https, cookies are Secure."""

    data_dir: Path = Path(".ingram")
    """Where the embedded database and the master key live."""

    database_url: PostgresDsn | None = None
    """A PostgreSQL 15 or newer of your own, `postgresql://user:password@host/name`. Default: one inside `data_dir`."""

    redis_url: RedisDsn | None = None
    """Shares the console's state between several serving processes; one process needs none."""

    master_key: SecretStr | None = None
    """Seals every project's keys: 64 hex digits. Default: made in `data_dir/master.key`, mode 0600."""

    allow_private_addresses: bool = False
    """Let model endpoints, tool servers and webhooks of projects be at private addresses: localhost, 10.x …"""

    search_provider: Literal["brave", "tavily", "searxng"] | None = None
    """Who is asked when a smith searches the web; unset, nobody: the tool `web_search` is not to be had."""

    search_api_key: SecretStr | None = None
    """What Brave or Tavily wants to see."""

    search_url: HttpUrl | None = None
    """Where the service is, for a SearXNG of your own (its `json` format has to be on)."""

    stripe_url: HttpUrl = HttpUrl("https://api.stripe.com")
    """Where Stripe is, to which projects have the usage of their customers told; another in tests alone."""

    metrics_token: SecretStr | None = None
    """The bearer that may read `/metrics`; unset, nobody may."""

    log_format: Literal["text", "json"] = "text"
    """`json` writes one object a line."""

    commit: str | None = None
    """The build that runs, as /health tells it."""

    smtp_url: SecretStr | None = None
    """Who takes our e-mail: `smtp://user:password@host:587`, or `smtps://…:465`. Unset, none is sent."""

    mail_from: str | None = None
    """Whom our e-mail comes from, as its readers see it: `Ingram Cloud <cloud@example.com>`. Needed to send any."""

    openai_api_key: SecretStr | None = None
    """The platform's own key, for projects that bring none; likewise the next two."""
    anthropic_api_key: SecretStr | None = None
    google_api_key: SecretStr | None = None

    run_lease_seconds: float = Field(default=10, ge=1)
    """A process that is silent for this long loses its runs to another."""

    runs_per_process: int = Field(default=64, ge=1)
    """Interactive runs that one process carries at once; past that they wait in the queue."""

    queued_runs_per_process: int = Field(default=64, ge=4)
    """Runs of the queue that one process carries at once; three quarters of them at most are of one project."""

    memory_ops_per_process: int = Field(default=16, ge=4)
    """Turns that one process learns from at once, for `auto_memory`; three quarters of them at most of one project."""

    memory_quiet_seconds: float = Field(default=900, ge=0)
    """After this long without a turn a smith's facts are folded into its document, for `memory_consolidation`."""

    frames_fold_after_seconds: float = Field(default=86_400, ge=0)
    """After this long the frames of a run that has ended are folded: one for the words of many."""

    @field_validator("master_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            try:
                long_enough = len(bytes.fromhex(key.get_secret_value())) == 32
            except ValueError:
                long_enough = False
            if not long_enough:
                raise ValueError("it must be 64 hex digits, as `openssl rand -hex 32` prints them")
        return key

    @field_validator("smtp_url")
    @classmethod
    def _is_a_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            try:
                well = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
            except ValueError:
                well = False
            if not well:
                raise ValueError("it must look like smtp://user:password@host:587 or smtps://user:password@host:465")
        return url

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, sender: str | None) -> str | None:
        if sender is not None and (not sender.isprintable() or "@" not in parseaddr(sender)[1]):
            raise ValueError("it must look like Ingram Cloud <cloud@example.com>")
        return sender

    @property
    def sends_mail(self) -> bool:
        return self.smtp_url is not None and self.mail_from is not None

    @property
    def address(self) -> str:
        """The installation's public address, without a slash at its end."""
        return str(self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def origins(self) -> set[str]:
        """The origins whose pages are ours, as a browser spells them."""
        if self.public_url is None:
            return {f"http://localhost:{self.port}", f"http://127.0.0.1:{self.port}"}
        return {re.sub(r"^(https?://[^/]+).*", r"\1", self.address)}

    @property
    def https(self) -> bool:
        return self.address.startswith("https://")

    @property
    def cookie(self) -> str:
        """The name of the console's cookie; with https one that no other host can set."""
        return "__Host-ingram_session" if self.https else "ingram_session"

    def master_key_bytes(self) -> bytes:
        """Return the 32 bytes that seal everything, made on first use when the environment brings none."""
        if self.master_key is not None:
            return bytes.fromhex(self.master_key.get_secret_value())
        return _key_in(self.data_dir / "master.key")


def _make_key(file: Path) -> None:
    """Put a whole key there, or leave the one that another process has put there meanwhile."""
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        with open(fresh, "x", opener=_private) as written:
            written.write(secrets.token_hex(32))
            written.flush()
            os.fsync(written.fileno())
        with suppress(FileExistsError):
            os.link(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)


@cache
def _key_in(file: Path) -> bytes:
    """Return the key that a file holds, a new one if there is no file.

    Raises `SettingsWrong` for a short one: links and seals could be guessed.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_key(file)
    text = file.read_text().strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text) is None:
        raise SettingsWrong(name=str(file), reason="it does not hold 64 hex digits; bring the file back from a backup")
    return bytes.fromhex(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `SettingsWrong`, which names the first wrong one."""
    try:
        return Settings()
    except ValidationError as wrong:
        first = wrong.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsWrong(name=f"IC_{str(first['loc'][0]).upper()}", reason=reason) from None
