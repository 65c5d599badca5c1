"""The vector layer: earlier messages that are relevant to the current one."""

from collections.abc import Sequence
from dataclasses import replace

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.retrieval import Selection
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.snapshot import Hit, Section

_LINE_OVERHEAD_TOKENS = 16


class VectorLayer:
    """Recalls messages of all the user's sessions, ranked by meaning and by words.

    Like VectorStoreRetrieverMemory, but messages already in the prompt are not repeated.

    Args:
        top_k: Most messages.
        budget_tokens: Most tokens; a hit that does not fit is skipped, smaller ones follow.
        neighbours: Messages before and after each hit that are shown with it.
        min_similarity: Minimum cosine with the message; without a vector of either, words decide.
    """

    name = "vector"

    def __init__(
        self,
        *,
        top_k: int,
        budget_tokens: int,
        neighbours: int = 0,
        min_similarity: float | None = None,
    ) -> None:
        self._top_k, self._budget_tokens = top_k, budget_tokens
        self._selection = Selection(neighbours=neighbours, min_similarity=min_similarity)

    async def load(self, turn: TurnContext) -> Section:
        """The hits that fit the budget, best first."""
        if turn.index is None:
            return Section(self.name)
        hits = turn.index.search(
            turn.text,
            turn.query,
            top_k=self._top_k,
            exclude=turn.excluded_messages,
            selection=replace(self._selection, today=turn.today),
            exclude_text=turn.text,
        )
        return within_budget(self.name, turn, hits, self._budget_tokens)


def within_budget(name: str, turn: TurnContext, hits: Sequence[Hit], budget_tokens: int) -> Section:
    """The section of the hits that fit the budget; larger ones are skipped.

    Args:
        name: Name of the layer.
        turn: The current turn.
        hits: Recalled messages, best first.
        budget_tokens: Most tokens of the section.
    """
    if not hits:
        return Section(name)
    in_session = {
        (entry.message.at, entry.message.content)
        for entry in turn.snapshot.unfolded
        if entry.id not in turn.shortened
    }
    fitting: list[Hit] = []
    shown_ids, used_tokens = set(turn.shown), 0
    for hit in hits:
        if (hit.entry.message.at, hit.entry.message.content) in in_session:
            continue  # the session was forked: the prompt shows a copy of it
        context = without_quarantined(hit.context, turn.quarantined_ids)
        if turn.replaces_from is not None:
            context = tuple(
                entry for entry in context if not turn.is_replaced(entry.session_id, entry.position)
            )
        added = [entry for entry in (hit.entry, *context) if entry.id not in shown_ids]
        tokens = sum(count_tokens(entry.message.spoken) + _LINE_OVERHEAD_TOKENS for entry in added)
        if used_tokens + tokens <= budget_tokens:
            context = tuple(entry for entry in context if entry.id not in turn.shown)
            fitting.append(hit if context == hit.context else replace(hit, context=context))
            shown_ids |= {entry.id for entry in added}
            used_tokens += tokens
    return Section(name, tokens=used_tokens, hits=tuple(fitting))
