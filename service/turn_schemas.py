"""A turn, and what the model was shown for it."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

from memory.store.turns import StoredTurn
from memory.traces import LayerTrace
from memory.types import Entry
from service.schemas import ChatMessage


class ShownHit(BaseModel):
    """A recalled message, and why."""

    id: str
    score: float
    parts: dict[str, float] = Field(description="What the score is the sum of.")
    context: list[str] = Field(description="Ids of the messages shown with it.")
    message: ChatMessage | None = Field(description="None once it was deleted.")


class ShownLayer(BaseModel):
    """What one layer had put into the prompt."""

    layer: str
    tokens: int = Field(description="Estimated.")
    messages: list[str] = Field(description="Ids of the messages shown verbatim.")
    summary: str
    earlier_sessions: list[str]
    recalled: list[ShownHit]
    records: list[str] = Field(description="Ids of the memories shown.")

    @classmethod
    def of(cls, layer: LayerTrace, entries: Mapping[str, Entry]) -> "ShownLayer":
        """The schema of a layer's trace."""
        return cls(
            layer=layer.layer,
            tokens=layer.tokens,
            messages=list(layer.messages),
            summary=layer.text,
            earlier_sessions=list(layer.sessions),
            recalled=[
                ShownHit(
                    id=hit.id,
                    score=hit.score,
                    parts=hit.parts,
                    context=list(hit.context),
                    message=ChatMessage.of(entries[hit.id]) if hit.id in entries else None,
                )
                for hit in layer.hits
            ],
            records=list(layer.records),
        )


class TurnInfo(BaseModel):
    """A turn."""

    turn_id: str
    session_id: str
    said: ChatMessage
    replied: ChatMessage | None
    shown: list[ShownLayer] | None = Field(
        description="What the model was shown, layer by layer; None once that is no longer kept."
    )

    @classmethod
    def of(cls, turn_id: str, turn: StoredTurn, entries: Mapping[str, Entry]) -> "TurnInfo":
        """The schema of a turn, with the messages that it recalled."""
        layers = turn.layers
        return cls(
            turn_id=turn_id,
            session_id=turn.said.session_id,
            said=ChatMessage.of(turn.said),
            replied=ChatMessage.of(turn.replied) if turn.replied else None,
            shown=None if layers is None else [ShownLayer.of(one, entries) for one in layers],
        )
