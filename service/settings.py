"""The settings of the service: read once, frozen, passed to what needs them."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from onionskin.memory.context_window import DEFAULT_CONTEXT
from onionskin.memory.errors import ConfigurationError
from onionskin.memory.time_zones import InvalidTimeZoneError, TimeZone
from onionskin.service.settings_sources import (
    DOT_ENV,
    closest,
    origins,
    settings_file,
    variable,
)

MASK = "********"


def _time_zone(name: str) -> str:
    """The canonical name of a time zone; empty for none."""
    try:
        return TimeZone.parse(name).name if name else ""
    except InvalidTimeZoneError as error:
        raise ValueError(str(error)) from None


def _seconds(value: Any) -> Any:
    """Read a bare number as a duration in seconds."""
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError):
        return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """Everything that can be configured. A duration is a number of seconds or ISO 8601 (`PT30M`).

    The order of precedence is: code or command line, `ONIONSKIN_*` of the environment, `.env`,
    `onionskin.toml` (names in lower case, without ONIONSKIN_).
    """

    model_config = SettingsConfigDict(
        env_prefix="ONIONSKIN_",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
        env_file=DOT_ENV,
        dotenv_filtering="match_prefix",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources of settings in order of precedence."""
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, settings_file(settings_cls)

    demo: bool = Field(False, description="Let the page kill the service; needs a loopback host.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Log format; `auto` is text on a terminal and JSON lines elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="Lowest level that is logged; `info` has a line per request."
    )
    otel: Literal["auto", "on", "off"] = Field(
        "auto", description="Export traces; `auto` does where OpenTelemetry's endpoint is set."
    )
    otel_content: bool = Field(False, description="Put texts of messages and memories into traces.")
    data_dir: Path = Field(Path(".onionskin"), description="Data folder of the embedded Redis.")
    redis_server: Path | None = Field(
        None,
        description="Server binary of the embedded Redis. Default: the packaged Valkey, else one "
        "on PATH.",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis to use instead: redis://, unix://, redis+sentinel://, ..."
    )
    redis_timeout: Duration = Field(
        timedelta(seconds=1.5), description="Time limit per Redis command, including connecting."
    )
    durability: str = Field(
        "primary",
        description="Copies before a write is acknowledged: `primary`, `replicas:1`, `disks:1`.",
    )
    head_timeout: Duration = Field(
        timedelta(seconds=20), description="Time limit for receiving the head of a request."
    )
    request_timeout: Duration = Field(
        timedelta(minutes=4), description="Time limit without any progress of a request; 0: none."
    )

    encryption_keys: SecretStr | None = Field(
        None,
        description="Master keys, `id:base64`, separated by commas; the first wraps.",
    )
    encryption_keys_file: Path | None = Field(None, description="File of master keys instead.")
    encryption_plaintext: Literal["read", "refuse"] = Field(
        "read", description="Read or refuse values that were stored without encryption."
    )

    auth: Literal["off", "keys", "jwt"] = Field(
        "off", description="Authentication: none, API keys, or JSON Web Tokens."
    )
    jwt_secret: SecretStr | None = Field(None, description="Secret for HS256, at least 32 bytes.")
    jwt_public_key: Path | None = Field(None, description="PEM file for RS256 or ES256.")
    jwt_jwks_url: str | None = Field(None, description="URL of the issuer's key set.")
    jwt_audience: str | None = Field(None, description="Required value of `aud`.")
    jwt_issuer: str | None = Field(None, description="Required value of `iss`.")
    jwt_tenant_claim: str = Field("tenant", description="Claim that holds the tenant.")
    jwt_admin_scope: str = Field(
        "onionskin:admin", description="Scope that gives access to all users of the token's tenant."
    )
    openwebui_secret: SecretStr | None = Field(
        None, description="Secret that verifies the signed user header of Open WebUI."
    )
    budget_user_calls: int = Field(0, ge=0, description="Turns per user and day; 0: any.")
    budget_user_tokens: int = Field(0, ge=0, description="Tokens per user and day; 0: any.")
    budget_tenant_calls: int = Field(0, ge=0, description="Turns per tenant and day; 0: any.")
    budget_tenant_tokens: int = Field(0, ge=0, description="Tokens per tenant and day; 0: any.")
    budget_user_bytes: int = Field(0, ge=0, description="Stored bytes per user; 0: any.")
    budget_tenant_bytes: int = Field(0, ge=0, description="Stored bytes per tenant; 0: any.")
    budget_tenant_memories: int = Field(0, ge=0, description="Memories per tenant; 0: any.")
    budget_spent: Literal["refuse", "answer"] = Field(
        "refuse",
        description="Over budget: refuse turns, or answer without extraction.",
    )
    rate_principal: str | None = Field(
        None, description="Rate limit per principal, such as `600/minute`."
    )
    rate_user: str | None = Field(None, description="Rate limit per user.")
    cors_origins: str = Field(
        "", description="Origins that browsers may call from, separated by commas."
    )

    model: str | None = Field(
        None,
        description="Any init_chat_model string, or `offline`. Default: OpenAI's where a key or "
        "a base URL is set, else `offline`.",
    )
    model_base_url: str | None = Field(
        None, description="An OpenAI-compatible server, such as Ollama, vLLM or LiteLLM."
    )
    model_context: int = Field(
        DEFAULT_CONTEXT,
        ge=2048,
        description="Context window of the model, in tokens; budgets of the layers follow it.",
    )
    model_timeout: Duration = Field(
        timedelta(seconds=60),
        description="Time limit per answer, or per streamed piece of one.",
    )
    model_retries: int = Field(2, ge=0, description="Retries by the model's client.")
    breaker_failures: int = Field(
        5, ge=0, description="Failures in a row that open a provider's circuit breaker; 0: never."
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("ONIONSKIN_OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="API key, read from OPENAI_API_KEY.",
    )

    embedder: str = Field(
        "static", description="`static`, `openai`, `openai:<model>`, or a dotted path."
    )
    embedder_base_url: str | None = Field(
        None, description="An OpenAI-compatible server for the `openai` embedder."
    )
    embedder_timeout: Duration = Field(
        timedelta(seconds=2),
        description="Time limit per embedding of a turn; after it, recall uses words alone.",
    )
    embedding_cache: int = Field(
        1024, ge=0, description="Cached query embeddings of a remote embedder per process; 0: none."
    )
    vector_store: str | None = Field(
        None,
        description="Vector database of the vector layer: `qdrant`, `chroma`, a path.",
    )
    vector_store_url: str = Field("", description="Address or folder of the vector database.")
    vector_store_key: SecretStr | None = Field(None, description="API key of the vector database.")
    language: str = Field("english", description="Snowball stemmer of lexical recall.")

    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "",
        description="Time zone of users whose own is unknown, such as `Europe/Berlin`; empty: UTC.",
    )
    profile: str = Field("layered", description="Memory profile of turns that name none.")
    profiles: Path | None = Field(None, description="TOML file of further profiles.")
    idle_timeout: Duration = Field(
        timedelta(minutes=30),
        description="Idle time after which a turn without a session id opens a new session.",
    )
    close_after: Duration = Field(
        timedelta(days=1), description="Idle time after which a session is closed; 0: never."
    )
    carry_sessions: int = Field(
        5, ge=0, le=100, description="Earlier sessions whose summaries a new session shows."
    )
    longest_message: int = Field(32_768, ge=1, description="Longest message, in characters.")
    largest_body: int = Field(1 << 20, ge=1024, description="Largest request body, in bytes.")
    view_bytes: int = Field(
        1_000_000_000,
        ge=1,
        description="Approximate limit of a process's indexes, in bytes.",
    )
    most_memories: int = Field(10_000, ge=0, description="Memories per user; 0: any.")
    short_term: Duration = Field(
        timedelta(days=7),
        gt=timedelta(),
        description="Lifetime of short-term memories that name no expiry.",
    )
    quarantine: Literal["off", "on"] = Field(
        "off", description="Quarantine stored texts that look like prompt injection."
    )
    retain_sessions: Duration = Field(
        timedelta(), description="Retention of a session after its last message; 0: unlimited."
    )
    retain_memories: Duration = Field(
        timedelta(), description="Retention of a memory after its last change; 0: unlimited."
    )
    redact: Literal["off", "stored", "model"] = Field(
        "off",
        description="Redact personal data: never, before storing, or before the model sees it too.",
    )
    fold_concurrency: int = Field(2, ge=1, description="Concurrent tasks of a process.")
    jobs: Literal["here", "elsewhere"] = Field(
        "here", description="Run background tasks in `onionskin serve`, or in separate workers."
    )
    job_attempts: int = Field(10, ge=1, description="Failures in a row after which a task is dead.")
    job_hold: Duration = Field(
        timedelta(seconds=30),
        description="Time until another worker takes over a dead one's task.",
    )
    drain_timeout: Duration = Field(
        timedelta(seconds=25), description="Time limit for running requests and tasks at shutdown."
    )


