"""Ranking weights: set by hand, or learned for a language.

A score is a weighted sum of features, so each feature's contribution can be shown. Learned weights
also use how the hand-made score ranks the candidate, its neighbours and its session.
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

RANK_FEATURES = ("score_-2", "score_-1", "score_1", "score_2", "session", "session_rank", "lead")
"""Columns made of hand-made scores, relative to the best candidate's: those of the messages two and
one before and after; the mean of the session's best three; the logarithm of the rank within the
session; and the closeness to the best candidate, between 0 and 1."""

_FAST = frozenset(FAST_FEATURES)
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
"""Weights for every language."""

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
    "session": RANK_FEATURES,
}
"""The parts of a hit's score, and the features that each of them sums up."""


class Weights(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"features": "parts"}
):
    """Weights of features, by name; features without a weight do not count."""

    features: dict[str, float]

    @property
    def are_fast(self) -> bool:
        """Whether they use only the cheap features."""
        return self.features.keys() <= _FAST

    def columns(
        self,
        features: Floats,
        candidates: Callable[[], Candidates],
        message_features: MessageFeatures,
    ) -> tuple[Floats, Floats]:
        """The weighted columns and their weights.

        Args:
            features: `(m, len(NAMES))`, see `onionskin.memory.retrieval.ranking.features`.
            candidates: Makes the `m` candidates, when they are needed.
            message_features: Their sessions.

        Returns:
            The features, `(m, len(NAMES))`, or `(m, len(NAMES) + len(RANK_FEATURES))` where
            `RANK_FEATURES` have weights; and the weight of each column.
        """
        weights = _row(tuple(self.features.items()))
        if not weights[len(NAMES) :].any():
            return features, weights[: len(NAMES)]
        ranked = candidates()
        sessions = message_features.sessions(ranked.rows)
        extra = rank_features(hand_made_scores(features), ranked, sessions)
        return np.concatenate([features, extra], axis=1), weights


def hand_made_scores(features: Floats) -> Floats:
    """The hand-made score of each candidate, `(m,)`."""
    return features @ _row(tuple(HAND_MADE.items()))[: len(NAMES)]


def rank_features(scores: Floats, candidates: Candidates, sessions: NDArray[np.int32]) -> Floats:
    """The columns of `RANK_FEATURES`, `(m, len(RANK_FEATURES))`, from hand-made scores `(m,)`."""
    relative = np.maximum(scores - scores.max(initial=_FLOOR), _FLOOR)
    # Shifted so that a neighbour that is no candidate has the lowest value.
    shifted = np.zeros(len(candidates.context), np.float32)
    shifted[np.searchsorted(candidates.context, candidates.rows)] = relative - _FLOOR
    nearby = [candidates.at(shifted, offset) for offset in (-2, -1, 1, 2)]
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
    """The contributions of candidates, `(m, columns)`, summed by group, without zeros."""
    sums = contributions @ _members()[: contributions.shape[1]]
    return [
        {group: value for group, value in zip(GROUPS, row, strict=True) if value}
        for row in np.round(sums.astype(np.float64), 4).tolist()
    ]


@cache
def _members() -> Floats:
    names = (*NAMES, *RANK_FEATURES)
    return np.array(
        [[name in members for members in GROUPS.values()] for name in names], np.float32
    )


@cache
def learned(language: str) -> Weights | None:
    """The weights learned for a language, from `weights.toml`; None where there are none."""
    data = files("onionskin.memory.retrieval.ranking").joinpath("weights.toml").read_bytes()
    return msgspec.toml.decode(data, type=dict[str, Weights]).get(language)


@cache
def hand_made() -> Weights:
    """The weights for every language."""
    return Weights(HAND_MADE)


@cache
def _row(weights: tuple[tuple[str, float], ...]) -> NDArray[np.float32]:
    known = dict(weights)
    if unknown := known.keys() - {*NAMES, *RANK_FEATURES}:
        raise ValueError(f"Unknown features: {sorted(unknown)!r}.")
    return np.array([known.get(name, 0.0) for name in (*NAMES, *RANK_FEATURES)], np.float32)
