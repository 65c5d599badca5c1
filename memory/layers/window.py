"""The window layer: the newest messages of the session, always with the last exchange."""

from collections.abc import Sequence

from onionskin.memory.excerpts import cap_entries, message_tokens, shorten_entries
from onionskin.memory.layers.base import TurnContext
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Section

EXCHANGE_TOKENS = 12_000
"""Default budget of the newest exchange."""
_LONGEST_EXCHANGE = 64
"""Messages of the newest exchange that have its budget; earlier ones share the window's."""
_LONGEST_RUN = 8
"""Messages of the user in a row that count as one turn."""
_LARGEST_SHARE = 3  # a full window shortens messages that take more than a third of it


class WindowLayer:
    """Shows every message that is not in the summary yet; without a summary, the newest turns.

    The newest exchange is shown in any case: whole within a budget of its own, beyond it with head
    and tail of its longest messages. Unlike ConversationBufferWindowMemory, an earlier message
    leaves the window of a profile with a summary only after it has been summarized.

    Args:
        keep_pairs: Turns shown in a profile without a summary; None shows all messages.
        budget_tokens: Most tokens of earlier messages. With a summary, overflow is compacted before
            the turn, so that nothing is dropped here; without one, the oldest are dropped.
        exchange_tokens: Most tokens of the newest exchange.
    """

    name = "window"

    def __init__(
        self,
        *,
        keep_pairs: int | None,
        budget_tokens: int,
        exchange_tokens: int = EXCHANGE_TOKENS,
    ) -> None:
        self._keep_pairs, self._budget_tokens = keep_pairs, budget_tokens
        self._exchange_tokens = exchange_tokens

    async def load(self, turn: TurnContext) -> Section:
        """The newest messages, oldest first."""
        entries = turn.snapshot.unfolded
        if self._keep_pairs is not None:
            entries = entries[turns_start(entries, self._keep_pairs) :]
        return window_section(
            self.name,
            entries,
            budget_tokens=self._budget_tokens,
            exchange_tokens=self._exchange_tokens,
        )


def window_section(
    name: str, entries: Sequence[Entry], *, budget_tokens: int, exchange_tokens: int
) -> Section:
    """The section of a window: the newest exchange, and the earlier messages that fit.

    Args:
        name: Name of the layer.
        entries: Messages of the session, oldest first.
        budget_tokens: Most tokens of the messages before the newest exchange.
        exchange_tokens: Most tokens of the newest exchange.
    """
    start = exchange_start(entries)
    sizes = [message_tokens(entry.message) for entry in entries]
    if sum(sizes[:start]) <= budget_tokens and sum(sizes[start:]) <= exchange_tokens:
        return Section(name, tokens=sum(sizes), messages=tuple(entries))
    earlier, newest = entries[:start], entries[start:]
    earlier, cut = fit_earlier(earlier, budget_tokens)
    newest, shortened = shorten_entries(newest, exchange_tokens)
    shown = (*newest_within(earlier, budget_tokens), *newest)
    if cut:
        quoted = {entry.id for entry in shown}
        shortened = (*(entry_id for entry_id in cut if entry_id in quoted), *shortened)
    return Section(name, tokens=window_tokens(shown), messages=shown, shortened=shortened)


def fit_earlier(
    entries: Sequence[Entry], budget_tokens: int
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The messages before the newest exchange; if they are over the budget, long ones shortened.

    Returns:
        The messages, which may still be over the budget, and the ids of the shortened ones.
    """
    if window_tokens(entries) <= budget_tokens:
        return tuple(entries), ()
    return cap_entries(entries, budget_tokens // _LARGEST_SHARE)


def turns_start(entries: Sequence[Entry], turns: int) -> int:
    """The place of the first message of the last `turns` turns.

    A turn is one or more messages of the user, and the answers to them.
    """
    place = len(entries)
    for _ in range(turns):
        while place and entries[place - 1].message.role != "user":
            place -= 1
        limit = max(0, place - _LONGEST_RUN)  # an imported group chat is one run
        while place > limit and entries[place - 1].message.role == "user":
            place -= 1
    return place


def exchange_start(entries: Sequence[Entry]) -> int:
    """The place of the newest exchange: the last turn, of at most 64 messages."""
    return max(turns_start(entries, 1), len(entries) - _LONGEST_EXCHANGE)


def window_tokens(entries: Sequence[Entry]) -> int:
    """The estimated tokens of chat messages."""
    return sum(message_tokens(entry.message) for entry in entries)


def newest_within(entries: Sequence[Entry], budget_tokens: int) -> tuple[Entry, ...]:
    """The longest tail of `entries` that fits `budget_tokens`."""
    left = budget_tokens
    for place in range(len(entries) - 1, -1, -1):
        left -= message_tokens(entries[place].message)
        if left < 0:
            return tuple(entries[place + 1 :])
    return tuple(entries)
