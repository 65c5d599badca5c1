"""Late interaction: for each word of the query its best match, here and nearby.

It costs as much as all other parts together, so only those candidates get it that lead without.
"""

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.query import ParsedQuery

_ALIKE = 0.3  # words with a smaller cosine have nothing in common
_NEARBY = {-2: 0.6, -1: 0.8, 0: 1.0, 1: 0.6, 2: 0.4}
_COMPARED = 192


def find_top_candidates(words: Floats, words_around: Floats, meaning: Floats) -> Floats:
    """A first score of candidates, from three of their parts, `(m,)` each."""
    return words + 1.5 * words_around + 1.5 * meaning


def top_candidates(leaders: Floats) -> NDArray[np.intp]:
    """The places of those that lead, ascending."""
    return np.sort(np.argsort(-leaders, kind="stable")[:_COMPARED])


def late_interaction(
    question: ParsedQuery,
    ranked: Candidates,
    leaders: Floats,
    rows: MessageFeatures,
    word_vectors: WordVectors,
) -> dict[str, Floats]:
    """The parts `words_alike` and `words_alike_around`, `(m,)` each; 0 but for those that lead.

    Args:
        question: its words count, by how telling they are.
        ranked: the candidates.
        leaders: their first scores, `(m,)`.
        rows: the words of each.
        word_vectors: how near two words are.
    """
    alike = np.zeros((2, len(ranked.rows)), np.float32)
    if not len(question.words):
        return {"words_alike": alike[0], "words_alike_around": alike[1]}
    leading = top_candidates(leaders)
    candidates = ranked.among(leading)
    said, starts = rows.words(candidates.all)
    matches, lengths = word_vectors.alike(said, question.words, above=_ALIKE)
    best = np.maximum.reduceat(matches, starts)
    best[np.diff(starts, append=len(said)) == 0] = 0
    around = np.maximum.reduce([candidates.at(best, by) * far for by, far in _NEARBY.items()])
    total, telling = float(lengths.sum()), question.term_rarity
    alike[0, leading] = candidates.at(best, 0) @ lengths / total
    alike[1, leading] = around @ telling / max(float(telling.sum()), 1e-6)
    return {"words_alike": alike[0], "words_alike_around": alike[1]}
