"""Which of the ranked messages are taken: filters, preferences, and no two that say the same.

Whether anything speaks for a candidate: a word of it or near it, a like word, or its meaning.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.features import NAMES, PLACES
from onionskin.memory.retrieval.ranking.late_interaction import (
    find_top_candidates,
    late_interaction,
    top_candidates,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery
from onionskin.memory.types.messages import Entry

_DAY = 86_400.0
_SAME = 0.97  # messages with a greater cosine say the same


@dataclass(frozen=True, slots=True)
class Selection:
    """What may be found, and what is preferred. By default: everything, by score alone.

    Attributes:
        now: the time of asking, Unix seconds; that of the newest message if None.
        since: the earliest time.
        until: the latest time.
        sessions: only messages of these sessions.
        where: only messages for which this holds.
        min_similarity: the least cosine with the query; messages without a vector pass.
        diversity: 0 to 1, the share of maximum marginal relevance: how much a message that is like
            those already taken gives way. Near-duplicates give way at any share above 0.
        recency: what being said just now adds to a score; it halves every `half_life_days`.
        half_life_days: see `recency`.
        importance: what is known of messages' importance, 0 to 1, by id.
        importance_weight: what an importance of 1 adds to a score.
        neighbours: how many messages before and after a hit come with it, as its context.
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

    def admits(self, entry: Entry) -> bool:
        """Whether the filters let the message pass."""
        at = entry.message.at
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at <= self.until)
            and (self.sessions is None or entry.session_id in self.sessions)
            and (self.where is None or self.where(entry))
        )

    def rows_of(self, entries: Sequence[Entry | None]) -> NDArray[np.intp] | None:
        """The places of the messages that pass, ascending; None where the filters let all pass."""
        if not self.filters:
            return None
        passing = (row for row, entry in enumerate(entries) if entry and self.admits(entry))
        return np.fromiter(passing, np.intp)

    def preference(self, entry: Entry, now: float) -> dict[str, float]:
        """What recency and importance add to the message's score."""
        added: dict[str, float] = {}
        if self.recency:
            age_days = max(now - entry.message.at, 0.0) / _DAY
            added["recency"] = self.recency * 0.5 ** (age_days / self.half_life_days)
        if self.importance_weight:
            added["importance"] = self.importance_weight * self.importance.get(entry.id, 0.0)
        return added

    @property
    def filters(self) -> bool:
        """Whether anything is kept out."""
        return any(one is not None for one in (self.since, self.until, self.sessions, self.where))

    @property
    def is_plain(self) -> bool:
        """Whether the score alone decides."""
        return (replace(self, neighbours=0) if self.neighbours else self) == EVERYTHING


EVERYTHING = Selection()
"""By score alone."""

Chosen = tuple[int, float, dict[str, float]]
"""The place of a candidate, its score, and what preferences added to it."""


