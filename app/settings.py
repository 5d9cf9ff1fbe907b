"""Settings from the environment, prefix `PRICING_`. Read by main and cli only; everybody else gets values."""

import difflib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PRICING_"
# For so long at least a request is answered with the same bytes when it is sent again.
IDEMPOTENCY_DAYS = 30
_KEY_FILE = "signing.key"
_MIN_SECRET_BYTES = 32
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SettingsError(ValueError):
    """The environment cannot be used; the message says which name and why."""


class Settings(BaseSettings):
    """What an operator can set. A field `x_y` is the environment variable `PRICING_X_Y`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    database_url: SecretStr | None = Field(
        None, description="postgresql://...; without it an embedded server keeps its data in data_dir"
    )
    data_dir: Annotated[Path, AfterValidator(Path.absolute)] = Path(".data")
    postgres_bin: Path | None = Field(None, description="folder of initdb and postgres for the embedded server")
    embedded_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    durability: Literal["strict", "spool", "relaxed"] = Field(
        "strict",
        description="spool quotes from a local log while the database is away; relaxed serves on a server that may lose commits",
    )
    spool_bytes: int = Field(256 << 20, ge=1 << 20, description="size of a process's local log; beyond it 503")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    open_loopback: bool = Field(False, description="callers on this machine need no key; for development")
    quote_body_bytes: int = Field(64 << 10, ge=1024)
    import_body_bytes: int = Field(256 << 20, ge=1024)
    read_seconds: float = Field(10.0, gt=0, description="time a client has to send its headers, and again to send its body")
    write_seconds: float = Field(30.0, gt=0, description="time a client may take nothing of what it is sent")
    connections: int = Field(4096, ge=1, description="connections of one process; beyond it 503")
    connections_per_address: int | None = Field(None, ge=1, description="of one address; without it no limit")
    wait_ms: int = Field(
        200, ge=1, description="expected wait from which quotes are refused; more important calls later, others sooner"
    )
    drain_seconds: float = Field(
        2.0, ge=0, description="after SIGTERM: how long balancers have to notice, while everybody is still served"
    )
    shutdown_seconds: int = Field(10, ge=1)

    pool_size: int = Field(8, ge=1, le=200)
    connect_seconds: float = Field(1.0, gt=0)
    statement_seconds: float = Field(30.0, gt=0)
    poll_seconds: float = Field(1.0, gt=0, le=60)

    key_requests_per_second: int | None = Field(None, ge=1, description="of one key in one process, where the key says nothing")
    key_burst: int | None = Field(None, ge=1, description="how many of them at once; without it what a second allows")
    key_concurrent: int | None = Field(None, ge=1, description="requests of one key under way in one process")
    quote_ttl_seconds: int = Field(900, ge=1, le=30 * 86_400)
    hold_ttl_seconds: int = Field(900, ge=1, le=86_400, description="how long a hold holds that names no time of its own")
    signing_keys: SecretStr | None = Field(None, description="kid:secret,kid:secret; the first one signs, all verify")
    signing_keys_file: Path | None = Field(None, description="the same, a key a line; read again when it changes")
    decision_retention_days: int = Field(400, ge=IDEMPOTENCY_DAYS, description="and replies under an Idempotency-Key as long")
    hold_retention_days: int = Field(400, ge=31, description="holds that were used, and what was returned of them")
    lane_rows: int = Field(8192, ge=1, description="baskets that may wait; beyond it 503")
    lane_bytes: int = Field(64 << 20, ge=1 << 16)
    lane_batch_rows: int = Field(512, ge=1)
    memo_lines: int = Field(100_000, ge=1_000, description="priced lines that a process remembers, at some 2.7 kB each")
    flush_seconds: float = Field(1.0, gt=0, description="time one batch has to be stored before it is answered 503")

    metric_channels: int = Field(20, ge=0, le=200)
    tracing: bool = Field(False, description="send spans by OpenTelemetry; needs the extra tracing")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: the environment is read in one place, `from_environment`, and tests are not touched by it."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads and checks the environment.

        Raises SettingsError for a name of our prefix that is not a setting (a mistyped name must not be silently ignored) and for
        a value that does not fit; the value itself is not shown, it may be a secret.
        """
        names = {PREFIX + name.upper() for name in cls.model_fields}
        for name in sorted(environment):
            if name.upper().startswith(PREFIX) and name.upper() not in names:
                near = difflib.get_close_matches(name.upper(), names, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise SettingsError(f"{name} is not a setting of this service{hint}")
        given = {name.upper().removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.upper() in names}
        try:
            settings = cls(**given)  # type: ignore[arg-type]
            settings.parse_signing_keys()
            if settings.signing_keys is not None and settings.signing_keys_file is not None:
                raise SettingsError(f"{PREFIX}SIGNING_KEYS and {PREFIX}SIGNING_KEYS_FILE: give one of them")
            if settings.drain_seconds >= settings.shutdown_seconds:
                raise SettingsError(f"{PREFIX}DRAIN_SECONDS has to be less than {PREFIX}SHUTDOWN_SECONDS")
            if settings.key_burst is not None and settings.key_requests_per_second is None:
                raise SettingsError(f"{PREFIX}KEY_BURST needs {PREFIX}KEY_REQUESTS_PER_SECOND")
        except ValidationError as error:
            reasons = "; ".join(f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            raise SettingsError(reasons) from None
        return settings

    def parse_signing_keys(self) -> tuple[tuple[str, bytes], ...]:
        """(kid, secret) pairs as configured, the signing one first; empty when not configured. Raises SettingsError."""
        if self.signing_keys is None:
            return ()
        return _parse_keys(self.signing_keys.get_secret_value().split(","), source=f"{PREFIX}SIGNING_KEYS")

    def read_signing_keys_file(self) -> tuple[tuple[str, bytes], ...]:
        """The pairs of the file, one a line; empty lines and those that begin with # are nothing. Raises SettingsError, OSError."""
        assert self.signing_keys_file is not None
        source = str(self.signing_keys_file)
        try:
            text = self.signing_keys_file.read_text("utf-8")
        except UnicodeDecodeError:
            raise SettingsError(f"{source} is not text") from None
        # A file that is being written may end in the middle of a secret, which would still be one.
        if not text.endswith("\n"):
            raise SettingsError(f"{source}: the last line has no end")
        lines = [line.strip() for line in text.splitlines()]
        return _parse_keys([line for line in lines if line and not line.startswith("#")], source=source)

    def load_signing_keys(self) -> tuple[tuple[str, bytes], ...]:
        """The configured keys, or else one made once and kept in `data_dir` (mode 0600). Raises SettingsError, OSError.

        A key of its own is right for one process; several that share a database must be given the same keys.
        """
        configured = self.parse_signing_keys() if self.signing_keys_file is None else self.read_signing_keys_file()
        if configured:
            return configured
        path = self.data_dir / _KEY_FILE
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            kid, secret = "local-" + secrets.token_hex(4), secrets.token_hex(32)
            # Linked into place whole, so that two processes starting at once agree on one key and none reads half a file.
            draft = path.with_name(f"{_KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{kid}:{secret}\n")
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        kid, _, secret = path.read_text().strip().partition(":")
        if not kid or not secret:
            raise SettingsError(f"{path} holds no key; remove it to make a new one")
        return ((kid, secret.encode()),)


def _parse_keys(entries: Sequence[str], *, source: str) -> tuple[tuple[str, bytes], ...]:
    """(kid, secret) of each `kid:secret`. Raises SettingsError, which shows no secret."""
    pairs: list[tuple[str, bytes]] = []
    for entry in entries:
        kid, colon, secret = entry.strip().partition(":")
        if not colon or not _KID.fullmatch(kid):
            raise SettingsError(f"{source}: each entry is kid:secret, kid of letters, digits, '.', '_' or '-'")
        if len(secret.encode()) < _MIN_SECRET_BYTES:
            raise SettingsError(f"{source}: the secret of {kid} is shorter than {_MIN_SECRET_BYTES} bytes")
        if any(kid == known for known, _ in pairs):
            raise SettingsError(f"{source}: {kid} is there twice")
        pairs.append((kid, secret.encode()))
    if not pairs:
        raise SettingsError(f"{source}: there is no key")
    return tuple(pairs)
