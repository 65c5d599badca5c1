"""A turn's data: the request, the prepared turn, and the reply."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.messages.tool import default_tool_parser

from onionskin.memory.combined import CombinedMemory
from onionskin.memory.content import spoken_text
from onionskin.memory.errors import (
    InvalidInputError,
    MessageTooLongError,
    UnknownProfileError,
    UnknownSessionError,
)
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.privacy.conversation_redactor import redact_metadata
from onionskin.memory.privacy.policy import PreparedMessage, PrivacyPolicy
from onionskin.memory.session_lock import OnConflict
from onionskin.memory.store import RedisStore
from onionskin.memory.time_zones import NO_ZONES, ZoneChoice
from onionskin.memory.types.messages import Message, User
from onionskin.memory.types.snapshot import Section


@dataclass(frozen=True, slots=True)
class ClientConversation:
    """The messages of a client in OpenAI's form, as it sent them.

    Attributes:
        before: The client's instructions and earlier messages.
        message: The user's message of this turn.
        after: Messages after it: calls and results of tools, or the beginning of the answer.
    """

    before: tuple[Mapping[str, Any], ...]
    message: Mapping[str, Any]
    after: tuple[Mapping[str, Any], ...] = ()

    @property
    def prefill(self) -> str:
        """The beginning of the answer, which the model continues; empty for none."""
        last = self.after[-1] if self.after else None
        if last is None or last.get("role") != "assistant" or last.get("tool_calls"):
            return ""
        return spoken_text(last.get("content"))


@dataclass(frozen=True, slots=True)
class ClientInstructions:
    """What a client adds to the prompt beside its message. None of it is stored.

    Attributes:
        system: The client's system messages, if it sends no conversation.
        conversation: The client's messages, if it sends a whole conversation.
        options: Arguments of the model call, such as `tools` and `temperature`.
    """

    system: tuple[str, ...] = ()
    conversation: ClientConversation | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


NO_INSTRUCTIONS = ClientInstructions()
_LIMITS = {"max_tokens", "max_completion_tokens"}
"""Two names of one option."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A user's message, and how it is to be answered.

    Attributes:
        session_id: The session to continue; None for the latest, or a new one.
        profile: The memory profile; None for the chain's default.
        on_conflict: What to do while another turn runs on the session; None for the profile's
            choice.
        nonce: Idempotency key of the turn: it is stored once under the same nonce.
        instructions: What the client adds to the prompt.
        new_session: Begin a new session, whatever the latest one is.
        excluded_sessions: Ids of sessions that nothing is recalled from.
        zones: The time zones that the request names.
        new_session_id: Id of the session, if it is new; random if empty.
        shown_from: Position in the session from which on the client shows the messages itself;
            None if it shows none of them.
        is_stored: Whether the turn is stored; otherwise memory is read only.
        metadata: JSON of the client, stored with the user's message; empty for none.
        keeps_markup: Whether the reply is the model's text unchanged, with its reasoning, which is
            stored in no case.
        replaces_from: Position in the session from which on the turn replaces the messages: an
            edited or regenerated message. They stay stored, but are not recalled any more.
        earlier_messages: Messages of the user before `message` that belong to the same turn.
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
    zones: ZoneChoice = NO_ZONES
    new_session_id: str = ""
    shown_from: int | None = None
    is_stored: bool = True
    keeps_markup: bool = False
    replaces_from: int | None = None
    metadata: str = ""
    earlier_messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A validated request, to whose message the profile's privacy policy was applied.

    Attributes:
        request: The request; its `message` is the text for storage.
        message: The message as the model sees it, and its private texts.
        earlier: The turn's messages before it, as the model sees them.
        profile: The name of the memory profile.
        has_private_text: Whether the model sees text that nobody else may: private spans, or all of
            a turn that is not stored.
        redacts_answer: Whether the stored answer may lack text that the sent one has.
    """

    request: TurnRequest
    message: PreparedMessage = field(repr=False)
    profile: str
    has_private_text: bool
    redacts_answer: bool
    earlier: tuple[str, ...] = field(default=(), repr=False)


def prepare_turn(
    request: TurnRequest,
    memories: Mapping[str, CombinedMemory],
    *,
    default_profile: str,
    longest_message: int,
) -> PreparedTurn:
    """The request, checked and redacted once.

    Raises:
        InvalidInputError: The message is empty, or holds a NUL character.
        MessageTooLongError: It has more than `longest_message` characters.
        UnknownProfileError: There is no such profile; the message lists the existing ones.
    """
    _check_message(request.message, longest_message)
    profile = default_profile if request.profile is None else request.profile
    privacy = memory_of(memories, profile).privacy
    message = privacy.prepare_message(request.message)
    _check_message(message.for_model, longest_message)
    is_private = message.has_private_text
    if conversation := request.instructions.conversation:
        # The whole message, with what a front end adds to it, may have more private texts.
        whole = privacy.prepare_message(spoken_text(conversation.message.get("content")))
        message = replace(message, private_texts=whole.private_texts)
        is_private = (
            is_private or whole.has_private_text or _has_personal_data(conversation, privacy)
        )
    instructions = _with_profile(request.instructions, memory_of(memories, profile))
    is_private = is_private or not request.is_stored
    earlier = [privacy.prepare_message(text) for text in request.earlier_messages]
    for one in earlier:
        _check_message(one.for_model, longest_message)
        message = replace(message, private_texts=(*message.private_texts, *one.private_texts))
        is_private = is_private or one.has_private_text
    return PreparedTurn(
        replace(
            request,
            message=message.for_storage,
            earlier_messages=tuple(one.for_storage for one in earlier),
            instructions=instructions,
            metadata=redact_metadata(request.metadata, privacy),
        ),
        message,
        profile,
        has_private_text=is_private,
        redacts_answer=is_private or privacy.redacts,
        earlier=tuple(one.for_model for one in earlier),
    )


def _with_profile(instructions: ClientInstructions, memory: CombinedMemory) -> ClientInstructions:
    """The instructions with those of the profile where the client has none of its own."""
    system, options = memory.system, memory.answer_options
    if not (system or options):
        return instructions
    own = instructions.options
    if _LIMITS & own.keys():
        options = {name: value for name, value in options.items() if name not in _LIMITS}
    conversation, given = instructions.conversation, instructions.system
    if system and conversation and not any(map(_is_system, conversation.before)):
        before = ({"role": "system", "content": system}, *conversation.before)
        conversation = replace(conversation, before=before)
    elif system and not conversation:
        given = given or (system,)
    return ClientInstructions(given, conversation, {**options, **own})


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") in {"system", "developer"}


def memory_of(memories: Mapping[str, CombinedMemory], profile: str) -> CombinedMemory:
    """The memory of a profile.

    Raises:
        UnknownProfileError: There is no such profile; the message lists the existing ones.
    """
    memory = memories.get(profile)
    if memory is None:
        known = ", ".join(sorted(memories))
        raise UnknownProfileError(f"No memory profile {profile!r}; there are: {known}.")
    return memory


def _has_personal_data(conversation: ClientConversation, privacy: PrivacyPolicy) -> bool:
    """Whether the policy would redact some of the client's other messages."""
    if not privacy.redacts:
        return False
    others = (*conversation.before, *conversation.after)
    texts = (spoken_text(message.get("content")) for message in others)
    return any(privacy.redact(text) != text for text in texts)


