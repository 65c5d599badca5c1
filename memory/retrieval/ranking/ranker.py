"""From a query to candidates and what speaks for each of them, before any is chosen.

The brief parts of a score in compiled code, where it could be built; `kernel/` holds the source.

Where there was no compiler at the installation, NumPy does the same, about half as fast.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index
from onionskin.memory.retrieval.index.context_norms import ContextNorms
from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.message_features import FORM, MessageFeatures
from onionskin.memory.retrieval.language.analyzer import TextPipeline, looks_like
from onionskin.memory.retrieval.ranking.candidates import (
    EVERY_ROW,
    SEEDS,
    Candidates,
    Floats,
    find_seeds,
    passed_over,
)
from onionskin.memory.retrieval.ranking.features import (
    NAMES,
    PLACES,
    add_days_and_author,
    compute_features,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery, parse_query
from onionskin.memory.retrieval.ranking.weights import Weights, hand_made, learned
from onionskin.memory.types.messages import Vector

try:
    from onionskin.memory.retrieval.ranking._kernel import rank as kernel_rank
except ImportError:
    kernel_rank = None

FEATURES = ("words", "words_around", "cosine", "meaning", "meaning_around", "when_times", *FORM)
"""What the kernel fills in, in its order."""
_COLUMNS = np.array([PLACES[name] for name in FEATURES], np.int32)
_NO_VECTORS = np.empty(0, np.uint8)


def is_compiled() -> bool:
    """Whether the kernel is there."""
    return kernel_rank is not None


def fast_features(
    question: ParsedQuery,
    *,
    postings: Bm25Index,
    vectors: FaissIndex,
    rows: MessageFeatures,
    surroundings: ContextNorms,
) -> tuple[NDArray[np.intp], Floats] | None:
    """The rows worth ranking, and the parts of their scores that cost little.

    Args:
        question: what is looked for.
        postings: of all rows.
        vectors: of all rows.
        rows: what is known of their form.
        surroundings: what was reckoned ahead.

    Returns:
        Rows, `(m,)` ascending, and `(m, len(NAMES))` float32; None where the kernel is not there,
        or the vectors are so many that FAISS holds them in cells.
    """
    codes = vectors.bytes
    if kernel_rank is None or (codes is None and len(vectors)):
        return None
    vector, near = None, None
    if question.vector is not None and vectors.fits(question.vector):
        vector = np.ascontiguousarray(question.vector, np.float32)
        if len(rows) > EVERY_ROW:
            near = vectors.nearest(vector, SEEDS + passed_over(rows))
    found, parts = kernel_rank(
        *postings.posting_lists(question.terms),
        rows.previous,
        rows.next,
        rows.forms,
        surroundings.known,
        rows.dead,
        vectors.places,
        vector,
        _NO_VECTORS if codes is None else codes,
        np.empty(0, np.int64) if near is None else near,
        question.asks_when,
        len(NAMES),
        _COLUMNS,
    )
    where = np.frombuffer(found, np.int64)
    table = np.frombuffer(parts, np.float32).reshape(-1, len(NAMES))
    if question.spans or question.author is not None:
        add_days_and_author(table, question, where, rows)
    return where, table


@dataclass(frozen=True, slots=True)
class Ranked:
    """What is made of a query; as long as the index does not change, the same is made of it again.

    Attributes:
        query: the text.
        vector: the `(dim,)` unit vector that it was compared by; None for words alone.
        rows: `(m,)` ascending, those worth ranking.
        parts: `(m, len(NAMES))`, see `onionskin.memory.retrieval.ranking.features`.
        columns: `(m, k)`, the parts, and what else is weighed; see `Weights.columns`.
        weights: `(k,)`.
        scores: `(m,)`, the columns weighed.
        candidates: makes the candidates at the rows, with their neighbours.
        read: the question with its words, where `parts` are brief; None where they are not.
    """

    query: str
    vector: Vector | None
    rows: NDArray[np.intp]
    parts: Floats
    columns: Floats
    weights: Floats
    scores: Floats
    candidates: Callable[[], Candidates]
    read: Callable[[], ParsedQuery] | None

    def answers(self, query: str, vector: Vector | None) -> bool:
        """Whether it was made of this query, `(dim,)` vector included."""
        if query != self.query or vector is self.vector:
            return query == self.query
        if vector is None or self.vector is None:
            return False
        return np.array_equal(vector, self.vector)


class Ranker:
    """Ranks what an index holds.

    Args:
        tongue: the language it reads in.
        postings, vectors, rows, surroundings: what the index keeps of its messages.
        weights: how parts make a score, instead of what was learned for the language.
    """

    def __init__(
        self,
        tongue: TextPipeline,
        postings: Bm25Index,
        vectors: FaissIndex,
        rows: MessageFeatures,
        surroundings: ContextNorms,
        *,
        weights: Weights | None = None,
    ) -> None:
        self._tongue, self._postings, self._vectors = tongue, postings, vectors
        self._rows, self._surroundings, self.weights = rows, surroundings, weights

    def rank(
        self,
        query: str,
        vector: Vector | None,
        *,
        now: float | None,
        among: NDArray[np.intp] | None = None,
        plain: bool = True,
    ) -> Ranked | None:
        """What speaks for each candidate; None where there is none.

        Args:
            query: the text.
            vector: its `(dim,)` unit vector; None for words alone.
            now: the time from which relative dates are counted; the newest message's if None.
            among: only these rows, ascending; None for all.
            plain: whether the score alone will decide.
        """
        weights = self._weigh(query)
        brief = weights.are_fast and plain
        question = self.read(query, vector, now, brief=brief)
        rows, parts, candidates = self._parts(question, among, brief=brief)
        if not len(rows):
            return None
        columns, weighed = weights.columns(parts, candidates, self._rows)
        return Ranked(
            query=query,
            vector=vector,
            rows=rows,
            parts=parts,
            columns=columns,
            weights=weighed,
            scores=columns @ weighed,
            candidates=candidates,
            read=(lambda: self.read(query, vector, now)) if brief else None,
        )

    def _parts(
        self, question: ParsedQuery, among: NDArray[np.intp] | None, *, brief: bool
    ) -> tuple[NDArray[np.intp], Floats, Callable[[], Candidates]]:
        """The rows worth ranking, their parts, and the candidates at those rows."""
        kept = self._rows
        if brief and among is None:
            found = fast_features(
                question,
                postings=self._postings,
                vectors=self._vectors,
                rows=kept,
                surroundings=self._surroundings,
            )
            if found:
                rows, parts = found
                return rows, parts, lambda: Candidates.of(rows, kept)
        candidates = self.candidates(question, among)
        parts = self.measure(question, candidates, brief=brief)
        return candidates.rows, parts, lambda: candidates

    def read(
        self, query: str, vector: Vector | None, now: float | None = None, *, brief: bool = False
    ) -> ParsedQuery:
        """What the ranking looks for in a query; without its words' pieces if that is brief."""
        rows, tongue = self._rows, self._tongue
        return parse_query(
            query, vector, postings=self._postings, now=now, rows=rows, tongue=tongue, brief=brief
        )

    def candidates(
        self, question: ParsedQuery, among: NDArray[np.intp] | None = None
    ) -> Candidates:
        """The rows worth ranking: all where there are few; else the best of both searches.

        Args:
            question: what is looked for.
            among: only these rows, ascending; None for all.
        """
        rows = np.arange(len(self._rows)) if among is None else among
        if len(rows) > EVERY_ROW:
            rows = find_seeds(question, self._postings, self._vectors, self._rows, among=among)
        return Candidates.of(rows, self._rows)

    def measure(
        self, question: ParsedQuery, candidates: Candidates, *, brief: bool = False
    ) -> Floats:
        """The parts of the candidates' scores; see `onionskin.memory.retrieval.ranking.features`."""
        return compute_features(
            question,
            candidates,
            rows=self._rows,
            postings=self._postings,
            vectors=self._vectors,
            surroundings=self._surroundings,
            word_vectors=self._tongue.vectors,
            brief=brief,
        )

    def _weigh(self, query: str) -> Weights:
        if self.weights:
            return self.weights
        name = self._tongue.name
        weights = learned(name)
        # What was learned among named speakers loses in a user's chat with an assistant.
        fits = self._rows.has_speakers and looks_like(query, name)
        return weights if weights and fits else hand_made()
