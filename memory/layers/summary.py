"""The summary layer: the summary of this session and digests of earlier ones."""

from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.window import newest_within, window_tokens
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import SummaryState
from onionskin.memory.types.snapshot import Section, SessionDigest


class SummaryLayer:
    """Shows the session's running summary and the digests of earlier sessions.

    Like ConversationSummaryMemory, but the summary is written after the answer, never before it.

    Args:
        budget_tokens: Most tokens for this session's summary.
        carry_tokens: Most tokens for earlier sessions, latest first.
        show_unfolded: Also show messages that are not summarized, for a profile without a window.
    """

    name = "summary"

    def __init__(self, *, budget_tokens: int, carry_tokens: int, show_unfolded: bool) -> None:
        self._budget_tokens, self._carry_tokens = budget_tokens, carry_tokens
        self._show_unfolded = show_unfolded

    async def load(self, turn: TurnContext) -> Section:
        """The summary, the digests and, without a window layer, the remaining messages."""
        snapshot = turn.snapshot
        text = summary_text(snapshot.session.summary_state, self._budget_tokens)
        digests = self._digests(turn)
        messages = snapshot.unfolded if self._show_unfolded else ()
        tokens = count_tokens(text) + window_tokens(messages) + sum(map(digest_tokens, digests))
        return Section(self.name, tokens=tokens, messages=messages, text=text, digests=digests)

    def _digests(self, turn: TurnContext) -> tuple[SessionDigest, ...]:
        """The digests of earlier sessions that fit the budget."""
        fitting: list[SessionDigest] = []
        left = self._carry_tokens
        for digest in turn.snapshot.digests:
            if digest.session_id in turn.excluded_sessions:
                continue
            summary = summary_text(digest.summary_state, left)
            tail = without_quarantined(digest.tail, turn.quarantined_ids)
            tail = newest_within(tail, left - count_tokens(summary))
            if not summary and not tail:
                continue
            state = SummaryState(
                digest.summary_state.compacted_upto, digest.summary_state.compacted_upto, summary
            )
            clipped = SessionDigest(digest.session_id, digest.active, state, tail)
            left -= digest_tokens(clipped)
            fitting.append(clipped)
        return tuple(fitting)


def summary_text(state: SummaryState, budget_tokens: int) -> str:
    """The model's summary, then the extract that the model has yet to summarize."""
    extract = clip_tokens(state.fallback_summary, budget_tokens)
    summary = clip_tokens(state.summary, budget_tokens - count_tokens(extract))
    return "\n".join(filter(None, (summary, extract)))


def digest_tokens(digest: SessionDigest) -> int:
    """The estimated tokens of an earlier session's digest."""
    return count_tokens(digest.summary_state.summary) + window_tokens(digest.tail)
