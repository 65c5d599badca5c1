"""The summary: a fold of what stands before the window, and what earlier sessions left."""

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.window import newest_within, window_tokens
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import SummaryState
from onionskin.memory.types.snapshot import Section, SessionDigest


class SummaryLayer:
    """The session's running summary, and the digests of the sessions before it.

    Like ConversationSummaryMemory, but folded after the answer, never before it.

    Args:
        budget_tokens: the most tokens for this session's summary.
        carry_tokens: the most tokens for earlier sessions, the latest first.
        show_unfolded: also show what is not folded yet, for a profile without a window.
    """

    name = "summary"

    def __init__(self, *, budget_tokens: int, carry_tokens: int, show_unfolded: bool) -> None:
        self._budget_tokens, self._carry_tokens = budget_tokens, carry_tokens
        self._show_unfolded = show_unfolded

    async def load(self, turn: TurnContext) -> Section:
        """Summary, digests and, where no window shows them, the unfolded messages."""
        snapshot = turn.snapshot
        text = summary_text(snapshot.session.summary_state, self._budget_tokens)
        digests = self._within_budget(
            tuple(one for one in snapshot.digests if one.session_id not in turn.excluded_sessions),
            turn.quarantined_ids,
        )
        messages = snapshot.unfolded if self._show_unfolded else ()
        tokens = count_tokens(text) + window_tokens(messages) + sum(map(digest_tokens, digests))
        return Section(self.name, tokens=tokens, messages=messages, text=text, digests=digests)

    def _within_budget(
        self, digests: tuple[SessionDigest, ...], held: frozenset[str]
    ) -> tuple[SessionDigest, ...]:
        kept: list[SessionDigest] = []
        left = self._carry_tokens
        for digest in digests:
            summary = summary_text(digest.summary_state, left)
            tail = newest_within(
                without_quarantined(digest.tail, held), left - count_tokens(summary)
            )
            if not summary and not tail:
                continue
            fold = SummaryState(
                digest.summary_state.compacted_upto, digest.summary_state.compacted_upto, summary
            )
            shown = SessionDigest(digest.session_id, digest.active, fold, tail)
            left -= digest_tokens(shown)
            kept.append(shown)
        return tuple(kept)


def summary_text(fold: SummaryState, budget_tokens: int) -> str:
    """All that is folded: the model's summary, then the extract that awaits the model."""
    extract = clip_tokens(fold.fallback_summary, budget_tokens)
    summary = clip_tokens(fold.summary, budget_tokens - count_tokens(extract))
    return "\n".join(part for part in (summary, extract) if part)


def digest_tokens(digest: SessionDigest) -> int:
    """The estimated tokens of what an earlier session left."""
    return count_tokens(digest.summary_state.summary) + window_tokens(digest.tail)
