"""Parses the messages of a request: the user's message, the history, and the rest for the model."""

from dataclasses import dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from onionskin.chains.prompt import with_texts
from onionskin.chains.turn import ClientInstructions
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.service.openai.schemas import ChatCompletionMessage, CompletionRequest

_NO_TEXT = "(see attachment)"
TranscriptLine = tuple[str, str]
"""Role and text of a message."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A parsed request.

    Attributes:
        text: Text of the user's new message.
        history: Earlier messages as the client has them, without tool calls.
        instructions: What the model gets besides the message, unchanged.
    """

    text: str
    history: tuple[TranscriptLine, ...]
    instructions: ClientInstructions


def parse_request(request: CompletionRequest) -> ParsedRequest:
    """Parse the messages of a request.

    Raises:
        InvalidInputError: No user message needs an answer, or a field has an unsupported value.
    """
    if request.n not in (None, 1):
        raise InvalidInputError("`n` must be 1: memory stores one answer per turn.")
    system = tuple(message.text for message in request.messages if _is_system(message))
    messages = [message for message in request.messages if not _is_system(message)]
    user_positions = [
        position for position, message in enumerate(messages) if message.role == "user"
    ]
    if not user_positions:
        raise InvalidInputError("`messages` contain no user message.")
    last = user_positions[-1]
    user_message, tail = messages[last], messages[last + 1 :]
    if any(message.role == "assistant" and not message.tool_calls for message in tail):
        raise InvalidInputError("`messages` end with an answer: add a user message.")
    lines = ((message.role, _text(message)) for message in messages[:last] if _is_stored(message))
    instructions = ClientInstructions(
        system=tuple(filter(None, system)),
        parts=user_message.parts,
        tail=tuple(map(_to_langchain, tail)),
        options=request.options(),
    )
    history = tuple((role, text) for role, text in lines if text.strip())
    return ParsedRequest(_text(user_message), history, instructions)


def to_prompt(request: CompletionRequest, privacy: PrivacyPolicy) -> list[BaseMessage]:
    """The messages of an auxiliary request as a prompt, without private text: it is not a turn."""
    return [
        with_texts(_to_langchain(message), privacy.for_model_outside_turn)
        for message in request.messages
    ]


def _is_system(message: ChatCompletionMessage) -> bool:
    return message.role in ("system", "developer")


def _is_stored(message: ChatCompletionMessage) -> bool:
    """Whether a message is stored: user messages and answers, but no tool calls and results."""
    return message.role == "user" or (message.role == "assistant" and not message.tool_calls)


def _text(message: ChatCompletionMessage) -> str:
    """The text to store; a message with only attachments gets a placeholder."""
    return message.text if message.text.strip() or not message.parts else _NO_TEXT


def _to_langchain(message: ChatCompletionMessage) -> BaseMessage:
    content: Any = message.content if message.content is not None else ""
    match message.role:
        case "system" | "developer":
            return SystemMessage(content)
        case "user":
            return HumanMessage(content)
        case "assistant" if not message.tool_calls:
            return AIMessage(content)
        case "tool" | "function":
            return ToolMessage(content, tool_call_id=message.tool_call_id or message.name or "")
        case _:
            fields = {"role": "assistant", "content": content, "tool_calls": message.tool_calls}
            try:
                return convert_to_messages([fields])[0]
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInputError(f"`tool_calls` cannot be read: {error}.") from error
