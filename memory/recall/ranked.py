"""Candidates with what speaks for each of them, before any is chosen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memory.recall.candidates import Candidates, Floats
from memory.recall.question import Question
from memory.types import Vector


@dataclass(frozen=True, slots=True)
class Ranked:
    """What an index makes of a query; as long as nothing changes, it makes the same of it again.

    Attributes:
        query: the text.
        vector: the `(dim,)` unit vector that it was compared by; None for words alone.
        question: what was looked for.
        candidates: `m` of them.
        parts: `(m, len(NAMES))`, see `memory.recall.parts`.
        contributions: of the parts to each score; see `memory.recall.ranking`.
        read: the question with its words, where `parts` are brief; None where they are not.
    """

    query: str
    vector: Vector | None
    question: Question
    candidates: Candidates
    parts: Floats
    contributions: Floats
    read: Callable[[], Question] | None

    def answers(self, query: str, vector: Vector | None) -> bool:
        """Whether it was made of this query, `(dim,)` vector included."""
        if query != self.query or vector is None or self.vector is None:
            return query == self.query and vector is self.vector
        return np.array_equal(vector, self.vector)
