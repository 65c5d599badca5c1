"""Quarantine as it comes in and goes out over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from memory.types import Entry
from service.memory_schemas import Body
from service.schemas import utc

HeldId = Annotated[str, Field(pattern=r"^(s_[0-9a-f]{16}:[0-9]{1,9}|m_[0-9a-f]{16})$")]


class HeldText(BaseModel):
    """A message or a memory that is kept, but shown to no model."""

    id: str = Field(description="`<session id>:<position>` of a message, or the id of a memory.")
    kind: Literal["message", "memory"]
    content: str
    at: datetime

    @classmethod
    def of(cls, entry: Entry) -> "HeldText":
        """The schema of what is held."""
        memory = entry.session_id.startswith("m_")
        return cls(
            id=entry.session_id if memory else entry.id,
            kind="memory" if memory else "message",
            content=entry.message.content,
            at=utc(entry.message.at),
        )


class Held(BaseModel):
    """All that is held of a user, the latest first."""

    held: list[HeldText]


class ReleaseRequest(Body):
    """What to release."""

    ids: list[HeldId] = Field(min_length=1, max_length=100)


class Released(BaseModel):
    """How many were released now."""

    released: int
