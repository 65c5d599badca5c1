"""Every setting, read once, frozen, passed on."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from onionskin.service.settings_sources import DOT_ENV, settings_file


def _seconds(value: Any) -> Any:
    """A bare number is a duration in seconds."""
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError):
        return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """What can be configured. A duration is a number of seconds or ISO 8601 (`PT30M`).

    What is chosen in code or on the command line goes before `ONIONSKIN_*` of the environment, that
    before `.env`, that before `onionskin.toml` (its names in lower case, without ONIONSKIN_).
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
        """Where settings are looked for, one after the other."""
        del file_secret_settings
        return init_settings, env_settings, dotenv_settings, settings_file(settings_cls)

    demo: bool = Field(
        False, description="Whether the page may kill the service; on this machine alone."
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Of the log: text on a terminal, JSON lines elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="`info` has a line for each request."
    )
    otel: Literal["auto", "on", "off"] = Field(
        "auto", description="Traces; `auto` makes them where OpenTelemetry's endpoint is set."
    )
    otel_content: bool = Field(False, description="Whether traces hold texts.")
    data_dir: Path = Field(
        Path(".onionskin"), description="Where the embedded Redis keeps its data."
    )
    redis_url: SecretStr | None = Field(
        None, description="A Redis to use instead: redis://, unix://, redis+sentinel://, ..."
    )
    redis_timeout: Duration = Field(
        timedelta(seconds=1.5), description="For each Redis command, connecting included."
    )
    durability: str = Field(
        "primary",
        description="Copies before a write is acknowledged: `primary`, `replicas:1`, `disks:1`.",
    )
    head_timeout: Duration = Field(
        timedelta(seconds=20), description="For the head of a request to come."
    )
    request_timeout: Duration = Field(
        timedelta(minutes=4), description="How long nothing may come of a request; 0 for ever."
    )

    encryption_keys: SecretStr | None = Field(
        None, description="Master keys, `id:base64`, separated by commas; the first one wraps."
    )
    encryption_keys_file: Path | None = Field(None, description="A file of them instead.")
    encryption_plaintext: Literal["read", "refuse"] = Field(
        "read", description="What to do with values that were stored before there were keys."
    )

    auth: Literal["off", "keys", "jwt"] = Field(
        "off", description="Who may ask: anybody on this machine, holders of API keys, or of JWTs."
    )
    jwt_secret: SecretStr | None = Field(None, description="For HS256, at least 32 bytes.")
    jwt_public_key: Path | None = Field(None, description="A PEM file, for RS256 or ES256.")
    jwt_jwks_url: str | None = Field(None, description="Where the issuer publishes its keys.")
    jwt_audience: str | None = Field(None, description="What `aud` must be.")
    jwt_issuer: str | None = Field(None, description="What `iss` must be.")
    jwt_tenant_claim: str = Field("tenant", description="The claim that names the tenant.")
    jwt_admin_scope: str = Field(
        "onionskin:admin", description="A token with this scope reaches all users of its tenant."
    )
    openwebui_secret: SecretStr | None = Field(
        None, description="Verifies the signed user header of Open WebUI."
    )
    budget_user_calls: int = Field(0, ge=0, description="Turns of a user in a day; 0: any.")
    budget_user_tokens: int = Field(0, ge=0, description="Tokens of a user in a day; 0: any.")
    budget_tenant_calls: int = Field(0, ge=0, description="Turns of a tenant in a day; 0: any.")
    budget_tenant_tokens: int = Field(0, ge=0, description="Tokens of a tenant in a day; 0: any.")
    budget_user_bytes: int = Field(0, ge=0, description="Stored bytes of a user; 0: any.")
    budget_tenant_bytes: int = Field(0, ge=0, description="Stored bytes of a tenant; 0: any.")
    budget_tenant_memories: int = Field(0, ge=0, description="Memories of a tenant; 0: any.")
    budget_spent: Literal["refuse", "answer"] = Field(
        "refuse", description="Once it is: refuse turns, or answer on without extraction."
    )
    rate_principal: str | None = Field(
        None, description="The most requests of a principal, such as `600/minute`."
    )
    rate_user: str | None = Field(None, description="The most requests for a user.")
    cors_origins: str = Field(
        "", description="Origins that browsers may call from, separated by commas."
    )

    model: str | None = Field(
        None, description="Any init_chat_model string, or `offline`; by default what there is."
    )
    model_base_url: str | None = Field(
        None, description="An OpenAI-compatible server, such as Ollama, vLLM or LiteLLM."
    )
    model_timeout: Duration = Field(
        timedelta(seconds=60), description="For an answer, or each piece of a streamed one."
    )
    model_retries: int = Field(2, ge=0, description="How often the model's client tries again.")
    breaker_failures: int = Field(
        5, ge=0, description="Failures in a row after which a provider is left alone; 0: never."
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("ONIONSKIN_OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="Read from OPENAI_API_KEY.",
    )

    embedder: str = Field(
        "static", description="`static`, `openai`, `openai:<model>`, or a dotted path."
    )
    embedder_base_url: str | None = Field(
        None, description="An OpenAI-compatible server for the `openai` embedder."
    )
    embedder_timeout: Duration = Field(
        timedelta(seconds=2),
        description="How long a turn waits before it goes on with words alone.",
    )
    vector_store: str | None = Field(
        None, description="A vector database behind the vector layer: `qdrant`, `chroma`, a path."
    )
    vector_store_url: str = Field("", description="Its address, or a folder of its own.")
    vector_store_key: SecretStr | None = Field(None, description="Its key, where it wants one.")
    language: str = Field("english", description="The Snowball stemmer of lexical recall.")

    profile: str = Field("layered", description="The memory profile of turns that name none.")
    profiles: Path | None = Field(None, description="A TOML file of further profiles.")
    idle_timeout: Duration = Field(
        timedelta(minutes=30), description="How long a silent session still goes on."
    )
    close_after: Duration = Field(
        timedelta(days=1), description="How long a silent session stays open; 0 for ever."
    )
    carry_sessions: int = Field(5, ge=0, le=100, description="Sessions that a new one takes up.")
    longest_message: int = Field(32_768, ge=1, description="In characters.")
    largest_body: int = Field(1 << 20, ge=1024, description="Of a request, in bytes.")
    view_bytes: int = Field(
        1_000_000_000, ge=1, description="About how much memory a worker's indexes take at most."
    )
    most_memories: int = Field(
        10_000, ge=0, description="Memories that a user may have; 0 for any number."
    )
    quarantine: Literal["off", "on"] = Field(
        "off", description="Whether stored texts that read like instructions are held back."
    )
    retain_sessions: Duration = Field(
        timedelta(), description="How long a session is kept after its last message; 0 for ever."
    )
    retain_memories: Duration = Field(
        timedelta(), description="How long a memory is kept after its last change; 0 for ever."
    )
    redact: Literal["off", "stored", "model"] = Field(
        "off",
        description="Personal data: left alone, not stored, or not shown to the model either.",
    )
    fold_concurrency: int = Field(2, ge=1, description="Sessions folded at once by a worker.")
    jobs: Literal["here", "elsewhere"] = Field(
        "here", description="Whether `onionskin serve` does jobs itself, or leaves them to workers."
    )
    job_attempts: int = Field(
        10, ge=1, description="After so many failures in a row a job is given up."
    )
    job_hold: Duration = Field(
        timedelta(seconds=30), description="When another takes over what a dead worker was at."
    )
    drain_timeout: Duration = Field(
        timedelta(seconds=25), description="How long what is under way may finish at the stop."
    )