def _check_message(message: str, longest: int) -> None:
    if not message.strip():
        raise InvalidInputError("The message is empty. Write something.")
    if "\0" in message:
        raise InvalidInputError("The message contains a NUL character. Remove it.")
    if len(message) > longest:
        raise MessageTooLongError(
            f"The message has {len(message)} characters; the limit is {longest}. "
            "Send it in parts, or raise ONIONSKIN_LONGEST_MESSAGE."
        )


@dataclass(frozen=True, slots=True)
class TurnReply:
    """The answer to a turn, or a piece of it: pieces add up to the whole.

    Attributes:
        turn_id: Set once the turn is stored, never earlier.
        sections: What each layer put into the prompt.
        degraded: Names of components that this turn did without.
        interrupted: Whether a newer turn stopped it before its end.
        messages_unfolded: Number of messages of the session that no summary covers yet.
        vectors_pending: Number of the user's messages that have no vector yet.
        message: The model's message; pieces of a stream add up.
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


def _joined(message: AIMessage | None, other: AIMessage | None) -> AIMessage | None:
    if isinstance(message, AIMessageChunk) and isinstance(other, AIMessageChunk):
        return message + other
    return other or message


def with_prefill(instructions: ClientInstructions, reply: str) -> str:
    """The whole answer: the beginning that the client sent, and what the model added to it."""
    prefill = instructions.conversation.prefill if instructions.conversation else ""
    return reply if reply.startswith(prefill) else f"{prefill}{reply}"


def initial_reply(recalled: RecallResult, *, is_stored: bool = True) -> TurnReply:
    """The first piece of a reply: the session, unless none is stored, and what was recalled."""
    snapshot = recalled.turn.snapshot
    return TurnReply(
        session_id=snapshot.session.id if is_stored or not snapshot.is_new else "",
        profile=recalled.profile,
        is_new_session=snapshot.is_new,
        sections=recalled.sections,
        degraded=recalled.degraded,
        messages_unfolded=recalled.messages_unfolded,
        vectors_pending=recalled.vectors_pending,
    )


async def stored_reply(store: RedisStore, user: User, nonce: str) -> TurnReply | None:
    """The reply of the turn that was stored under a nonce, whose answer may have been lost.

    None where there is no such turn, or its session was deleted.
    """
    stored_turn = await store.idempotency.find_turn(user, nonce)
    if stored_turn is None or not stored_turn[1]:
        return None
    committed, (*_, answer) = stored_turn
    if answer.message.role != "assistant":
        return None  # unanswered
    try:
        session = await store.sessions.get(user, committed.session_id)
    except UnknownSessionError:
        return None
    return TurnReply(
        reply=answer.message.content,
        session_id=session.id,
        turn_id=committed.turn_id,
        profile=answer.message.profile or session.profile,
        is_new_session=committed.position == 0,
        interrupted=answer.message.interrupted,
        message=_stored_message(answer.message),
    )


def _stored_message(message: Message) -> AIMessage | None:
    """The model's message with the calls or the refusal of a stored answer; None for mere text."""
    if message.refused:
        return AIMessage("", additional_kwargs={"refusal": message.content})
    if not message.calls:
        return None
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in message.calls
    ]
    tool_calls, invalid = default_tool_parser(calls)
    return AIMessage(message.content, tool_calls=tool_calls, invalid_tool_calls=invalid)
