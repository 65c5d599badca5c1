"""The vector layer: earlier messages that are relevant to the current one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from onionskin.memory.excerpts import cap_entries
from onionskin.memory.layers.base import TurnContext
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.retrieval import Selection
from onionskin.memory.retrieval.index.passages import LONG_TOKENS, Span, excerpt, merged, split
from onionskin.memory.tokens import count_tokens
from onionskin.memory.types.messages import Entry
from onionskin.memory.types.snapshot import Hit, Section

_LINE_OVERHEAD_TOKENS = 16
_PASSAGES_OF_BEST, _MATCHING = 2, 3
"""Passages of a long message that count as matching."""


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

    A long message that takes more than half of the budget is quoted: the best hit with its two best
    passages, others with one. What the budget leaves goes to further matching passages of the
    quoted messages, and to the text around them.

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
    fitting, long = list[Hit](), dict[int, Hit]()
    shown_ids, used_tokens = set(turn.shown), 0
    for hit in hits:
        if (hit.entry.message.at, hit.entry.message.content) in in_session:
            continue  # the session was forked: the prompt shows a copy of it
        context, _ = cap_entries(_visible(hit.context, turn), LONG_TOKENS)
        for shown in _variants(hit, budget_tokens // 2, is_best=not fitting):
            added = [entry for entry in (shown.entry, *context) if entry.id not in shown_ids]
            tokens = sum(map(_line_tokens, added))
            if used_tokens + tokens <= budget_tokens:
                if shown.spans:
                    long[len(fitting)] = hit
                context = tuple(entry for entry in context if entry.id not in turn.shown)
                fitting.append(shown if context == hit.context else replace(shown, context=context))
                shown_ids |= {entry.id for entry in added}
                used_tokens += tokens
                break
    for place, hit in long.items():
        extended = _extended(hit, fitting[place], budget_tokens - used_tokens)
        used_tokens += _line_tokens(extended.entry) - _line_tokens(fitting[place].entry)
        fitting[place] = extended
    return Section(name, tokens=used_tokens, hits=tuple(fitting))


def _visible(context: tuple[Entry, ...], turn: TurnContext) -> tuple[Entry, ...]:
    """The neighbours of a hit that may be shown."""
    visible = without_quarantined(context, turn.quarantined_ids)
    if turn.begin is None:
        return visible
    return tuple(entry for entry in visible if not turn.is_own(entry.session_id, entry.position))


def _variants(hit: Hit, budget_tokens: int, *, is_best: bool) -> Iterator[Hit]:
    """The hit as it may be shown, the longest form first.

    Args:
        hit: The hit.
        budget_tokens: Most tokens of a long message that is shown in full.
        is_best: Whether it is the first hit of the section.
    """
    if not hit.passages or _line_tokens(hit.entry) <= budget_tokens:
        yield hit
    elif is_best:
        yield quoted(hit, merged(hit.passages[:_PASSAGES_OF_BEST]))
    if hit.passages:
        yield quoted(hit, hit.passages[:1])


def quoted(hit: Hit, spans: Sequence[Span]) -> Hit:
    """The hit with spans of its long message, and notes of what is left out around them."""
    entry = hit.entry
    text = excerpt(entry.message.content, spans)
    quote = replace(entry, message=replace(entry.message, content=text))
    return replace(hit, entry=quote, spans=tuple(spans))


def _extended(hit: Hit, shown: Hit, left_tokens: int) -> Hit:
    """`shown` with more of its message: matching passages, then neighbours, while they fit.

    Args:
        hit: The whole message.
        shown: The hit with its best passage.
        left_tokens: Tokens that the section has left.
    """
    passages = split(hit.entry.message.content)
    places = {span: place for place, span in enumerate(passages)}
    matching = hit.passages[:_MATCHING]
    around = [
        passages[near]
        for span in matching
        for near in (places[span] + 1, places[span] - 1)
        if 0 <= near < len(passages)
    ]
    most = left_tokens + _line_tokens(shown.entry)
    for span in dict.fromkeys((*matching[1:], *around)):
        longer = quoted(hit, merged((*shown.spans, span)))
        if _line_tokens(longer.entry) <= most:
            shown = replace(longer, context=shown.context)
    return shown


def hit_tokens(hit: Hit) -> int:
    """The estimated tokens of a hit with its neighbours, in the prompt."""
    return sum(map(_line_tokens, (hit.entry, *hit.context)))


def _line_tokens(entry: Entry) -> int:
    return count_tokens(entry.message.spoken) + _LINE_OVERHEAD_TOKENS
