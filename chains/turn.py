"""What goes into a turn and what comes out of it.

The reply of a turn that was stored, though its answer may have been lost on the way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from onionskin.memory.errors import InvalidInputError, MessageTooLongError, UnknownSessionError
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.privacy.policy import PreparedMessage
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.store import RedisStore
from onionskin.memory.store.idempotency import find_turn
from onionskin.memory.store.transcripts import get_session
from onionskin.memory.types.messages import User
from onionskin.memory.types.snapshot import Section


@dataclass(frozen=True, slots=True)
class ClientInstructions:
    """What a client wants put before the model beside its message; none of it is stored.

    Attributes:
        system: instructions of the client's.
        parts: of the message beside its text, such as images.
        tail: what came after the message: calls of tools, and their results.
        options: arguments of the model call, such as `tools` and `temperature`.
    """

    system: tuple[str, ...] = ()
    parts: tuple[dict[str, Any], ...] = ()
    tail: tuple[BaseMessage, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


NO_INSTRUCTIONS = ClientInstructions()
"""Nothing beside the message."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What a user says.

    Attributes:
        session_id: the session to go on with; None for the latest, or a new one.
        fresh: begin a new session, whatever the latest one is.
        profile: the memory profile; None for the chain's default.
        on_conflict: what to do when another turn is under way on the session; None for what the
            profile says.
        nonce: names the turn: under the same nonce it is stored once.
        ask: what goes to the model beside the message.
        apart_from: sessions that nothing is recalled of.
        said: what the chain makes of the message; then `message` is what is kept of it.
    """

    user: User
    message: str
    session_id: str | None = None
    profile: str | None = None
    on_conflict: OnConflict | None = None
    nonce: str = ""
    instructions: ClientInstructions = NO_INSTRUCTIONS
    new_session: bool = False
    excluded_sessions: tuple[str, ...] = ()
    prepared: PreparedMessage | None = field(default=None, repr=False)

    @property
    def has_private_text(self) -> bool:
        """Whether the model sees something of it that nobody else may."""
        return self.prepared is not None and self.prepared.has_private_text


@dataclass(frozen=True, slots=True)
class TurnReply:
    """The answer to a turn, or a piece of it: pieces add up to the whole.

    Attributes:
        turn_id: set once the turn is stored, and never before.
        sections: what each layer put into the prompt.
        degraded: what could not be used for this turn, by name.
        interrupted: whether a newer turn stopped it before its end.
        messages_unfolded: messages of the session that were in no summary yet.
        vectors_pending: messages of the user that waited for their vector.
        message: as the model gave it; pieces of a stream add up. A turn that ends in calls of tools
            is not stored: it has no `turn_id`.
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
    message: AIMessage | None = None

    def __add__(self, other: "TurnReply") -> "TurnReply":
        return TurnReply(
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
            message=_joined(self.message, other.message),
        )


def _joined(one: AIMessage | None, other: AIMessage | None) -> AIMessage | None:
    if isinstance(one, AIMessageChunk) and isinstance(other, AIMessageChunk):
        return one + other
    return other or one


def initial_reply(recollection: RecallResult) -> TurnReply:
    """The first piece of a reply: the session, and what was recalled."""
    snapshot = recollection.turn.snapshot
    return TurnReply(
        session_id=snapshot.session.id,
        profile=recollection.profile,
        is_new_session=snapshot.is_new,
        sections=recollection.sections,
        degraded=recollection.degraded,
        messages_unfolded=recollection.messages_unfolded,
        vectors_pending=recollection.vectors_pending,
    )


def check_message(message: str, longest: int) -> None:
    """Refuse a message that cannot be a turn.

    Raises:
        InvalidInputError: it is empty, or holds a NUL character.
        MessageTooLongError: it has more than `longest` characters.
    """
    if not message.strip():
        raise InvalidInputError("The message is empty. Say something.")
    if "\0" in message:
        raise InvalidInputError("The message holds a NUL character. Take it out.")
    if len(message) > longest:
        raise MessageTooLongError(
            f"The message has {len(message)} characters; {longest} are allowed. "
            "Send it in parts, or raise ONIONSKIN_LONGEST_MESSAGE."
        )


async def stored_reply(store: RedisStore, user: User, nonce: str) -> TurnReply | None:
    """The reply of the turn that was committed under a nonce; None if there is none."""
    found = await find_turn(store, user, nonce)
    if found is None or len(found[1]) < 2:  # noqa: PLR2004 - a turn is a pair
        return None
    committed, (_, replied) = found
    try:
        session = await get_session(store, user, committed.session_id)
    except UnknownSessionError:
        return None
    return TurnReply(
        reply=replied.message.content,
        session_id=session.id,
        turn_id=committed.turn_id,
        profile=replied.message.profile or session.profile,
        is_new_session=committed.position == 0,
        interrupted=replied.message.interrupted,
    )
