"""Messages of LangChain as stored ones, and back.

Tool calls are parts of an answer. Results of tools are parts of the answer that follows them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.content import InvalidToolCall
from langchain_core.messages.tool import ToolCall as LangChainCall

from onionskin.memory.answer_markup import visible_answer
from onionskin.memory.content import stored_text
from onionskin.memory.privacy.policy import PrivacyPolicy
from onionskin.memory.types.messages import (
    Answer,
    Entry,
    Message,
    ToolCall,
    ToolResult,
    ToolRound,
)

_USER_ROLES, _ASSISTANT_ROLES = ("user", "human"), ("assistant", "ai", "model")
_SYNTHETIC = "lc_source"
"""Mark of human messages that LangChain's middleware writes, in `additional_kwargs`."""
_SUMMARY_OPENINGS = (
    "Here is a summary of the conversation to date:",
    "Previous conversation summary",
    "Summary of the conversation to date:",
    "Summary of the conversation so far:",
)
"""How summaries begin that have no mark: those of older versions and of langmem."""


def is_from_user(message: BaseMessage) -> bool:
    """Whether the user wrote a message, not middleware."""
    if not isinstance(message, HumanMessage) or message.additional_kwargs.get(_SYNTHETIC):
        return False
    text = stored_text(cast("Any", message.content))
    return bool(text.strip()) and not text.startswith(_SUMMARY_OPENINGS)


def answers_in(
    messages: Sequence[BaseMessage],
    store_text: Callable[[str], str],
    *,
    at: float,
    profile: str = "",
) -> list[tuple[str, Message]]:
    """The answers, and further messages of the user, each with its id in the state.

    Results of tools belong to the answer that follows. At the end of a run, such as after a tool
    that returns directly, they form an answer of their own.

    Args:
        messages: The messages after what the user said.
        store_text: A text of an answer as it is stored.
        at: Their time, Unix seconds.
        profile: The memory profile.
    """
    found: list[tuple[str, Message]] = []
    results: list[ToolResult] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            text = store_text(stored_text(cast("Any", message.content)))
            results.append(ToolResult(message.tool_call_id, message.name or "", text))
        elif isinstance(message, AIMessage):
            answer = _answer(message, tuple(results), store_text, at=at, profile=profile)
            if answer.content.strip() or answer.calls or answer.results:
                found.append((message.id or "", answer))
            results = []
    if results:
        rest = Message("assistant", "", at, profile=profile, results=tuple(results))
        found.append((f"results:{results[-1].call_id}", rest))
    return found


def _answer(
    message: AIMessage,
    results: tuple[ToolResult, ...],
    store_text: Callable[[str], str],
    *,
    at: float,
    profile: str,
) -> Message:
    refusal = str(message.additional_kwargs.get("refusal") or "")
    text = visible_answer(stored_text(cast("Any", message.content)))
    calls = [
        *(
            (call["id"], call["name"], _arguments(call["args"], store_text))
            for call in message.tool_calls
        ),
        *(
            (call["id"], call["name"], store_text(call["args"] or ""))
            for call in message.invalid_tool_calls
        ),
    ]
    return Message(
        "assistant",
        store_text(text or refusal),
        at,
        message.name,
        profile=profile,
        calls=tuple(ToolCall(id_ or "", name or "", text) for id_, name, text in calls),
        results=results,
        refused=bool(refusal) and not text,
    )


def _arguments(arguments: Any, store_text: Callable[[str], str]) -> str:
    return json.dumps(_with_texts(arguments, store_text), ensure_ascii=False, default=str)


def _with_texts(value: Any, store_text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return store_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _with_texts(item, store_text) for name, item in items}
    if isinstance(value, list | tuple):
        return [_with_texts(item, store_text) for item in cast("Sequence[Any]", value)]
    return value


