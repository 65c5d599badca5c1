"""What a service says of itself over HTTP: no address, no secret."""

from typing import Literal

from pydantic import BaseModel, Field

from onionskin.memory.profiles import Profile

RedisKind = Literal["embedded", "server", "sentinel", "cluster"]


class Health(BaseModel):
    """Whether the service is well."""

    status: Literal["ok"]


class ModelInUse(BaseModel):
    """The chat model that answers."""

    name: str = Field(examples=["gpt-5-mini"])
    offline: bool = Field(description="Whether it only quotes what is remembered.")


class RedisInUse(BaseModel):
    """The Redis that holds everything."""

    kind: RedisKind
    server: str = Field(description="Name and version; empty where it may not be asked.")


class ProfileInUse(BaseModel):
    """A memory profile that turns may name."""

    name: str
    layers: list[str]
    budgets: dict[str, int] = Field(description="The most tokens of each layer that has a bound.")

    @classmethod
    def of(cls, name: str, profile: Profile) -> "ProfileInUse":
        """The schema of a profile."""
        return cls(name=name, layers=list(profile.layers), budgets=profile.budgets)


class Caller(BaseModel):
    """Who asks."""

    tenant: str
    user_id: str | None = Field(description="The one user that is reached; None for all.")


class Demo(BaseModel):
    """What the continuity demonstration needs to know; there only with `ONIONSKIN_DEMO`."""

    pid: int = Field(description="Of the process that answers.")


class About(BaseModel):
    """What is in use."""

    version: str
    model: ModelInUse
    embedder: str
    redis: RedisInUse
    profiles: list[ProfileInUse]
    default_profile: str
    auth: Literal["off", "keys", "jwt"]
    quarantine: bool = Field(description="Whether texts that read like instructions are held back.")
    caller: Caller
    demo: Demo | None


class KillRequest(BaseModel):
    """Which process is meant, so that no other one is hit."""

    pid: int = Field(description="As `/v1/about` told it.")


class Killing(BaseModel):
    """What dies as soon as this is read."""

    pid: int
    redis_pid: int | None = Field(description="Of the embedded Redis, which dies with it.")
