"""Whether anything speaks for a candidate: a word of it or near it, a like word, or its meaning."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from memory.recall.candidates import Candidates, Floats
from memory.recall.late import late_interaction, leaders_of, leading_of
from memory.recall.parts import NAMES, PLACES
from memory.recall.question import Question
from memory.recall.rows import Rows
from memory.recall.word_vectors import WordVectors

_SUPPORT = [NAMES.index(name) for name in ("words_around", "words_alike", "cosine")]
_FIRST = ("words", "words_around", "meaning")


class Support:
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
        rows: Rows,
        word_vectors: WordVectors,
        read: Callable[[], Question] | None,
    ) -> None:
        self._parts, self._candidates, self._read = parts, candidates, read
        self._rows, self._word_vectors = rows, word_vectors

    def __call__(self, place: int) -> bool:
        """Whether anything speaks for the candidate at a place."""
        said: list[float] = self._parts[place].take(_SUPPORT).tolist()
        return max(said) > 0 or (self._read is not None and self._is_alike(self._read, place))

    def _is_alike(self, read: Callable[[], Question], place: int) -> bool:
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
        leaders = leaders_of(*(self._parts[:, PLACES[name]] for name in _FIRST))
        return leaders, frozenset(leading_of(leaders).tolist())
