"""Selection of hits from the ranked messages: filters, preferences, evidence and diversity."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.dates import Today
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.features import NAMES, PLACES
from onionskin.memory.retrieval.ranking.late_interaction import (
    first_stage_scores,
    late_interaction,
    top_candidates,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery
from onionskin.memory.types.messages import Entry

_DAY = 86_400.0
_PADDING = 1000  # characters of space around a text that is left out
_DUPLICATE = 0.97  # messages with a greater cosine are near-duplicates
_EVIDENCE = [NAMES.index(name) for name in ("words_around", "words_alike", "cosine")]
_FIRST_STAGE = ("words", "words_around", "meaning")


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters and preferences of a search. By default: no filter, by score alone.

    Attributes:
        now: Time of the query, Unix seconds; None for that of the newest message.
        since: Earliest time.
        until: Latest time.
        sessions: Search only these sessions.
        where: Predicate that a message must fulfil.
        min_similarity: Minimum cosine with the query; messages without a vector pass.
        diversity: 0 to 1, the share of maximum marginal relevance, which ranks a message lower the
            more it resembles those already selected. Near-duplicates rank last at any share
            above 0.
        recency: Bonus for a message written now; it halves every `half_life_days`.
        half_life_days: See `recency`.
        importance: Importance of messages, 0 to 1, by id.
        importance_weight: Bonus for an importance of 1.
        neighbours: How many messages before and after a hit to return as its context.
        today: The day that relative dates in the query start from; None for that of `now`.
    """

    now: float | None = None
    since: float | None = None
    until: float | None = None
    sessions: Container[str] | None = None
    where: Callable[[Entry], bool] | None = None
    min_similarity: float | None = None
    diversity: float = 0.0
    recency: float = 0.0
    half_life_days: float = 30.0
    importance: Mapping[str, float] = field(default_factory=dict[str, float])
    importance_weight: float = 0.0
    neighbours: int = 0
    today: Today | None = None

    def admits(self, entry: Entry) -> bool:
        """Whether a message passes the filters."""
        at = entry.message.at
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
            and (self.sessions is None or entry.session_id in self.sessions)
            and (self.where is None or self.where(entry))
        )

    def rows_of(self, entries: Sequence[Entry | None]) -> NDArray[np.intp] | None:
        """The rows of the messages that pass, ascending; None without a filter."""
        if not self.has_filters:
            return None
        passing = (row for row, entry in enumerate(entries) if entry and self.admits(entry))
        return np.fromiter(passing, np.intp)

    def preference(self, entry: Entry, now: float) -> dict[str, float]:
        """The bonuses of recency and importance for a message."""
        bonuses: dict[str, float] = {}
        if self.recency:
            age_days = max(now - entry.message.at, 0.0) / _DAY
            bonuses["recency"] = self.recency * 0.5 ** (age_days / self.half_life_days)
        if self.importance_weight:
            bonuses["importance"] = self.importance_weight * self.importance.get(entry.id, 0.0)
        return bonuses

    @property
    def has_filters(self) -> bool:
        """Whether some messages may be filtered out."""
        filters = (self.since, self.until, self.sessions, self.where)
        return any(condition is not None for condition in filters)

    @property
    def is_plain(self) -> bool:
        """Whether the score alone decides."""
        has_extras = self.neighbours or self.today
        return (replace(self, neighbours=0, today=None) if has_extras else self) == EVERYTHING


EVERYTHING = Selection()
"""No filter, by score alone."""

Chosen = tuple[int, float, dict[str, float]]
"""The place of a candidate, its score, and the bonuses in it."""


