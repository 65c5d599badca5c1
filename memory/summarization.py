"""When a session is summarized and how far, and an extractive summary that needs no model."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from onionskin.memory.excerpts import message_tokens
from onionskin.memory.layers.window import exchange_start, fit_earlier, turns_start, window_tokens
from onionskin.memory.quarantine import without_quarantined
from onionskin.memory.tokens import clip_tokens, count_tokens
from onionskin.memory.types.messages import Entry, Session, SummaryState

_WORD = re.compile(r"\w+")
_FIRST_PERSON = frozenset({"i", "my", "me", "mine", "we", "our", "i'm"})
_LINE_TOKENS = 48


def fallback_summary(previous: str, entries: Sequence[Entry], *, budget_tokens: int) -> str:
    """The most informative lines of an earlier extract and of `entries`, oldest first.

    A line scores by the rarity of its words among the lines. First-person lines score higher,
    questions lower.

    Args:
        previous: An earlier extract, one item per line.
        entries: Messages, oldest first.
        budget_tokens: Most tokens of the result.
    """
    lines = [line for line in previous.splitlines() if line.strip()]
    lines += [_line(entry) for entry in entries]
    return "\n".join(select_lines(lines, budget_tokens=budget_tokens))


def select_lines(lines: Sequence[str], *, budget_tokens: int) -> list[str]:
    """The most informative lines that fit the budget, in their original order."""
    words = [_WORD.findall(line.casefold()) for line in lines]
    frequency = Counter(word for found in words for word in set(found))

    def worth(place: int) -> float:
        found = set(words[place])
        rarity = sum(math.log(1 + len(lines) / frequency[word]) for word in found if len(word) > 2)  # noqa: PLR2004
        weight = 1.5 if found & _FIRST_PERSON else 1.0
        return rarity * (0.5 * weight if lines[place].rstrip().endswith("?") else weight)

    left, kept = budget_tokens, list[int]()
    for place in sorted(range(len(lines)), key=lambda place: (-worth(place), place)):
        tokens = count_tokens(lines[place]) + 1
        if tokens <= left:
            kept.append(place)
            left -= tokens
    return [lines[place] for place in sorted(kept)]


def _line(entry: Entry) -> str:
    message = entry.message
    return f"{message.author or message.role}: " + clip_tokens(
        " ".join(message.readable.split()), _LINE_TOKENS
    )


@dataclass(frozen=True, slots=True)
class SummaryPolicy:
    """When messages move from the window into the summary.

    Attributes:
        keep_pairs: Newest turns that stay in the window.
        messages: More older messages than this trigger a summary.
        tokens: More tokens in older messages than this trigger a summary.
        window_tokens: Budget of the window before the newest exchange; messages over it are
            compacted at once.
        summary_tokens: Budget of the summary.
    """

    keep_pairs: int = 6
    messages: int = 60
    tokens: int = 2000
    window_tokens: int = 3000
    summary_tokens: int = 800

    @property
    def final(self) -> "SummaryPolicy":
        """The policy for an ended session: everything is summarized."""
        return replace(self, keep_pairs=0, messages=0, tokens=0)


def next_compaction(
    policy: SummaryPolicy, session: Session, unfolded: tuple[Entry, ...]
) -> int | None:
    """The position up to which the model should summarize `session`; None if nothing is due.

    Args:
        policy: When a summary is due.
        session: Current state of the session.
        unfolded: The live messages of `messages[compacted_upto:]`.
    """
    fold = session.summary_state
    older = unfolded[: turns_start(unfolded, policy.keep_pairs)]
    due = len(older) > policy.messages or window_tokens(older) > policy.tokens
    if due:
        return older[-1].position + 1
    return fold.compacted_upto if fold.summarized_upto < fold.compacted_upto else None


def compact_overflow(
    policy: SummaryPolicy,
    state: SummaryState,
    unfolded: tuple[Entry, ...],
    quarantined_ids: frozenset[str] = frozenset(),
) -> tuple[SummaryState, tuple[Entry, ...]]:
    """Compact messages over the window's budget into an extract; a model summarizes them later.

    The newest exchange stays. Half of the budget is freed, so that this stays rare during an outage
    of the model. Quarantined messages are left out of the extract.

    Returns:
        The new state, and the messages that stay in the window; unchanged if all messages fit.
    """
    start = exchange_start(unfolded)
    earlier, _ = fit_earlier(unfolded[:start], policy.window_tokens)
    if window_tokens(earlier) <= policy.window_tokens:
        return state, unfolded
    left, place = policy.window_tokens // 2, start
    while place and (left := left - message_tokens(earlier[place - 1].message)) >= 0:
        place -= 1
    text = fallback_summary(
        state.fallback_summary,
        without_quarantined(unfolded[:place], quarantined_ids),
        budget_tokens=policy.summary_tokens // 2,
    )
    compacted_upto = unfolded[place - 1].position + 1
    overflow = SummaryState(compacted_upto, state.summarized_upto, state.summary, text)
    return overflow, unfolded[place:]
