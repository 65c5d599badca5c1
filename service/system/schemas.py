"""Response bodies about the service; without addresses and secrets."""

from typing import Literal

from pydantic import BaseModel, Field

from onionskin.memory.profiles import Profile

RedisKind = Literal["embedded", "server", "sentinel", "cluster"]


class Health(BaseModel):
    """Health of the service."""

    status: Literal["ok"]


class ModelInUse(BaseModel):
    """The chat model."""

    name: str = Field(examples=["gpt-5-mini"])
    offline: bool = Field(description="Whether it is the offline model, which only quotes memory.")


class RedisInUse(BaseModel):
    """The Redis server."""

    kind: RedisKind
    server: str = Field(description="Name and version; empty if Redis denies `INFO`.")


class ProfileInUse(BaseModel):
    """A memory profile for turns."""

    name: str
    layers: list[str]
    budgets: dict[str, int] = Field(description="Maximum tokens of each layer that has a limit.")

    @classmethod
    def of(cls, name: str, profile: Profile) -> "ProfileInUse":
        """The schema of a profile."""
        return cls(name=name, layers=list(profile.layers), budgets=profile.budgets)


class Caller(BaseModel):
    """The caller."""

    tenant: str
    user_id: str | None = Field(
        description="The only user that the caller may access; null for all users."
    )


class Demo(BaseModel):
    """Data for the continuity demonstration; present only with `ONIONSKIN_DEMO`."""

    pid: int = Field(description="Id of the answering process.")


class About(BaseModel):
    """The parts that the service uses."""

    version: str
    model: ModelInUse
    embedder: str
    redis: RedisInUse
    profiles: list[ProfileInUse]
    default_profile: str
    auth: Literal["off", "keys", "jwt"]
    quarantine: bool = Field(
        description="Whether texts that read like instructions are quarantined."
    )
    caller: Caller
    demo: Demo | None


class KillRequest(BaseModel):
    """The process to kill, so that no other process is hit."""

    pid: int = Field(description="Process id from `/v1/about`.")


class Killing(BaseModel):
    """The processes that are killed after this answer."""

    pid: int
    redis_pid: int | None = Field(
        description="Process id of the embedded Redis, which is killed too."
    )