def select(
    scores: Floats,
    entries: Sequence[Entry | None],
    *,
    has_evidence: Callable[[int], bool],
    similarities: Floats | None,
    vectors: Callable[[], Floats],
    top_k: int,
    exclude: Container[str],
    selection: Selection,
    exclude_text: str | None = None,
) -> list[Chosen]:
    """The best candidates.

    Args:
        scores: `(m,)`.
        entries: The `m` candidates; None for a deleted one.
        has_evidence: Whether the candidate at a place matches the query at all; called last.
        similarities: `(m,)` cosines with the query; None where there are none.
        vectors: Makes `(m, dim)`, unit length, zero for a message without one; called if needed.
        top_k: Maximum number of candidates.
        exclude: Ids to leave out.
        selection: Filters and preferences.
        exclude_text: Leave out candidates that consist of this text.

    Source: Carbonell and Goldstein, "The Use of MMR" (1998).
    """
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    seen: set[tuple[float, str]] = set()
    excluded = None if exclude_text is None else _normalized(exclude_text)
    longest = 0 if excluded is None else 2 * len(excluded) + _PADDING

    def is_new(entry: Entry) -> bool:
        """Whether this is the first row of a message; forked sessions hold copies of it."""
        key = (entry.message.at, entry.message.content)
        return not (key in seen or seen.add(key))

    admitted = (
        place
        for place in order
        if (entry := entries[place])
        and entry.id not in exclude
        and (
            excluded is None
            or len(entry.message.content) > longest  # a long message has many rows
            or _normalized(entry.message.content) != excluded
        )
        and selection.admits(entry)
        and has_evidence(place)
        and is_new(entry)
    )
    if selection.is_plain:
        return [(place, float(scores[place]), {}) for place in islice(admitted, top_k)]
    places = list(admitted)
    if selection.min_similarity is not None and similarities is not None:
        passes = (similarities >= selection.min_similarity) | ~vectors().any(axis=1)
        places = [place for place in places if passes[place]]
    times = [
        entry.message.at for place in order if (entry := entries[place]) and has_evidence(place)
    ]
    now = selection.now if selection.now is not None else max(times, default=0.0)
    chosen: list[Chosen] = []
    for place in places:
        if entry := entries[place]:
            bonuses = selection.preference(entry, now)
            chosen.append((place, float(scores[place]) + sum(bonuses.values()), bonuses))
    chosen.sort(key=lambda candidate: -candidate[1])
    if selection.diversity:
        return _diverse(chosen, vectors(), top_k, selection.diversity)
    return chosen[:top_k]


def _normalized(text: str) -> str:
    """A text without differences in case and surrounding space."""
    return text.strip().casefold()


def _diverse(chosen: list[Chosen], vectors: Floats, top_k: int, diversity: float) -> list[Chosen]:
    if not chosen:
        return []
    scores = np.array([score for _, score, _ in chosen])
    spread = float(scores.max() - scores.min()) or 1.0
    relevance = (scores - scores.min()) / spread
    own = vectors[[place for place, _, _ in chosen]]
    redundancy = np.zeros(len(chosen))
    taken: list[int] = []
    while len(taken) < min(top_k, len(chosen)):
        duplicate = redundancy > _DUPLICATE
        value = (1 - diversity) * relevance - diversity * redundancy - 2 * duplicate
        value[taken] = -np.inf
        best = int(np.argmax(value))
        taken.append(best)
        redundancy = np.maximum(redundancy, own @ own[best])
    return [chosen[place] for place in taken]


class EvidenceFilter:
    """Whether a candidate matches the query: by a word in it or nearby, a like word, or its vector.

    Args:
        features: `(m, len(NAMES))`, of all candidates.
        candidates: Makes the `m` candidates, when they are needed.
        message_features: Their words.
        word_vectors: The similarity of two words.
        parse: Parses the query with its words, where `features` are only the fast ones; else None.
    """

    def __init__(
        self,
        features: Floats,
        candidates: Callable[[], Candidates],
        message_features: MessageFeatures,
        word_vectors: WordVectors,
        parse: Callable[[], ParsedQuery] | None,
    ) -> None:
        self._features, self._candidates, self._parse = features, candidates, parse
        self._message_features, self._word_vectors = message_features, word_vectors

    def __call__(self, place: int) -> bool:
        """Whether the candidate at a place matches the query."""
        evidence: list[float] = self._features[place].take(_EVIDENCE).tolist()
        return max(evidence) > 0 or (self._parse is not None and self._is_alike(self._parse, place))

    def _is_alike(self, parse: Callable[[], ParsedQuery], place: int) -> bool:
        scores, top = self._first_stage
        if place not in top:
            return False
        only = np.array([place])
        candidate, words = self._candidates().subset(only), self._message_features
        alike = late_interaction(parse(), candidate, scores[only], words, self._word_vectors)
        return bool(alike["words_alike"][0] > 0)

    @cached_property
    def _first_stage(self) -> tuple[Floats, frozenset[int]]:
        """The first-stage scores, and the places of the top candidates."""
        scores = first_stage_scores(*(self._features[:, PLACES[name]] for name in _FIRST_STAGE))
        return scores, frozenset(top_candidates(scores).tolist())
