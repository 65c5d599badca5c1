"""The prompt of a client that sends its whole conversation: its messages as sent, and the memory.

The client's messages are in OpenAI's form. A model of that protocol gets them with all their
fields, which LangChain's messages would drop; other models get LangChain's messages.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, cast

from onionskin.chains.prompt import INSTRUCTIONS, MESSAGE_FOLLOWS, prompt_parts
from onionskin.chains.prompt_messages import ClientPrompt, Prompt, SentMessage, prompt_of
from onionskin.chains.turn import ClientConversation
from onionskin.memory.content import spoken_text
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.privacy.policy import PrivacyPolicy

_SYSTEM_ROLES = ("system", "developer")


def build_client_prompt(
    recalled: RecallResult, conversation: ClientConversation, privacy: PrivacyPolicy
) -> Prompt | ClientPrompt:
    """The client's messages, and what the memory adds to them.

    Memories that rarely change follow the client's instructions. Those recalled for the message
    precede its text. If the profile limits the history, the window replaces the client's earlier
    messages.

    Args:
        recalled: What was recalled for the turn.
        conversation: The client's messages.
        privacy: The policy for texts that the model sees.
    """
    before = [_without_private(message, privacy) for message in conversation.before]
    after = [_without_private(message, privacy) for message in conversation.after]
    message = with_texts(conversation.message, lambda text: privacy.prepare_message(text).for_model)
    system = list(takewhile(is_system, before))
    history = before[len(system) :]
    if recalled.turn.shown_from is None:
        system, history = [sent for sent in before if is_system(sent)], []
    if recalled.sections:
        parts = prompt_parts(recalled)
        texts = [privacy.for_model(text) for text in (INSTRUCTIONS, *parts.standing)]
        system = _with_instructions(system, "\n\n".join(texts))
        window = [with_texts(line, privacy.for_model) for line in parts.window.sent]
        history = [*window, *history]
        message = _with_recalled(message, "\n\n".join(map(privacy.for_model, parts.recalled)))
    return prompt_of([*system, *history, message, *after])


def client_texts(conversation: ClientConversation) -> Iterator[str]:
    """The texts of the user's message, part by part."""
    content = conversation.message.get("content")
    parts = [content] if isinstance(content, str) else content or []
    return (spoken_text([part]) for part in parts)


def is_system(message: SentMessage) -> bool:
    """Whether a message is an instruction of the client."""
    return message.get("role") in _SYSTEM_ROLES


def with_texts(message: SentMessage, change: Callable[[str], str]) -> SentMessage:
    """The message with its texts changed and its other parts unchanged."""
    content: Any = message.get("content")
    changed = dict(message)
    if isinstance(content, str):
        changed["content"] = change(content)
    elif isinstance(content, list):
        parts = cast("list[Any]", content)
        changed["content"] = [_part(part, change) for part in parts]
    if isinstance(reasoning := message.get("reasoning_content"), str):
        changed["reasoning_content"] = change(reasoning)
    if calls := message.get("tool_calls"):
        changed["tool_calls"] = [_call(call, change) for call in calls]
    return changed


def _without_private(message: SentMessage, privacy: PrivacyPolicy) -> SentMessage:
    """The message without the user's private spans, and as the policy lets the model see it."""
    is_user = message.get("role") == "user"
    return with_texts(message, privacy.for_model_outside_turn if is_user else privacy.for_model)


def _with_instructions(system: list[SentMessage], text: str) -> list[SentMessage]:
    """The client's instructions, followed by a text."""
    if not system:
        return [{"role": "system", "content": text}]
    *others, last = system
    return [*others, {**last, "content": _joined(last.get("content"), text)}]


def _joined(content: Any, text: str) -> Any:
    if isinstance(content, list):
        return [*cast("list[Any]", content), {"type": "text", "text": text}]
    return f"{content}\n\n{text}" if content else text


def _with_recalled(message: SentMessage, recalled: str) -> SentMessage:
    """The user's message, preceded by what was recalled for it; its parts stay as they are."""
    content: Any = message.get("content")
    text = f"{recalled}\n\n{MESSAGE_FOLLOWS}"
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        return {**message, "content": [{"type": "text", "text": text}, *parts]}
    return {**message, "content": f"{text}\n{content or ''}"}


def _part(part: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(part, dict):
        return part
    fields = cast("dict[str, Any]", part)
    text = fields.get("text")
    return {**fields, "text": change(text)} if isinstance(text, str) else fields


def _call(call: Any, change: Callable[[str], str]) -> Any:
    fields = cast("dict[str, Any]", call)
    function: dict[str, Any] = fields.get("function") or {}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        return fields
    return {**fields, "function": {**function, "arguments": change(arguments)}}
