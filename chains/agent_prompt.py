"""What an agent's model reads: its own instructions and messages, and what is remembered."""

from typing import Any

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import HumanMessage, SystemMessage

from chains.prompt import INSTRUCTIONS, asked, parts_of
from memory.recollection import Recollection


def remembering(
    request: ModelRequest[Any],
    message: HumanMessage,
    recalled: Recollection,
    *,
    seen: str,
    bounded: bool,
) -> ModelRequest[Any]:
    """A request with what is remembered in it.

    What changes rarely follows the agent's own instructions; what was recalled for the message
    stands before it, so that a provider caches as much as it can.

    Args:
        request: the agent's.
        message: the user's, of the turn at hand.
        recalled: what is remembered for it.
        seen: the message as the model is to see it.
        bounded: whether the window stands in place of all that the thread holds before the message.
    """
    if not recalled.sections:
        return request
    parts = parts_of(recalled)
    at = next(place for place, one in enumerate(request.messages) if one is message)
    before, after = request.messages[:at], request.messages[at + 1 :]
    if bounded or not before:
        before = list(parts.window)
    whole = with_text(message, asked(parts, seen))
    standing = "\n\n".join((INSTRUCTIONS, *parts.standing))
    return request.override(
        system_message=_behind(request.system_message, standing),
        messages=[*before, whole, *after],  # pyright: ignore[reportArgumentType]
    )


def _behind(own: SystemMessage | None, text: str) -> SystemMessage:
    """Instructions with a text behind them."""
    if own is None:
        return SystemMessage(text)
    if isinstance(own.content, str):
        return SystemMessage(f"{own.content}\n\n{text}")
    return SystemMessage([*own.content, {"type": "text", "text": text}])


def with_text(message: HumanMessage, text: str) -> HumanMessage:
    """The message with another text; images and other parts stay."""
    content = message.content
    parts = [] if isinstance(content, str) else [one for one in content if not _is_text(one)]
    whole = [{"type": "text", "text": text}, *parts] if parts else text
    return message.model_copy(update={"content": whole})


def _is_text(part: str | dict[str, Any]) -> bool:
    return isinstance(part, str) or part.get("type") == "text"