def select(
    scores: Floats,
    entry_at: Callable[[int], Entry | None],
    *,
    supports: Callable[[int], bool],
    similarities: Floats | None,
    vectors: Callable[[], Floats],
    top_k: int,
    exclude: Container[str],
    selection: Selection,
    beyond: str | None = None,
) -> list[Chosen]:
    """The best candidates.

    Args:
        scores: `(m,)`.
        entry_at: the candidate at a place; None for one that was deleted.
        supports: whether anything speaks for the candidate at a place; asked last.
        similarities: `(m,)` cosines with the query; None where there are none.
        vectors: `(m, dim)`, unit length, or zero for a message without one; asked for if needed.
        top_k: how many.
        exclude: ids that are not wanted.
        selection: filters and preferences.
        beyond: candidates that say this and no more are not wanted.

    Source: Carbonell and Goldstein, "The Use of MMR" (1998).
    """
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    said: set[tuple[float, str]] = set()
    echoed = None if beyond is None else _plain(beyond)

    def is_new(entry: Entry) -> bool:
        """Copies of a message, in forked sessions, count once."""
        key = (entry.message.at, entry.message.content)
        return not (key in said or said.add(key))

    admitted = (
        place
        for place in order
        if (entry := entry_at(place))
        and entry.id not in exclude
        and (echoed is None or _plain(entry.message.content) != echoed)
        and selection.admits(entry)
        and supports(place)
        and is_new(entry)
    )
    if selection.is_plain:
        return [(place, float(scores[place]), {}) for place in islice(admitted, top_k)]
    places = list(admitted)
    if selection.min_similarity is not None and similarities is not None:
        passes = (similarities >= selection.min_similarity) | ~vectors().any(axis=1)
        places = [place for place in places if passes[place]]
    times = [one.message.at for place in order if (one := entry_at(place)) and supports(place)]
    now = selection.now if selection.now is not None else max(times, default=0.0)
    chosen: list[Chosen] = []
    for place in places:
        if entry := entry_at(place):
            added = selection.preference(entry, now)
            chosen.append((place, float(scores[place]) + sum(added.values()), added))
    chosen.sort(key=lambda one: -one[1])
    if selection.diversity:
        return _diverse(chosen, vectors(), top_k, selection.diversity)
    return chosen[:top_k]


def _plain(text: str) -> str:
    """A text without what makes no difference to what it says."""
    return text.strip().casefold()


def _diverse(chosen: list[Chosen], vectors: Floats, top_k: int, diversity: float) -> list[Chosen]:
    if not chosen:
        return []
    scores = np.array([score for _, score, _ in chosen])
    spread = float(scores.max() - scores.min()) or 1.0
    relevance = (scores - scores.min()) / spread
    held = vectors[[place for place, _, _ in chosen]]
    nearest = np.zeros(len(chosen))
    taken: list[int] = []
    while len(taken) < min(top_k, len(chosen)):
        value = (1 - diversity) * relevance - diversity * nearest - 2 * (nearest > _SAME)
        value[taken] = -np.inf
        best = int(np.argmax(value))
        taken.append(best)
        nearest = np.maximum(nearest, held @ held[best])
    return [chosen[place] for place in taken]


_SUPPORT = [NAMES.index(name) for name in ("words_around", "words_alike", "cosine")]
_FIRST = ("words", "words_around", "meaning")


class EvidenceFilter:
    """Tells it of candidates by their parts, and looks for like words where those are brief.

    Args:
        parts: `(m, len(NAMES))`, of all candidates.
        candidates: `m` of them, made when they are needed.
        rows: their words.
        word_vectors: how near two words are.
        read: the question with its words, where `parts` are brief; None where they are not.
    """

    def __init__(
        self,
        parts: Floats,
        candidates: Callable[[], Candidates],
        rows: MessageFeatures,
        word_vectors: WordVectors,
        read: Callable[[], ParsedQuery] | None,
    ) -> None:
        self._parts, self._candidates, self._read = parts, candidates, read
        self._rows, self._word_vectors = rows, word_vectors

    def __call__(self, place: int) -> bool:
        """Whether anything speaks for the candidate at a place."""
        said: list[float] = self._parts[place].take(_SUPPORT).tolist()
        return max(said) > 0 or (self._read is not None and self._is_alike(self._read, place))

    def _is_alike(self, read: Callable[[], ParsedQuery], place: int) -> bool:
        leaders, leading = self._led
        if place not in leading:
            return False
        only = np.array([place])
        one, score = self._candidates().among(only), leaders[only]
        alike = late_interaction(read(), one, score, self._rows, self._word_vectors)
        return bool(alike["words_alike"][0] > 0)

    @cached_property
    def _led(self) -> tuple[Floats, frozenset[int]]:
        """The first scores, and the places of those that lead."""
        leaders = find_top_candidates(*(self._parts[:, PLACES[name]] for name in _FIRST))
        return leaders, frozenset(top_candidates(leaders).tolist())
