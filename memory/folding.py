"""When a session is folded, and how far: pure functions of where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory.extractive import extract
from memory.quarantine import shown_of
from memory.types import Entry, Fold, Session
from memory.window import message_tokens, window_tokens


@dataclass(frozen=True, slots=True)
class FoldPolicy:
    """What stays in the window, and how much may stand before it unfolded.

    Attributes:
        keep_pairs: the newest pairs, which stay verbatim.
        messages: unfolded messages before them that make a fold due.
        tokens: the same in tokens.
        window_tokens: the window's budget; beyond it the oldest messages are folded at once.
        summary_tokens: the summary's budget.
    """

    keep_pairs: int = 6
    messages: int = 60
    tokens: int = 2000
    window_tokens: int = 3000
    summary_tokens: int = 800

    @property
    def final(self) -> "FoldPolicy":
        """For a session in which nothing more will be said: everything is folded."""
        return replace(self, keep_pairs=0, messages=0, tokens=0)


def fold_target(policy: FoldPolicy, session: Session, unfolded: Sequence[Entry]) -> int | None:
    """The position up to which `session` is due to be folded by the model, or None.

    Args:
        policy: when it is due.
        session: how it stands.
        unfolded: `messages[folded_upto:]`.
    """
    fold = session.fold
    older = list(unfolded[: max(0, len(unfolded) - 2 * policy.keep_pairs)])
    while older and len(older) < len(unfolded) and unfolded[len(older)].message.role != "user":
        older.pop()  # a window begins with what the user said
    due = len(older) > policy.messages or window_tokens(tuple(older)) > policy.tokens
    if due:
        return fold.folded_upto + len(older)
    return fold.folded_upto if fold.summarized_upto < fold.folded_upto else None


def fold_overflow(
    policy: FoldPolicy,
    fold: Fold,
    unfolded: tuple[Entry, ...],
    held: frozenset[str] = frozenset(),
) -> tuple[Fold, tuple[Entry, ...]]:
    """Fold what the window's budget cannot hold, without a model, to be redone by one.

    Half of the budget is freed, so that this is rare even while the model stays away. What is
    `held` back is left out of the extract.

    Returns:
        The fold, and the messages that stay unfolded; both unchanged when all fits.
    """
    if window_tokens(unfolded) <= policy.window_tokens:
        return fold, unfolded
    left, place = policy.window_tokens // 2, len(unfolded)
    while place and (left := left - message_tokens(unfolded[place - 1])) >= 0:
        place -= 1
    text = extract(
        fold.extract, shown_of(unfolded[:place], held), budget_tokens=policy.summary_tokens // 2
    )
    overflow = Fold(fold.folded_upto + place, fold.summarized_upto, fold.summary, text)
    return overflow, unfolded[place:]
