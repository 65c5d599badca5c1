"""From a request's messages to a turn: what is said now, what was before, what is passed on."""

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

from onionskin.chains.observers import with_texts
from onionskin.chains.turn import ClientInstructions
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.service.openai.schemas import ChatCompletionMessage, CompletionRequest

_WORDLESS = "(see attachment)"
TranscriptLine = tuple[str, str]
"""Role and text of what was said."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request, taken apart.

    Attributes:
        text: what the user says now.
        history: what the client says was said before, without calls of tools.
        ask: what goes to the model beside it.
    """

    text: str
    history: tuple[TranscriptLine, ...]
    instructions: ClientInstructions


def parse_request(request: CompletionRequest) -> ParsedRequest:
    """What a request says.

    Raises:
        InvalidInputError: there is no user's message in it, or something cannot be done.
    """
    if request.n not in (None, 1):
        raise InvalidInputError("`n` must be 1: a memory holds one answer.")
    spoken = [one for one in request.messages if one.role not in ("system", "developer")]
    places = [place for place, one in enumerate(spoken) if one.role == "user"]
    if not places:
        raise InvalidInputError("`messages` hold nothing that the user says.")
    last = places[-1]
    if any(one.role == "assistant" and not one.tool_calls for one in spoken[last + 1 :]):
        raise InvalidInputError("`messages` end with an answer: there is nothing left to say.")
    said = spoken[last]
    system = tuple(one.text for one in request.messages if one.role in ("system", "developer"))
    lines = ((one.role, _text(one)) for one in spoken[:last] if _is_remembered(one))
    history = tuple(line for line in lines if line[1].strip())
    ask = ClientInstructions(
        system=tuple(filter(None, system)),
        parts=said.parts,
        tail=tuple(map(_message, spoken[last + 1 :])),
        options=request.options(),
    )
    return ParsedRequest(_text(said), history, ask)


def to_prompt(request: CompletionRequest, discretion: PrivacyPolicy) -> list[BaseMessage]:
    """The messages for what is not remembered: it is no turn, so it sees nothing private."""
    return [
        with_texts(_message(one), discretion.for_model_outside_turn) for one in request.messages
    ]


def _text(said: ChatCompletionMessage) -> str:
    """What is stored of it: a picture without a word leaves a note."""
    return said.text if said.text.strip() or not said.parts else _WORDLESS


def _is_remembered(said: ChatCompletionMessage) -> bool:
    """Whether a message is stored: what leads to a call of a tool is not, only what comes of it."""
    return said.role == "user" or (said.role == "assistant" and not said.tool_calls)


def _message(said: ChatCompletionMessage) -> BaseMessage:
    content: Any = said.content if said.content is not None else ""
    match said.role:
        case "system" | "developer":
            return SystemMessage(content)
        case "user":
            return HumanMessage(content)
        case "assistant" if not said.tool_calls:
            return AIMessage(content)
        case "tool" | "function":
            return ToolMessage(content, tool_call_id=said.tool_call_id or said.name or "")
        case _:
            plain = {"role": "assistant", "content": content, "tool_calls": said.tool_calls}
            try:
                return convert_to_messages([plain])[0]
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInputError(f"`tool_calls` cannot be read: {error}.") from error
