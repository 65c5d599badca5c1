"""From a query to candidates and what speaks for each of them, before any is chosen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory.recall.candidates import Candidates, Floats
from memory.recall.compiled import brief_parts
from memory.recall.dense import Vectors
from memory.recall.language import looks_like
from memory.recall.lexical import Postings
from memory.recall.parts import measure
from memory.recall.question import Question, read_question
from memory.recall.ranking import Weights, hand_made, learned
from memory.recall.rows import Rows
from memory.recall.seeds import EVERY_ROW, seeds
from memory.recall.surroundings import Surroundings
from memory.recall.tongue import Tongue
from memory.types import Vector


@dataclass(frozen=True, slots=True)
class Ranked:
    """What is made of a query; as long as the index does not change, the same is made of it again.

    Attributes:
        query: the text.
        vector: the `(dim,)` unit vector that it was compared by; None for words alone.
        rows: `(m,)` ascending, those worth ranking.
        parts: `(m, len(NAMES))`, see `memory.recall.parts`.
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
    read: Callable[[], Question] | None

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
        tongue: Tongue,
        postings: Postings,
        vectors: Vectors,
        rows: Rows,
        surroundings: Surroundings,
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
        brief = weights.are_brief and plain
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
        self, question: Question, among: NDArray[np.intp] | None, *, brief: bool
    ) -> tuple[NDArray[np.intp], Floats, Callable[[], Candidates]]:
        """The rows worth ranking, their parts, and the candidates at those rows."""
        kept = self._rows
        if brief and among is None:
            found = brief_parts(
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
    ) -> Question:
        """What the ranking looks for in a query; without its words' pieces if that is brief."""
        rows, tongue = self._rows, self._tongue
        return read_question(
            query, vector, postings=self._postings, now=now, rows=rows, tongue=tongue, brief=brief
        )

    def candidates(self, question: Question, among: NDArray[np.intp] | None = None) -> Candidates:
        """The rows worth ranking: all where there are few; else the best of both searches.

        Args:
            question: what is looked for.
            among: only these rows, ascending; None for all.
        """
        rows = np.arange(len(self._rows)) if among is None else among
        if len(rows) > EVERY_ROW:
            rows = seeds(question, self._postings, self._vectors, self._rows, among=among)
        return Candidates.of(rows, self._rows)

    def measure(self, question: Question, candidates: Candidates, *, brief: bool = False) -> Floats:
        """The parts of the candidates' scores; see `memory.recall.parts`."""
        return measure(
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
