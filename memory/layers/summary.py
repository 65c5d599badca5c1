"""The summary layer: the summary of this session and digests of earlier ones."""

from onionskin.memory.excerpts import shorten_entries
from onionskin.memory.layers.base import TurnContext
from onionskin.memory.layers.window import (
    exchange_start,
    newest_within,
    window_section,
    window_tokens,
)
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import Entry, SummaryState
from onionskin.memory.types.snapshot import Section, SessionDigest

_LEAST_SHARE = 80
"""Tokens of a carried message below which an excerpt says too little."""


class SummaryLayer:
    """Shows the session's running summary and the digests of earlier sessions.

    Like ConversationSummaryMemory, but the summary is written after the answer, never before it.

    Args:
        budget_tokens: Most tokens for this session's summary.
        carry_tokens: Most tokens for earlier sessions, latest first.
        exchange_tokens: Most tokens of the newest exchange; 0 if a window layer shows it.
        window_tokens: Most tokens of earlier messages that are not summarized.
    """

    name = "summary"

    def __init__(
        self,
        *,
        budget_tokens: int,
        carry_tokens: int,
        exchange_tokens: int = 0,
        window_tokens: int = 0,
    ) -> None:
        self._budget_tokens, self._carry_tokens = budget_tokens, carry_tokens
        self._exchange_tokens, self._window_tokens = exchange_tokens, window_tokens

    async def load(self, turn: TurnContext) -> Section:
        """The summary, the digests and, without a window layer, the remaining messages."""
        snapshot = turn.snapshot
        text = summary_text(snapshot.session.summary_state, self._budget_tokens)
        digests, shortened = self._digests(turn)
        window = window_section(
            self.name,
            snapshot.unfolded if self._exchange_tokens else (),
            budget_tokens=self._window_tokens,
            exchange_tokens=self._exchange_tokens,
        )
        return Section(
            self.name,
            tokens=count_tokens(text) + window.tokens + sum(map(digest_tokens, digests)),
            messages=window.messages,
            text=text,
            digests=digests,
            shortened=window.shortened + shortened,
        )

    def _digests(self, turn: TurnContext) -> tuple[tuple[SessionDigest, ...], tuple[str, ...]]:
        """The digests of earlier sessions that fit the budget, and the ids of shortened messages.

        The last exchange of an earlier session is shortened if it does not fit.
        """
        fitting, shortened = list[SessionDigest](), tuple[str, ...]()
        left = self._carry_tokens
        for digest in turn.snapshot.digests:
            if digest.session_id in turn.excluded_sessions:
                continue
            summary = summary_text(digest.summary_state, left)
            tail = without_quarantined(digest.tail, turn.quarantined_ids)
            tail, cut = _tail_within(tail, left - count_tokens(summary))
            if not summary and not tail:
                continue
            state = SummaryState(
                digest.summary_state.compacted_upto, digest.summary_state.compacted_upto, summary
            )
            clipped = SessionDigest(digest.session_id, digest.active, state, tail)
            left -= digest_tokens(clipped)
            fitting.append(clipped)
            shortened += cut
        return tuple(fitting), shortened


def _tail_within(
    tail: tuple[Entry, ...], budget_tokens: int
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The end of an earlier session within a budget, and the ids of its shortened messages."""
    newest = tail[exchange_start(tail) :]
    if not newest or window_tokens(newest) <= budget_tokens:
        return newest_within(tail, budget_tokens), ()
    if budget_tokens < _LEAST_SHARE * len(newest):
        return (), ()
    return shorten_entries(newest, budget_tokens)


def summary_text(state: SummaryState, budget_tokens: int) -> str:
    """The model's summary, then the extract that the model has yet to summarize."""
    extract = clip_tokens(state.fallback_summary, budget_tokens)
    summary = clip_tokens(state.summary, budget_tokens - count_tokens(extract))
    return "\n".join(filter(None, (summary, extract)))


def digest_tokens(digest: SessionDigest) -> int:
    """The estimated tokens of an earlier session's digest."""
    return count_tokens(digest.summary_state.summary) + window_tokens(digest.tail)
