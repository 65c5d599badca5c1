"""Parses a request: the user's message, the history to store, and the messages for the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onionskin.chains.client_prompt import with_texts
from onionskin.chains.prompt import Prompt
from onionskin.chains.prompt_messages import ClientPrompt, prompt_of, to_langchain
from onionskin.chains.turn import ClientConversation, ClientInstructions
from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.content import stored_text
from onionskin.memory.errors import InvalidInputError
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import Message, ToolCall, ToolResult
from onionskin.service.openai.front_ends import Origin, front_ends
from onionskin.service.openai.schemas import ChatCompletionMessage, CompletionRequest


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A parsed request.

    Attributes:
        text: The user's own words in the message of the turn, as they are stored.
        history: Earlier messages of the conversation, as they are stored.
        answers: Answers to the message so far: calls of tools, or the answer that a library could
            not parse.
        is_corrected: Whether the next answer replaces those.
        instructions: The client's messages for the model, as sent, and arguments of the call.
        program: Instructions of a program that sends demonstrations; empty for a chat.
    """

    text: str
    history: tuple[Message, ...]
    instructions: ClientInstructions
    answers: tuple[Message, ...] = ()
    is_corrected: bool = False
    program: str = ""


def parse_request(request: CompletionRequest) -> ParsedRequest:
    """Parse the messages of a request.

    The message of the turn is the last one that the user wrote. Messages that a library wrote
    in the user's name reach the model, but are not stored.

    Raises:
        InvalidInputError: There is no user message, or a field has an unsupported value.
    """
    if request.n not in (None, 1):
        raise InvalidInputError("`n` must be 1: memory stores one answer per turn.")
    messages = request.messages
    origins: list[Origin] = [_origin(message) for message in messages]
    last = _last_of_user(messages, origins)
    sent = [message.sent for message in messages]
    for message, form in zip(messages, sent, strict=True):
        if message.tool_calls:
            to_langchain(form)  # raises for calls that no model could read
    is_program = "demonstration" in origins[:last]
    is_corrected = origins[-1] == "correction" and last < len(messages) - 1
    is_begun = messages[-1].role == "assistant" and not messages[-1].tool_calls
    end = len(messages) - 1 if is_corrected or is_begun else len(messages)
    conversation = ClientConversation(
        before=tuple(sent[:last]), message=sent[last], after=tuple(sent[last + 1 :])
    )
    return ParsedRequest(
        _words(messages[last]),
        tuple(_lines(messages[:last], origins)),
        ClientInstructions(conversation=conversation, options=request.options()),
        tuple(_lines(messages[last + 1 : end], origins[last + 1 :])),
        is_corrected,
        program="\n".join(one.text for one in messages if one.is_system) if is_program else "",
    )


def to_prompt(request: CompletionRequest, privacy: PrivacyPolicy) -> Prompt | ClientPrompt:
    """The messages of a job as a prompt, without private text: it is not a turn."""
    change = privacy.for_model_outside_turn
    return prompt_of(with_texts(message.sent, change) for message in request.messages)


def _origin(message: ChatCompletionMessage) -> Origin:
    return front_ends().origin(message.text) if message.role == "user" else "user"


def _last_of_user(messages: Sequence[ChatCompletionMessage], origins: Sequence[Origin]) -> int:
    """The place of the last message that the user wrote; else of the last in the user's name."""
    places = [place for place, message in enumerate(messages) if message.role == "user"]
    if not places:
        raise InvalidInputError("`messages` contain no user message.")
    return next((one for one in reversed(places) if origins[one] == "user"), places[-1])


def _lines(messages: Sequence[ChatCompletionMessage], origins: Sequence[Origin]) -> list[Message]:
    """The messages that belong to the conversation; results of tools are part of the answer."""
    lines, is_example = list[Message](), False
    results: tuple[ToolResult, ...] = ()
    for message, origin in zip(messages, origins, strict=False):
        if message.role == "user":
            is_example, results = origin == "demonstration", ()
        while origin == "correction" and lines and lines[-1].role == "assistant":
            lines.pop()  # the next answer replaces it
        if origin != "user" or is_example or message.is_system:
            continue
        if message.role in ("tool", "function"):
            results = (*results, _result(message))
            continue
        calls = tuple(map(_call, message.tool_calls or ()))
        text = _words(message)
        if message.role == "user" and text.strip():
            lines.append(Message("user", text, 0.0))
        elif message.role == "assistant" and (text.strip() or calls):
            lines.append(Message("assistant", text, 0.0, calls=calls, results=results))
            results = ()
    return lines


def _call(call: dict[str, Any]) -> ToolCall:
    function: dict[str, Any] = call.get("function") or {}
    arguments = str(function.get("arguments") or "")
    return ToolCall(str(call.get("id") or ""), str(function.get("name") or ""), arguments)


def _result(message: ChatCompletionMessage) -> ToolResult:
    call_id = message.tool_call_id or message.name or ""
    return ToolResult(call_id, message.name or "", message.text)


def _words(message: ChatCompletionMessage) -> str:
    """The text to store: of a user, the user's own words; of the model, its visible answer."""
    if message.role == "assistant":
        return visible_answer(stored_text(message.content))
    if message.role != "user" or not message.text.strip():
        return stored_text(message.content)
    return front_ends().own_words(message.text)
