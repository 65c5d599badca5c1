"""Content parts of messages as text, the same for every protocol and class."""

from collections.abc import Mapping, Sequence
from typing import Any

NO_TEXT = "(see attachment)"
"""Stored in place of a message that has parts, but no text."""
_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})


def stored_text(content: str | Sequence[str | Mapping[str, Any]] | None) -> str:
    """The text of a message as it is stored; `NO_TEXT` for attachments alone.

    Texts of several parts are joined with line breaks. Other parts, such as images, are left out.

    Args:
        content: The content of a message of OpenAI's protocol or of LangChain.
    """
    text = spoken_text(content)
    has_parts = bool(content) and not isinstance(content, str)
    return text if text.strip() or not has_parts else NO_TEXT


def spoken_text(content: str | Sequence[str | Mapping[str, Any]] | None) -> str:
    """As `stored_text`, but empty for attachments alone."""
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(text for text in map(_part_text, content) if text)


def is_text_part(part: str | Mapping[str, Any]) -> bool:
    """Whether a part is text, not an attachment."""
    return isinstance(part, str) or str(part.get("type")) in _TEXT_TYPES


def _part_text(part: str | Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    if part.get("type") == "refusal":
        return str(part.get("refusal") or "")
    return str(part.get("text") or "") if is_text_part(part) else ""
