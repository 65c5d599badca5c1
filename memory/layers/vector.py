"""The vector layer: what was said at any time and bears on the message at hand."""

from collections.abc import Sequence
from dataclasses import replace

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.quarantine import shown_of
from onionskin.memory.retrieval.ranking.selection import Selection
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Hit, Section

_LINE_OVERHEAD_TOKENS = 16


class VectorLayer:
    """Messages of all the user's sessions, ranked by meaning and by words.

    Like VectorStoreRetrieverMemory, but what the prompt shows already is not recalled again.

    Args:
        top_k: the most messages.
        budget_tokens: the most tokens; hits that do not fit give way to smaller ones behind them.
        neighbours: how many messages before and after each hit are shown with it.
    """

    name = "vector"

    def __init__(self, *, top_k: int, budget_tokens: int, neighbours: int = 0) -> None:
        self._top_k, self._budget_tokens = top_k, budget_tokens
        self._selection = Selection(neighbours=neighbours)

    async def load(self, turn: TurnContext) -> Section:
        """The hits that fit the budget, best first."""
        if turn.index is None:
            return Section(self.name)
        found = turn.index.search(
            turn.text,
            turn.query,
            top_k=self._top_k,
            exclude=turn.excluded_messages,
            selection=self._selection,
            beyond=turn.text,
        )
        return within_budget(self.name, turn, found, self._budget_tokens)


def within_budget(
    name: str, turn: TurnContext, found: Sequence[Hit], budget_tokens: int
) -> Section:
    """The section of the hits that fit; those that do not give way to smaller ones behind them.

    Args:
        name: of the layer.
        turn: what it is for.
        found: the hits, best first.
        budget_tokens: the most tokens.
    """
    here = {(entry.message.at, entry.message.content) for entry in turn.snapshot.unfolded}
    hits: list[Hit] = []
    shown, used = set(turn.shown), 0
    for hit in found:
        if (hit.entry.message.at, hit.entry.message.content) in here:
            continue  # the session was forked: the prompt shows a copy of it
        around = shown_of(hit.context, turn.quarantined_ids)
        added = [one for one in (hit.entry, *around) if one.id not in shown]
        tokens = sum(count_tokens(one.message.spoken) + _LINE_OVERHEAD_TOKENS for one in added)
        if used + tokens <= budget_tokens:
            context = tuple(one for one in around if one.id not in turn.shown)
            hits.append(hit if context == hit.context else replace(hit, context=context))
            shown |= {one.id for one in added}
            used += tokens
    return Section(name, tokens=used, hits=tuple(hits))
