"""The facts layer: preferences and pinned records always, others where they bear on the message."""

from collections.abc import Callable, Iterable

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.retrieval import EVERYTHING
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.records import Record
from onionskin.memory.types.snapshot import Section

_LINE_OVERHEAD_TOKENS = 12


class FactsLayer:
    """Records of the user: what ConversationEntityMemory keeps, but typed, searchable and editable.

    Args:
        top_k: the most records that are searched for.
        pinned_tokens: the most tokens for preferences, rules and pinned records.
        budget_tokens: the most tokens for those that were searched for.
    """

    name = "facts"

    def __init__(self, *, top_k: int, pinned_tokens: int, budget_tokens: int) -> None:
        self._top_k, self._pinned_tokens = top_k, pinned_tokens
        self._budget_tokens = budget_tokens

    async def load(self, turn: TurnContext) -> Section:
        """The records that fit the budgets."""
        if turn.records is None or not len(turn.records):
            return Section(self.name)
        recalled = _recalled(turn)
        standing = [one for one in turn.records if is_always_shown(one) and recalled(one)]
        standing.sort(key=lambda one: (not one.pinned, -one.importance, -one.updated))
        shown = _fitting(standing, self._pinned_tokens)
        found = turn.records.search(
            turn.text,
            turn.query,
            top_k=self._top_k,
            where=lambda one: not is_always_shown(one) and recalled(one),
            selection=EVERYTHING,
        )
        fitting = _fitting((one.record for one in found), self._budget_tokens)
        records = (*shown, *fitting)
        return Section(self.name, tokens=sum(map(_tokens, records)), records=records)


def _recalled(turn: TurnContext) -> Callable[[Record], bool]:
    return lambda one: (
        one.is_recalled(turn.at)
        and one.entry().id not in turn.quarantined_ids
        and not (turn.excluded_sessions and _is_from(turn.excluded_sessions, one))
    )


def _is_from(sessions: frozenset[str], record: Record) -> bool:
    """Whether it was said in these sessions, and in no other."""
    told = [one.partition(".")[0] for one in (record.source, *record.confirmed) if one]
    return bool(told) and sessions.issuperset(told)


def is_always_shown(record: Record) -> bool:
    """Whether a record is always in the prompt."""
    return record.pinned or record.kind in ("preference", "rule")


def _fitting(records: Iterable[Record], budget_tokens: int) -> tuple[Record, ...]:
    kept: list[Record] = []
    for record in records:
        if (tokens := _tokens(record)) <= budget_tokens:
            kept.append(record)
            budget_tokens -= tokens
    return tuple(kept)


def _tokens(record: Record) -> int:
    return count_tokens(record.content) + _LINE_OVERHEAD_TOKENS
