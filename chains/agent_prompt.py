"""The request of an agent's model call, with the memories added."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from onionskin.chains.agent_turns import AgentTurn, Progress
from onionskin.chains.prompt import INSTRUCTIONS, prompt_parts
from onionskin.memory.content import is_text_part
from onionskin.memory.langchain.message_conversion import is_from_user
from onionskin.memory.layers.base import RecallResult
from onionskin.memory.layers.client_history import client_message_ids


def with_memories(
    request: ModelRequest[Any],
    turn: AgentTurn,
    recalled: RecallResult,
    *,
    text_for_model: Callable[[HumanMessage], str],
    only_window: bool,
) -> ModelRequest[Any]:
    """The request with the memories added.

    Memories that rarely change follow the agent's own instructions. Those recalled for the message
    precede it, so that the provider can cache a long prefix of the prompt.

    Args:
        request: The agent's request.
        turn: The turn.
        recalled: The memories for the turn.
        text_for_model: The text of a message as the model sees it.
        only_window: Whether the window replaces the thread's earlier messages.
    """
    if not recalled.sections:
        return request
    parts = prompt_parts(recalled)
    before, said, after = _divided(request.messages, turn)
    if only_window or not before:
        before = list(parts.window)
    if only_window:
        said = [message for message in said if is_from_user(message)]
        after = _without_orphans(after)
    *earlier, last = said
    prompts = [
        with_text(message, text_for_model(message))
        if isinstance(message, HumanMessage)
        else message
        for message in earlier
    ]
    last = cast("HumanMessage", last)
    prompt = with_text(last, parts.with_message(text_for_model(last)))
    instructions = "\n\n".join((INSTRUCTIONS, *parts.standing))
    messages = [*before, *prompts, prompt, *after]
    return request.override(
        system_message=_with_instructions(request.system_message, instructions),
        messages=cast("list[AnyMessage]", messages),
    )


def _divided(
    messages: Sequence[AnyMessage], turn: AgentTurn
) -> tuple[list[AnyMessage], list[AnyMessage], list[AnyMessage]]:
    """The messages before the user's, theirs, and those after them.

    Messages of the user that middleware removed, such as in a summary, are restored: the model
    answers them. Repeated ones are left out.
    """
    places = [
        place
        for place, message in enumerate(messages)
        if message.id in turn.ids and isinstance(message, HumanMessage)
    ]
    if not places:
        is_answer = (isinstance(message, AIMessage | ToolMessage) for message in messages)
        start = next((place for place, each in enumerate(is_answer) if each), len(messages))
        restored = [HumanMessage(each.text, name=each.author) for each in turn.said]
        return list(messages[:start]), [*restored], list(messages[start:])
    first, end = places[0], places[-1] + 1
    repeated = set(turn.ids) - {message.id for message in turn.said}
    said = [message for message in messages[first:end] if message.id not in repeated]
    return list(messages[:first]), said, list(messages[end:])


def _without_orphans(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The messages without results whose calls are missing, which providers refuse."""
    calls, kept = set[str | None](), list[AnyMessage]()
    for message in messages:
        if isinstance(message, AIMessage):
            calls |= {call["id"] for call in message.tool_calls}
        if not isinstance(message, ToolMessage) or message.tool_call_id in calls:
            kept.append(message)
    return kept


def _with_instructions(message: SystemMessage | None, text: str) -> SystemMessage:
    """The system message with `text` appended; a new one if there is none."""
    if message is None:
        return SystemMessage(text)
    if isinstance(message.content, str):
        return SystemMessage(f"{message.content}\n\n{text}")
    return SystemMessage([*message.content, {"type": "text", "text": text}])


def with_text(message: HumanMessage, text: str) -> HumanMessage:
    """The message with its text replaced; images and other parts stay."""
    content = message.content
    parts = [] if isinstance(content, str) else [part for part in content if not is_text_part(part)]
    new_content = [{"type": "text", "text": text}, *parts] if parts else text
    return message.model_copy(update={"content": new_content})


def without_own_messages(recalled: RecallResult, progress: Progress) -> RecallResult:
    """What was recalled, without messages of the turn itself, which the request shows."""
    if progress.shown_from is None:
        return recalled
    own = client_message_ids(replace(recalled.turn, shown_from=progress.shown_from))
    sections = [
        replace(
            section,
            messages=tuple(entry for entry in section.messages if entry.id not in own),
            hits=tuple(
                replace(hit, context=tuple(each for each in hit.context if each.id not in own))
                for hit in section.hits
                if hit.entry.id not in own
            ),
        )
        for section in recalled.sections
    ]
    return replace(recalled, sections=tuple(sections))