def load_settings(**overrides: object) -> Settings:
    """The settings of this machine, with `overrides` in front of every source.

    Raises:
        ConfigurationError: a setting is invalid; the message names it and its source.
    """
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType, reportCallIssue]
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise ConfigurationError(_explain(str(first["loc"][0]), first, overrides)) from None


def is_secret(name: str) -> bool:
    """Whether the setting holds a secret, which is never shown."""
    field = Settings.model_fields.get(name.lower())
    return field is not None and "SecretStr" in str(field.annotation)


def _explain(name: str, problem: ErrorDetails, overrides: dict[str, object]) -> str:
    place = origins(Settings, overrides).get(name.lower(), "")
    where = "" if place in {"", "environment", "command line"} else f" (in {place})"
    if problem["type"] == "extra_forbidden":
        similar = closest(name, Settings.model_fields)
        hint = f" Did you mean {variable(similar)}?" if similar else ""
        return f"There is no setting {variable(name)}{where}.{hint}"
    value = MASK if is_secret(name) else repr(problem["input"])
    hint = " Write a number of seconds, or ISO 8601 such as PT30M." if _is_duration(name) else ""
    return f"{variable(name)} cannot be {value}{where}: {problem['msg']}.{hint}"


def _is_duration(name: str) -> bool:
    field = Settings.model_fields.get(name.lower())
    return field is not None and field.annotation is timedelta
