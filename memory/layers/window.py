"""The window layer: the newest messages of the session, in full."""

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Section

MESSAGE_OVERHEAD_TOKENS = 4
"""Overhead of a chat format per message."""


class WindowLayer:
    """Shows every message that is not in the summary yet; without a summary, the newest pairs.

    Unlike ConversationBufferWindowMemory, a message leaves the window of a profile with a summary
    only after it has been summarized.

    Args:
        keep_pairs: Pairs shown in a profile without a summary; None shows all messages.
        budget_tokens: Most tokens. With a summary, overflow is compacted before the turn, so that
            nothing is cut here; without one, the oldest messages are dropped.
    """

    name = "window"

    def __init__(self, *, keep_pairs: int | None, budget_tokens: int) -> None:
        self._keep_pairs, self._budget_tokens = keep_pairs, budget_tokens

    async def load(self, turn: TurnContext) -> Section:
        """The newest messages, oldest first."""
        entries = turn.snapshot.unfolded
        if self._keep_pairs is not None:
            entries = newest_within(entries[-2 * self._keep_pairs :], self._budget_tokens)
        return Section(self.name, tokens=window_tokens(entries), messages=entries)


def message_tokens(entry: Entry) -> int:
    """The estimated tokens of one chat message."""
    return count_tokens(entry.message.content) + MESSAGE_OVERHEAD_TOKENS


def window_tokens(entries: tuple[Entry, ...]) -> int:
    """The estimated tokens of chat messages."""
    contents = sum(count_tokens(entry.message.content) for entry in entries)
    return contents + MESSAGE_OVERHEAD_TOKENS * len(entries)


def newest_within(entries: tuple[Entry, ...], budget_tokens: int) -> tuple[Entry, ...]:
    """The longest tail of `entries` that fits `budget_tokens`."""
    left = budget_tokens
    for place in range(len(entries) - 1, -1, -1):
        left -= message_tokens(entries[place])
        if left < 0:
            return entries[place + 1 :]
    return entries
