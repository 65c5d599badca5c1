"""Why a memory is believed, as it goes out over HTTP."""

from pydantic import BaseModel, Field

from memory.reasons import Reasons
from memory.store.turns import StoredTurn
from service.memory_schemas import MemoryInfo
from service.schemas import ChatMessage


class SourceTurn(BaseModel):
    """A turn that says it."""

    turn_id: str
    said: ChatMessage | None = Field(description="None once the turn was deleted.")
    replied: ChatMessage | None

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn | None) -> "SourceTurn":
        """The schema of a turn."""
        said = ChatMessage.of(turn.said) if turn else None
        replied = ChatMessage.of(turn.replied) if turn and turn.replied else None
        return cls(turn_id=turn_id, said=said, replied=replied)


class MemoryReasons(BaseModel):
    """Why a memory is believed."""

    memory: MemoryInfo
    turns: list[SourceTurn] = Field(
        description="The turn that it came from, and the latest that said it again; none for a "
        "memory that was written by hand."
    )
    supersedes: list[MemoryInfo] = Field(description="What it made untrue.")
    superseded_by: MemoryInfo | None = Field(description="What made it untrue.")

    @classmethod
    def of(cls, found: Reasons) -> "MemoryReasons":
        """The schema of the reasons."""
        newer = found.superseded_by
        return cls(
            memory=MemoryInfo.of(found.record),
            turns=[SourceTurn.of(one, turn) for one, turn in found.turns.items()],
            supersedes=[MemoryInfo.of(one) for one in found.supersedes],
            superseded_by=MemoryInfo.of(newer) if newer else None,
        )
