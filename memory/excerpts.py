"""Long texts and messages shortened to a token budget: head and tail, with a note between them.

A cut keeps combined characters together and closes an open code fence.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import Entry, Message, ToolCall, ToolResult

MESSAGE_OVERHEAD_TOKENS = 4
"""Overhead of a chat format per message."""

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)[^\n`]*$", re.MULTILINE)
_SMALLEST = 24  # below it, a note leaves no room for text
_SNAP, _JOINED = 120, 32
_JOINER, _MODIFIERS = "\u200d", ("\ufe0e", "\ufe0f", *map(chr, range(0x1F3FB, 0x1F400)))
_FLAG = range(0x1F1E6, 0x1F200)
_CALL_TOKENS = 24  # the JSON around a shortened argument


def message_tokens(message: Message) -> int:
    """The estimated tokens of one chat message, with its tool calls and results."""
    tokens = count_tokens(message.content) + MESSAGE_OVERHEAD_TOKENS
    if message.calls or message.results:
        tokens += sum(count_tokens(part) for part in _tool_texts(message))
        tokens += MESSAGE_OVERHEAD_TOKENS * (len(message.calls) + len(message.results))
    return tokens


def omitted_note(characters: int) -> str:
    """The note in place of omitted text."""
    return f"[... {characters:,} characters omitted ...]"


def shorten(text: str, budget_tokens: int) -> str:
    """`text`; if it is over the budget, its head and tail with a note of what was left out."""
    if count_tokens(text) <= budget_tokens:
        return text
    left = budget_tokens - count_tokens(f"\n```\n{omitted_note(len(text))}\n```text\n") - 2
    if left < _SMALLEST:
        return clip_tokens(text, budget_tokens)
    head = _snapped(text, _fitting(text, left // 2), back=True)
    tail = len(text) - _fitting(text[::-1][: 4 * left], left - left // 2)
    tail = max(head, _snapped(text, tail, back=False))
    closing, opening = _open_fence(text, head), _open_fence(text, tail)
    parts = [text[:head].rstrip("\n"), _marker(closing), omitted_note(tail - head)]
    parts += [opening, text[tail:].lstrip("\n")]
    return "\n".join(filter(None, parts))


def shorten_message(message: Message, budget_tokens: int) -> Message:
    """`message`; if it is over the budget, with its longest texts shortened.

    Arguments of a tool call stay valid JSON.
    """
    if message_tokens(message) <= budget_tokens:
        return message
    texts = [message.content, *_tool_texts(message)]
    overhead = message_tokens(message) - sum(map(count_tokens, texts))
    cap = level([count_tokens(text) for text in texts], budget_tokens - overhead)
    return replace(
        message,
        content=shorten(message.content, cap),
        calls=tuple(_shorten_call(call, cap) for call in message.calls),
        results=tuple(
            ToolResult(result.call_id, result.name, shorten(result.content, cap))
            for result in message.results
        ),
    )


def shorten_entries(
    entries: Sequence[Entry], budget_tokens: int
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The entries within a common budget, the longest ones shortened; and the ids of those."""
    sizes = [message_tokens(entry.message) for entry in entries]
    if sum(sizes) <= budget_tokens:
        return tuple(entries), ()
    cap = level(sizes, budget_tokens)
    return cap_entries(entries, cap)


def cap_entries(
    entries: Sequence[Entry], cap_tokens: int
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The entries, each with at most `cap_tokens`; and the ids of those that were shortened."""
    capped = tuple(
        entry
        if message_tokens(entry.message) <= cap_tokens
        else replace(entry, message=shorten_message(entry.message, cap_tokens))
        for entry in entries
    )
    pairs = zip(entries, capped, strict=True)
    return capped, tuple(entry.id for entry, shown in pairs if entry is not shown)


def level(sizes: Sequence[int], budget: int) -> int:
    """The largest cap with which the sum of `min(size, cap)` is within the budget."""
    left, count = budget, len(sizes)
    for size in sorted(sizes):
        if size * count > left:
            return max(left // count, 0)
        left, count = left - size, count - 1
    return max(sizes, default=0)


def _tool_texts(message: Message) -> list[str]:
    return [
        *(call.arguments for call in message.calls),
        *(result.content for result in message.results),
    ]


def _shorten_call(call: ToolCall, cap_tokens: int) -> ToolCall:
    if count_tokens(call.arguments) <= cap_tokens:
        return call
    left = cap_tokens - _CALL_TOKENS
    while True:
        text = shorten(call.arguments, left) if left > 0 else omitted_note(len(call.arguments))
        arguments = json.dumps({"shortened": text}, ensure_ascii=False)
        excess = count_tokens(arguments) - cap_tokens  # escaped quotes and line breaks
        if excess <= 0 or left <= 0:
            return ToolCall(call.id, call.name, arguments)
        left -= excess


def _fitting(text: str, budget_tokens: int) -> int:
    """The length of the longest beginning of `text` within the budget."""
    low, high = 0, min(len(text), 4 * budget_tokens)
    if count_tokens(text[:high]) <= budget_tokens:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        fits = count_tokens(text[:middle]) <= budget_tokens
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _snapped(text: str, place: int, *, back: bool) -> int:
    """A nearby end of a line or a word before `place`, or after it; never within a character.

    Args:
        text: The whole text.
        place: Where a cut is possible within the budget.
        back: Whether the cut may only move towards the beginning.
    """
    near = text[place - _SNAP : place] if back else text[place : place + _SNAP]
    for separator in ("\n", " "):
        found = near.rfind(separator) if back else near.find(separator)
        if found >= 0:
            return place - len(near) + found + 1 if back else place + found + 1
    step, moved = (-1 if back else 1), place
    for _ in range(_JOINED):
        if not 0 < moved < len(text) or not _joins(text, moved):
            return moved
        moved += step
    return place


def _joins(text: str, place: int) -> bool:
    """Whether the characters before and after a place are shown as one."""
    before, after = text[place - 1], text[place]
    if _JOINER in {before, after} or after in _MODIFIERS or unicodedata.combining(after):
        return True
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return True
    if ord(before) not in _FLAG or ord(after) not in _FLAG:
        return False
    first = place - 1
    while first and ord(text[first - 1]) in _FLAG:
        first -= 1
    return bool((place - first) % 2)


def _open_fence(text: str, upto: int) -> str:
    """The line that opened the code fence around a place; empty outside of one."""
    opened = ""
    if "```" not in text and "~~~" not in text:
        return opened
    for fence in _FENCE.finditer(text, 0, upto):
        if not opened:
            opened = fence[0]
        elif fence[0].strip().startswith(_marker(opened)):
            opened = ""
    return opened


def _marker(fence: str) -> str:
    """The closing marker of a fence."""
    found = re.match(r"\s*(```+|~~~+)", fence)
    return found[1] if found else ""