def stored_messages(
    messages: Sequence[BaseMessage],
    privacy: PrivacyPolicy,
    *,
    at: float,
    private_texts: list[str],
) -> list[Message]:
    """The messages of a conversation as they are stored.

    Args:
        messages: The messages; system messages and those of middleware are left out.
        privacy: What is stored.
        at: Their time, Unix seconds.
        private_texts: Private texts of earlier messages, which answers lose; new ones are added.
    """
    stored: list[Message] = []
    waiting: list[BaseMessage] = []

    def answers() -> list[Message]:
        texts = tuple(private_texts)
        found = answers_in(waiting, lambda text: privacy.answer_for_storage(text, texts), at=at)
        waiting.clear()
        return [message for _, message in found]

    for message in map(_as_standard, messages):
        if not is_from_user(message):
            waiting.append(message)
            continue
        stored += answers()
        prepared = privacy.prepare_message(stored_text(cast("Any", message.content)))
        private_texts += prepared.private_texts
        stored.append(Message("user", prepared.for_storage, at, message.name))
    return [*stored, *answers()]


def rounds_in(
    messages: Sequence[BaseMessage], privacy: PrivacyPolicy, private_texts: tuple[str, ...]
) -> tuple[tuple[ToolResult, ...], tuple[ToolRound, ...], Answer | None]:
    """Results of the turn before, the answers with calls, each with its results, and the last one.

    Args:
        messages: The answers to one message of the user, and results of tools.
        privacy: What is stored.
        private_texts: Private texts of the user's message, which answers lose.
    """
    found = answers_in(
        messages, lambda text: privacy.answer_for_storage(text, private_texts), at=0.0
    )
    answers = [message for _, message in found]
    if not answers:
        return (), (), None
    rounds = [
        ToolRound(answer.content, answer.calls, following.results)
        for answer, following in pairwise(answers)
    ]
    last = answers[-1]
    return answers[0].results, tuple(rounds), Answer(last.content, last.calls, last.refused)


def _as_standard(message: BaseMessage) -> BaseMessage:
    """A message with a role, or a result of a function, as a message of its own type."""
    content: Any = message.content
    if isinstance(message, FunctionMessage):
        return ToolMessage(content, tool_call_id=message.name, name=message.name)
    if not isinstance(message, ChatMessage):
        return message
    if message.role in _USER_ROLES:
        return HumanMessage(content, name=message.name)
    return AIMessage(content, name=message.name) if message.role in _ASSISTANT_ROLES else message


def to_langchain(entries: Sequence[Entry]) -> Iterator[BaseMessage]:
    """Stored messages as LangChain's: results come before the answer that they belong to."""
    for entry in entries:
        message = entry.message
        if message.role == "user":
            yield HumanMessage(message.content, name=message.author, id=entry.id)
            continue
        for result in message.results:
            id_ = f"{entry.id}:{result.call_id}"
            name = result.name or None
            yield ToolMessage(result.content, tool_call_id=result.call_id, name=name, id=id_)
        if message.content or message.calls or not message.results:
            calls, invalid = _calls(message.calls)
            yield AIMessage(
                message.content,
                tool_calls=calls,
                invalid_tool_calls=invalid,
                name=message.author,
                id=entry.id,
            )


def _calls(stored: Sequence[ToolCall]) -> tuple[list[LangChainCall], list[InvalidToolCall]]:
    """Stored calls, and those whose arguments are no JSON object."""
    calls, invalid = list[LangChainCall](), list[InvalidToolCall]()
    for call in stored:
        try:
            args = json.loads(call.arguments)
        except ValueError:
            args = None
        if isinstance(args, dict):
            arguments = cast("dict[str, Any]", args)
            calls.append(LangChainCall(name=call.name, args=arguments, id=call.id))
        else:
            invalid.append(
                InvalidToolCall(
                    type="invalid_tool_call",
                    name=call.name,
                    args=call.arguments,
                    id=call.id,
                    error=None,
                )
            )
    return calls, invalid
