"""The ranker: from a query to scored candidates, before any is selected.

The cheap features come from a compiled kernel, whose source is in `kernel/`. An installation
without a C compiler uses NumPy, with the same results at about half the speed.
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
from onionskin.memory.retrieval.language.dates import Today
from onionskin.memory.retrieval.ranking.candidates import (
    EVERY_ROW,
    CandidateGenerator,
    Candidates,
    Floats,
)
from onionskin.memory.retrieval.ranking.features import (
    NAMES,
    PLACES,
    add_dates_and_author,
    compute_features,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery, parse_query
from onionskin.memory.retrieval.ranking.weights import Weights, hand_made, learned
from onionskin.memory.types.messages import Vector

try:
    from onionskin.memory.retrieval.ranking._kernel import rank as kernel_rank
except ImportError:
    kernel_rank = None

KERNEL_FEATURES = (
    *("words", "words_around", "cosine", "meaning", "meaning_around", "when_times", *FORM),
)
"""The features that the kernel computes, in its order."""
_COLUMNS = np.array([PLACES[name] for name in KERNEL_FEATURES], np.int32)
_NO_VECTORS = np.empty(0, np.uint8)


def is_compiled() -> bool:
    """Whether the compiled kernel is installed."""
    return kernel_rank is not None


@dataclass(frozen=True, slots=True)
class Ranked:
    """The ranking of a query; valid until the index changes.

    Attributes:
        query: The text.
        vector: The `(dim,)` unit vector that was compared; None for words alone.
        rows: `(m,)` ascending, the candidates.
        features: `(m, len(NAMES))`, see `onionskin.memory.retrieval.ranking.features`.
        columns: `(m, k)`, the weighted columns; see `Weights.columns`.
        weights: `(k,)`.
        scores: `(m,)`, the weighted sum of the columns.
        candidates: Makes the candidates with their windows.
        parse: Parses the query with its words, where only fast features were computed; else None.
        has_dates: Whether the query names dates.
        today: The day that its relative dates start from.
    """

    query: str
    vector: Vector | None
    rows: NDArray[np.intp]
    features: Floats
    columns: Floats
    weights: Floats
    scores: Floats
    candidates: Callable[[], Candidates]
    parse: Callable[[], ParsedQuery] | None
    has_dates: bool = False
    today: Today | None = None

    def answers(self, query: str, vector: Vector | None, today: Today | None) -> bool:
        """Whether this is the ranking of this query and `(dim,)` vector on this day."""
        if self.has_dates and today != self.today:
            return False
        if query != self.query or vector is self.vector:
            return query == self.query
        if vector is None or self.vector is None:
            return False
        return np.array_equal(vector, self.vector)


class Ranker:
    """Ranks the messages of an index.

    Args:
        text_pipeline: The language of the index.
        bm25: The terms of the messages.
        vectors: The vectors of the messages.
        message_features: Other features of the messages.
        context_norms: The norms of the messages' context vectors.
        weights: Weights to use in place of those learned for the language.
    """

    def __init__(
        self,
        text_pipeline: TextPipeline,
        bm25: Bm25Index,
        vectors: FaissIndex,
        message_features: MessageFeatures,
        context_norms: ContextNorms,
        *,
        weights: Weights | None = None,
    ) -> None:
        self._text_pipeline, self._bm25, self._vectors = text_pipeline, bm25, vectors
        self._message_features, self._context_norms = message_features, context_norms
        self._generator = CandidateGenerator(bm25, vectors, message_features)
        self.weights = weights

    def rank(
        self,
        query: str,
        vector: Vector | None,
        *,
        now: float | None,
        today: Today | None = None,
        among: NDArray[np.intp] | None = None,
        plain: bool = True,
    ) -> Ranked | None:
        """The scored candidates for a query; None where there are none.

        Args:
            query: The text.
            vector: Its `(dim,)` unit vector; None for words alone.
            now: Unix time that dates start from; None for the newest message's.
            today: Day that relative dates start from; None for that of `now`.
            among: The only rows to rank, ascending; None for all.
            plain: Whether the selection goes by score alone.
        """
        weights = self._choose_weights(query)
        fast = weights.are_fast and plain
        parsed = self.parse(query, vector, now, today, fast=fast)
        rows, features, candidates = self._measure(parsed, among, fast=fast)
        if not len(rows):
            return None
        columns, column_weights = weights.columns(features, candidates, self._message_features)
        return Ranked(
            query=query,
            vector=vector,
            rows=rows,
            features=features,
            columns=columns,
            weights=column_weights,
            scores=columns @ column_weights,
            candidates=candidates,
            parse=(lambda: self.parse(query, vector, now, today)) if fast else None,
            has_dates=bool(parsed.spans),
            today=today,
        )

    def parse(
        self,
        query: str,
        vector: Vector | None,
        now: float | None = None,
        today: Today | None = None,
        *,
        fast: bool = False,
    ) -> ParsedQuery:
        """The parsed query; with `fast`, without its words' pieces."""
        return parse_query(
            query,
            vector,
            bm25=self._bm25,
            message_features=self._message_features,
            text_pipeline=self._text_pipeline,
            now=now,
            today=today,
            fast=fast,
        )

    def generate(self, query: ParsedQuery, among: NDArray[np.intp] | None = None) -> Candidates:
        """The rows worth ranking; see `CandidateGenerator.generate`."""
        return self._generator.generate(query, among)

    def compute_features(
        self, query: ParsedQuery, candidates: Candidates, *, fast: bool = False
    ) -> Floats:
        """The candidates' features; see `onionskin.memory.retrieval.ranking.features`."""
        return compute_features(
            query,
            candidates,
            message_features=self._message_features,
            bm25=self._bm25,
            vectors=self._vectors,
            context_norms=self._context_norms,
            word_vectors=self._text_pipeline.vectors,
            fast=fast,
        )

    def _measure(
        self, query: ParsedQuery, among: NDArray[np.intp] | None, *, fast: bool
    ) -> tuple[NDArray[np.intp], Floats, Callable[[], Candidates]]:
        """The candidates' rows and features, and a function that makes the candidates."""
        if fast and among is None and (compiled := self._run_kernel(query)):
            rows, features = compiled
            return rows, features, lambda: Candidates.of(rows, self._message_features)
        candidates = self.generate(query, among)
        features = self.compute_features(query, candidates, fast=fast)
        return candidates.rows, features, lambda: candidates

    def _run_kernel(self, query: ParsedQuery) -> tuple[NDArray[np.intp], Floats] | None:
        """The candidates and their fast features, from the kernel.

        Returns:
            Rows, `(m,)` ascending, and `(m, len(NAMES))` float32; None without a kernel, or where
            FAISS keeps the vectors in an IVF index.
        """
        vectors, message_features = self._vectors, self._message_features
        codes = vectors.codes
        if kernel_rank is None or (codes is None and len(vectors)):
            return None
        vector, nearest = None, None
        if query.vector is not None and vectors.fits(query.vector):
            vector = np.ascontiguousarray(query.vector, np.float32)
            if len(message_features) > EVERY_ROW:
                nearest = self._generator.nearest(vector)
        row_bytes, feature_bytes = kernel_rank(
            *self._bm25.posting_lists(query.terms),
            *message_features.kernel_arrays(),
            self._context_norms.cached,
            message_features.deleted,
            vectors.places,
            vector,
            _NO_VECTORS if codes is None else codes,
            np.empty(0, np.int64) if nearest is None else nearest,
            query.asks_when,
            len(NAMES),
            _COLUMNS,
        )
        rows = np.frombuffer(row_bytes, np.int64)
        features = np.frombuffer(feature_bytes, np.float32).reshape(-1, len(NAMES))
        if query.spans or query.author is not None:
            add_dates_and_author(features, query, rows, message_features)
        return rows, features

    def _choose_weights(self, query: str) -> Weights:
        if self.weights:
            return self.weights
        language = self._text_pipeline.name
        weights = learned(language)
        # Weights learned among named speakers do worse in a user's chat with an assistant.
        fits = self._message_features.has_speakers and looks_like(query, language)
        return weights if weights and fits else hand_made()
