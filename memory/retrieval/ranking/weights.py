"""From parts to a score: weights set by hand, and weights learned for a language.

A score is a weighted sum, so each of its parts can be shown. Learned weights also weigh how the
hand-made score ranks the candidate, its neighbours and its session.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

import msgspec
import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.features import FAST_FEATURES, NAMES

AROUND = ("score_-2", "score_-1", "score_1", "score_2", "session", "session_rank", "lead")
"""More columns, made of hand-made scores less that of the best candidate: those of the messages two
and one before and after; the mean of the session's best three; the logarithm of the rank within the
session; and how close to the best candidate's, between 0 and 1."""

_BRIEF = frozenset(FAST_FEATURES)
_FLOOR = -8.0
_BEST_OF_SESSION = 3

HAND_MADE = {
    "words": 1.0,
    "words_around": 1.5,
    "meaning": 1.5,
    "meaning_around": 2.0,
    "question": -0.5,
    "day": 1.5,
    "month": 1.5,
    "when_times": 0.2,
    "author": 0.5,
}
"""Serves every language."""

GROUPS = {
    "words": ("words", "words_by_length", "rarest", "rarity"),
    "words_nearby": ("words_around", "words_before", "words_-1", "words_-2", "answers_words"),
    "similar_words": ("words_alike", "words_alike_around"),
    "meaning": ("cosine", "meaning", "alike_leaders"),
    "meaning_nearby": (
        *("meaning_-2", "meaning_-1", "meaning_1", "meaning_around", "answers_meaning"),
    ),
    "date": ("day", "month", "year", "event", "when_times", "times"),
    "speaker": ("author", "other_author", "author_meaning"),
    "form": ("length", "question", "names", "number", "position", "first", "second"),
    "session": AROUND,
}
"""What a hit's parts are called, and which parts of its score each of them sums up."""


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weights of parts, by name; what is not named weighs nothing."""

    parts: dict[str, float]

    @property
    def are_fast(self) -> bool:
        """Whether they weigh nothing but the parts that cost little."""
        return self.parts.keys() <= _BRIEF

    def columns(
        self, parts: Floats, candidates: Callable[[], Candidates], kept: MessageFeatures
    ) -> tuple[Floats, Floats]:
        """What is weighed, and by how much.

        Args:
            parts: `(m, len(NAMES))`, see `onionskin.memory.retrieval.ranking.features`.
            candidates: `m` of them; asked for if needed.
            kept: their sessions.

        Returns:
            The parts, `(m, len(NAMES))`, or `(m, len(NAMES) + len(AROUND))` where `AROUND` has
            weights; and the weight of each column.
        """
        weights = _row(tuple(self.parts.items()))
        if not weights[len(NAMES) :].any():
            return parts, weights[: len(NAMES)]
        ranked = candidates()
        spread = around(hand_scores(parts), ranked, kept.sessions(ranked.rows))
        return np.concatenate([parts, spread], axis=1), weights


def hand_scores(parts: Floats) -> Floats:
    """The hand-made score of each candidate, `(m,)`."""
    return parts @ _row(tuple(HAND_MADE.items()))[: len(NAMES)]


def around(scores: Floats, candidates: Candidates, sessions: NDArray[np.int32]) -> Floats:
    """The columns of `AROUND`, `(m, len(AROUND))`, from hand-made scores `(m,)`."""
    relative = np.maximum(scores - scores.max(initial=_FLOOR), _FLOOR)
    # Shifted so that a neighbour which is no candidate stands at the floor.
    spread = np.zeros(len(candidates.all), np.float32)
    spread[np.searchsorted(candidates.all, candidates.rows)] = relative - _FLOOR
    nearby = [candidates.at(spread, by) for by in (-2, -1, 1, 2)]
    order = np.lexsort((-relative, sessions))
    grouped = sessions[order]
    starts = np.flatnonzero(np.diff(grouped, prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    best = np.where(rank < _BEST_OF_SESSION, relative - _FLOOR, 0)
    sums = np.bincount(sessions, best)[sessions]
    counts = np.bincount(sessions, rank < _BEST_OF_SESSION)[sessions]
    columns = [*nearby, sums / np.maximum(counts, 1), np.log1p(rank), np.exp(relative)]
    return np.stack(columns, axis=1).astype(np.float32)


def by_group(contributions: Floats) -> list[dict[str, float]]:
    """The contributions of candidates, `(m, parts)`, summed by group; zeros left out."""
    sums = contributions @ _members()[: contributions.shape[1]]
    return [
        {group: value for group, value in zip(GROUPS, row, strict=True) if value}
        for row in np.round(sums.astype(np.float64), 4).tolist()
    ]


@cache
def _members() -> Floats:
    names = (*NAMES, *AROUND)
    return np.array(
        [[name in members for members in GROUPS.values()] for name in names], np.float32
    )


@cache
def learned(language: str) -> Weights | None:
    """The weights that were learned for a language, if there are any; see `weights.toml`."""
    data = files("onionskin.memory.retrieval.ranking").joinpath("weights.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, Weights]).get(language)


@cache
def hand_made() -> Weights:
    """The weights that serve every language."""
    return Weights(HAND_MADE)


@cache
def _row(weights: tuple[tuple[str, float], ...]) -> NDArray[np.float32]:
    known = dict(weights)
    if unknown := known.keys() - {*NAMES, *AROUND}:
        raise ValueError(f"There are no parts {sorted(unknown)!r}.")
    return np.array([known.get(name, 0.0) for name in (*NAMES, *AROUND)], np.float32)
