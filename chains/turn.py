"""What goes into a turn and what comes out of it."""

from dataclasses import dataclass

from langchain_core.messages.ai import UsageMetadata, add_usage

from memory.turns import OnConflict
from memory.types import Section, User


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """What a user says.

    Attributes:
        session_id: the session to go on with; None for the latest, or a new one.
        profile: the memory profile; None for the chain's default.
        on_conflict: what to do when another turn is under way on the session; None for what the
            profile says.
        nonce: names the turn: under the same nonce it is stored once.
    """

    user: User
    message: str
    session_id: str | None = None
    profile: str | None = None
    on_conflict: OnConflict | None = None
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """The answer to a turn, or a piece of it: pieces add up to the whole.

    Attributes:
        turn_id: set once the turn is stored, and never before.
        sections: what each layer put into the prompt.
        degraded: what could not be used for this turn, by name.
        interrupted: whether a newer turn stopped it before its end.
        messages_unfolded: messages of the session that were in no summary yet.
        vectors_pending: messages of the user that waited for their vector.
    """

    reply: str = ""
    session_id: str = ""
    turn_id: str = ""
    profile: str = ""
    is_new_session: bool = False
    usage: UsageMetadata | None = None
    sections: tuple[Section, ...] = ()
    degraded: tuple[str, ...] = ()
    interrupted: bool = False
    messages_unfolded: int = 0
    vectors_pending: int = 0

    def __add__(self, other: "ChatReply") -> "ChatReply":
        return ChatReply(
            reply=self.reply + other.reply,
            session_id=other.session_id or self.session_id,
            turn_id=other.turn_id or self.turn_id,
            profile=other.profile or self.profile,
            is_new_session=self.is_new_session or other.is_new_session,
            usage=add_usage(self.usage, other.usage) if self.usage or other.usage else None,
            sections=other.sections or self.sections,
            degraded=other.degraded or self.degraded,
            interrupted=self.interrupted or other.interrupted,
            messages_unfolded=self.messages_unfolded or other.messages_unfolded,
            vectors_pending=self.vectors_pending or other.vectors_pending,
        )
