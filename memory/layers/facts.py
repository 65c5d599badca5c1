"""The facts layer: preferences, rules and pinned records always, other records if relevant."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.retrieval import EVERYTHING
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.records import Record
from onionskin.memory.types.snapshot import Section

_LINE_OVERHEAD_TOKENS = 12


class FactsLayer:
    """Shows records of the user: like ConversationEntityMemory, but typed, searchable, editable.

    Args:
        top_k: Most records that are searched for.
        pinned_tokens: Most tokens for preferences, rules and pinned records.
        budget_tokens: Most tokens for the records that were searched for.
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
        always = [record for record in turn.records if record.is_always_shown and recalled(record)]
        always.sort(key=lambda record: (not record.pinned, -record.importance, -record.updated))
        hits = turn.records.search(
            turn.text,
            turn.query,
            top_k=self._top_k,
            where=lambda record: not record.is_always_shown and recalled(record),
            selection=replace(EVERYTHING, today=turn.today),
        )
        records = _fitting(always, self._pinned_tokens)
        records += _fitting((hit.record for hit in hits), self._budget_tokens)
        return Section(self.name, tokens=sum(map(_tokens, records)), records=records)


def _recalled(turn: TurnContext) -> Callable[[Record], bool]:
    return lambda record: (
        record.is_current(turn.at, turn.quarantined_ids)
        and not (turn.excluded_sessions and _is_from(turn.excluded_sessions, record))
        and not (turn.begin is not None and _is_own(turn, record))
    )


def _is_from(sessions: frozenset[str], record: Record) -> bool:
    """Whether all source turns of a record are in `sessions`."""
    return record.is_drawn_only_from(lambda turn: turn.partition(".")[0] in sessions)


def _is_own(turn: TurnContext, record: Record) -> bool:
    """Whether all source turns of a record are this turn, or are replaced by it."""

    def is_own(source: str) -> bool:
        session_id, _, position = source.partition(".")
        return position.isdecimal() and turn.is_own(session_id, int(position))

    return record.is_drawn_only_from(is_own)


def _fitting(records: Iterable[Record], budget_tokens: int) -> tuple[Record, ...]:
    fitting: list[Record] = []
    for record in records:
        if (tokens := _tokens(record)) <= budget_tokens:
            fitting.append(record)
            budget_tokens -= tokens
    return tuple(fitting)


def _tokens(record: Record) -> int:
    return count_tokens(record.content) + _LINE_OVERHEAD_TOKENS
