"""Prompts as sequences of chat messages, in the cheapest form that keeps all their fields."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any, Literal, TypeAlias, overload

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from onionskin.memory.errors import InvalidInputError
from onionskin.memory.types.messages import Entry, Message, ToolCall, ToolResult

Role: TypeAlias = Literal["system", "user", "assistant"]
SentMessage: TypeAlias = Mapping[str, Any]
"""A message in OpenAI's form."""
_PLAIN_FIELDS = {"role", "content"}
_PLAIN_ROLES = ("system", "user", "assistant")


class Prompt(Sequence[BaseMessage]):
    """Chat messages that consist of a role and a text each.

    Any chat model accepts it as a sequence of messages, which are built on access. A model that
    sends roles and texts alone reads `lines`: building LangChain's messages is the costliest step.

    Args:
        lines: Roles and texts, in order.
    """

    def __init__(self, lines: Iterable[tuple[Role, str]] = ()) -> None:
        self.lines = tuple(lines)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def sent(self) -> tuple[SentMessage, ...]:
        """The messages in OpenAI's form."""
        return tuple({"role": role, "content": text} for role, text in self.lines)

    @overload
    def __getitem__(self, place: int) -> BaseMessage: ...
    @overload
    def __getitem__(self, place: slice) -> list[BaseMessage]: ...
    def __getitem__(self, place: int | slice) -> BaseMessage | list[BaseMessage]:
        if isinstance(place, slice):
            return [_message(*line) for line in self.lines[place]]
        return _message(*self.lines[place])

    def __iter__(self) -> Iterator[BaseMessage]:
        return starmap(_message, self.lines)


def _message(role: Role, text: str) -> BaseMessage:
    if role == "assistant":
        return AIMessage(text)
    return HumanMessage(text) if role == "user" else SystemMessage(text)


class ClientPrompt(Sequence[BaseMessage]):
    """Messages in OpenAI's form, as a sequence of LangChain's, which are built on access.

    Args:
        sent: The messages, in order.
    """

    def __init__(self, sent: Iterable[SentMessage]) -> None:
        self.sent = tuple(sent)

    def __len__(self) -> int:
        return len(self.sent)

    @overload
    def __getitem__(self, place: int) -> BaseMessage: ...
    @overload
    def __getitem__(self, place: slice) -> list[BaseMessage]: ...
    def __getitem__(self, place: int | slice) -> BaseMessage | list[BaseMessage]:
        if isinstance(place, slice):
            return [to_langchain(message) for message in self.sent[place]]
        return to_langchain(self.sent[place])

    def __iter__(self) -> Iterator[BaseMessage]:
        return map(to_langchain, self.sent)


def prompt_of(sent: Iterable[SentMessage]) -> Prompt | ClientPrompt:
    """The messages as a prompt, in the cheapest form that keeps all their fields."""
    messages = tuple(sent)
    if all(map(_is_plain, messages)):
        return Prompt((message["role"], message["content"]) for message in messages)
    return ClientPrompt(messages)


def to_langchain(message: SentMessage) -> BaseMessage:
    """The message as LangChain's, without fields that LangChain does not know.

    Raises:
        InvalidInputError: The calls of tools cannot be read.
    """
    content: Any = message.get("content")
    content = content if content is not None else ""
    name = message.get("name")
    match message.get("role"):
        case "system" | "developer":
            return SystemMessage(content)
        case "user":
            return HumanMessage(content, name=name)
        case "assistant" if not message.get("tool_calls"):
            return AIMessage(content, name=name, additional_kwargs=_reasoning(message))
        case "tool" | "function":
            return ToolMessage(content, tool_call_id=str(message.get("tool_call_id") or name or ""))
        case _:
            fields = {"role": "assistant", "content": content, "tool_calls": message["tool_calls"]}
            try:
                (converted,) = convert_to_messages([fields])
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInputError(f"`tool_calls` cannot be read: {error}.") from error
            converted.additional_kwargs |= _reasoning(message)
            return converted


def window_of(entries: Sequence[Entry]) -> Prompt | ClientPrompt:
    """The messages of a session as chat messages, with tool calls and their results."""
    if not [entry for entry in entries if entry.message.calls or entry.message.results]:
        return Prompt([_spoken(entry.message) for entry in entries])
    return ClientPrompt(_with_tools([entry.message for entry in entries]))


def _with_tools(messages: Sequence[Message]) -> Iterator[SentMessage]:
    """The messages in OpenAI's form.

    Providers refuse a call without its result and a result without its call; those become text.
    """
    shown: tuple[ToolResult, ...] = ()
    for place, message in enumerate(messages):
        if message.role == "user":
            role, text = _spoken(message)
            yield {"role": role, "content": text}
            continue
        is_orphan = message.results and message.results is not shown
        content = replace(message, calls=()).readable if is_orphan else message.content
        following = (one for one in messages[place + 1 :] if one.role == "assistant")
        results = next(following, message).results if message.calls else ()
        if not _are_complete(message.calls, results):
            text = replace(message, content=content, results=()).readable
            if text:
                yield {"role": "assistant", "content": text}
            continue
        shown = results
        calls = list(map(_call, message.calls))
        yield {"role": "assistant", "content": content or None, "tool_calls": calls}
        by_id = {result.call_id: result for result in results}
        for call in message.calls:
            result = by_id[call.id].content
            yield {"role": "tool", "tool_call_id": call.id, "content": result}


def _are_complete(calls: Sequence[ToolCall], results: Sequence[ToolResult]) -> bool:
    """Whether every call can be sent, together with its result."""
    ids = {call.id for call in calls}
    if not calls or "" in ids or len(ids) < len(calls):
        return False
    return ids <= {result.call_id for result in results} and all(map(_has_object, calls))


def _has_object(call: ToolCall) -> bool:
    try:
        return isinstance(json.loads(call.arguments or "{}"), dict)
    except ValueError:
        return False


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _spoken(message: Message) -> tuple[Role, str]:
    if message.role == "assistant":
        return "assistant", message.content
    return "user", f"{message.author}: {message.content}" if message.author else message.content


def _reasoning(message: SentMessage) -> dict[str, Any]:
    reasoning = message.get("reasoning_content")
    return {"reasoning_content": reasoning} if reasoning else {}


def _is_plain(message: SentMessage) -> bool:
    return (
        set(message) == _PLAIN_FIELDS
        and isinstance(message["content"], str)
        and message["role"] in _PLAIN_ROLES
    )
