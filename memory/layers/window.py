"""The window: the tail of the session, verbatim."""

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Section

MESSAGE_OVERHEAD_TOKENS = 4
"""What a chat format adds to each message."""


class WindowLayer:
    """Every message not yet folded into the summary, or the newest pairs where there is no summary.

    Unlike ConversationBufferWindowMemory, what leaves the window of a profile with a summary has
    always been folded first.

    Args:
        keep_pairs: pairs shown in a profile without summary; None shows all that is unfolded.
        budget_tokens: the most tokens. With a summary the overflow is folded before the turn, so
            that nothing is cut here; without one the oldest messages give way.
    """

    name = "window"

    def __init__(self, *, keep_pairs: int | None, budget_tokens: int) -> None:
        self._keep_pairs, self._budget_tokens = keep_pairs, budget_tokens

    async def load(self, turn: TurnContext) -> Section:
        """The unfolded tail, oldest first."""
        entries = turn.snapshot.unfolded
        if self._keep_pairs is not None:
            entries = newest_within(entries[-2 * self._keep_pairs :], self._budget_tokens)
        return Section(self.name, tokens=window_tokens(entries), messages=entries)


def message_tokens(entry: Entry) -> int:
    """The estimated tokens of a message in a chat."""
    return count_tokens(entry.message.content) + MESSAGE_OVERHEAD_TOKENS


def window_tokens(entries: tuple[Entry, ...]) -> int:
    """The estimated tokens of messages in a chat."""
    return sum(message_tokens(entry) for entry in entries)


def newest_within(entries: tuple[Entry, ...], budget_tokens: int) -> tuple[Entry, ...]:
    """The longest tail of `entries` that fits `budget_tokens`."""
    left = budget_tokens
    for place in range(len(entries) - 1, -1, -1):
        left -= message_tokens(entries[place])
        if left < 0:
            return entries[place + 1 :]
    return entries
