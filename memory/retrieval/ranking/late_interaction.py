"""Late interaction: the best match of each query word, in a message and nearby.

It costs as much as all other features together, so only the top candidates get it.
"""

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import Candidates, Floats
from onionskin.memory.retrieval.ranking.query import ParsedQuery

_MIN_COSINE = 0.3  # words with a smaller cosine do not match
_DISCOUNTS = {-2: 0.6, -1: 0.8, 0: 1.0, 1: 0.6, 2: 0.4}
_TOP = 192


def first_stage_scores(words: Floats, words_around: Floats, meaning: Floats) -> Floats:
    """First-stage scores of the candidates, from three of their features, `(m,)` each."""
    return words + 1.5 * words_around + 1.5 * meaning


def top_candidates(first_stage: Floats) -> NDArray[np.intp]:
    """The places of the best first-stage scores, ascending."""
    return np.sort(np.argsort(-first_stage, kind="stable")[:_TOP])


def late_interaction(
    query: ParsedQuery,
    candidates: Candidates,
    first_stage: Floats,
    message_features: MessageFeatures,
    word_vectors: WordVectors,
) -> dict[str, Floats]:
    """The features `words_alike` and `words_alike_around`, `(m,)` each; 0 below the top candidates.

    Args:
        query: Its words count, weighted by their rarity.
        candidates: `m` candidates.
        first_stage: Their first-stage scores, `(m,)`.
        message_features: The words of each message.
        word_vectors: The similarity of two words.
    """
    alike = np.zeros((2, len(candidates.rows)), np.float32)
    if not len(query.words):
        return {"words_alike": alike[0], "words_alike_around": alike[1]}
    places = top_candidates(first_stage)
    top = candidates.subset(places)
    words, starts = message_features.words(top.context)
    matches, lengths = word_vectors.excess_cosines(words, query.words, above=_MIN_COSINE)
    best = np.maximum.reduceat(matches, starts)
    best[np.diff(starts, append=len(words)) == 0] = 0
    nearby = [top.at(best, offset) * discount for offset, discount in _DISCOUNTS.items()]
    around = np.maximum.reduce(nearby)
    total, rarity = float(lengths.sum()), query.term_rarity
    alike[0, places] = top.at(best, 0) @ lengths / total
    alike[1, places] = around @ rarity / max(float(rarity.sum()), 1e-6)
    return {"words_alike": alike[0], "words_alike_around": alike[1]}
