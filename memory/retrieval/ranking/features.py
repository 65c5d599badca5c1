"""Ranking features of the candidates, a column each.

Scales: features that are relative to the best candidate lie between 0 and 1, cosines are cosines,
and the others are counts, logarithms of counts, or 0 and 1. `around` and `before` include the
messages next to a candidate in its session.
"""

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Postings
from onionskin.memory.retrieval.index.context_norms import NEIGHBOUR_WEIGHT, ContextNorms
from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.message_features import FORM, MessageFeatures
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import OFFSETS, Candidates, Floats
from onionskin.memory.retrieval.ranking.late_interaction import (
    first_stage_scores,
    late_interaction,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery

_SATURATION = 0.4  # BM25's k1, without length normalisation
_CENTROID_SIZE = 8
_COMMON, _WORD_BYTES = 500, 8  # a term in more rows has its windows estimated
_EPOCH = 719_163  # the ordinal of 1970-01-01

NAMES = (
    *("words", "words_by_length", "words_around", "words_before", "rarest", "rarity"),
    *("words_-1", "words_-2", "cosine", "meaning", "meaning_-2", "meaning_-1", "meaning_1"),
    *("meaning_around", "alike_leaders", "words_alike", "words_alike_around"),
    *("answers_words", "answers_meaning", "day", "month", "year", "event", "when_times"),
    *("author", "other_author", "author_meaning", *FORM),
)
"""The feature columns, in order."""
FAST_FEATURES = (
    "words",
    "words_around",
    "cosine",
    "meaning",
    "meaning_around",
    "day",
    "month",
    "year",
    "event",
    "when_times",
    "author",
    "other_author",
    "author_meaning",
    *FORM,
)
"""The cheap features, which the kernel computes."""
PLACES = {name: place for place, name in enumerate(NAMES)}
"""The place of each column."""


def compute_features(
    query: ParsedQuery,
    candidates: Candidates,
    *,
    message_features: MessageFeatures,
    bm25: Bm25Index,
    vectors: FaissIndex,
    context_norms: ContextNorms,
    word_vectors: WordVectors,
    fast: bool = False,
) -> Floats:
    """The features of every candidate, `(m, len(NAMES))` float32; `fast`: only `FAST_FEATURES`."""
    form = message_features.form(candidates.rows)
    features = _word_features(query, candidates, message_features, bm25, fast=fast)
    features |= _vector_features(query, candidates, vectors, context_norms, fast=fast)
    features |= {name: form[:, place] for place, name in enumerate(FORM)}
    if not fast:
        first_stage = first_stage_scores(
            features["words"], features["words_around"], features["meaning"]
        )
        previous = np.maximum(message_features.step(candidates.rows, -1), 0)
        after_question = message_features.form(previous)[:, FORM.index("question")]
        features |= late_interaction(
            query, candidates, first_stage, message_features, word_vectors
        ) | {
            "alike_leaders": _similarity_to_top(first_stage, *vectors.of(candidates.rows)),
            "answers_words": after_question * features["words_-1"],
            "answers_meaning": after_question * features["meaning_-1"],
        }
    table = np.zeros((len(form), len(NAMES)), np.float32)
    for name, values in features.items():
        table[:, PLACES[name]] = values
    add_dates_and_author(table, query, candidates.rows, message_features)
    return table


def add_dates_and_author(
    table: Floats,
    query: ParsedQuery,
    rows: NDArray[np.intp],
    message_features: MessageFeatures,
) -> None:
    """Fill in the date and author features, which are derived from the others.

    Args:
        table: `(m, len(NAMES))`, with all other features.
        query: The parsed query.
        rows: The candidates' rows, `(m,)`.
        message_features: Their dates and authors.
    """
    table[:, PLACES["when_times"]] = table[:, PLACES["times"]] * query.asks_when
    features = _date_features(query, rows, message_features)
    features |= _author_features(query, rows, message_features, table[:, PLACES["meaning"]])
    for name, values in features.items():
        table[:, PLACES[name]] = values


def _word_features(
    query: ParsedQuery,
    candidates: Candidates,
    message_features: MessageFeatures,
    bm25: Bm25Index,
    *,
    fast: bool,
) -> dict[str, Floats]:
    postings = query.postings
    if not len(postings.idf):  # a product over nothing is zero, but warns
        counts, idf = np.zeros((len(candidates.context), 1), np.float32), np.zeros(1, np.float32)
        window_idf = idf
    else:
        counts, idf = candidates.counts(postings), postings.idf
        window_idf = _window_idf(postings, message_features)
    own = _saturated(counts) @ idf
    here = candidates.at(counts, 0)
    before = here + candidates.at(counts, -1) + candidates.at(counts, -2)
    around = before + candidates.at(counts, 1) + candidates.at(counts, 2)
    own_here = candidates.at(own, 0)
    top = max(float(own_here.max(initial=0)), 1e-6)
    features = {
        "words": own_here / top,
        "words_around": _relative_to_top(_saturated(around) @ window_idf),
    }
    if fast:
        return features
    lengths = bm25.lengths(candidates.context)[:, None] / bm25.mean_length
    by_length = (counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * lengths))) @ idf
    terms, starts = message_features.terms(candidates.rows)
    rarity = np.add.reduceat(np.append(bm25.idf(terms), 0), starts)
    sizes = np.diff(np.append(starts, len(terms)))
    return features | {
        "words_by_length": _relative_to_top(candidates.at(by_length, 0)),
        "words_before": _relative_to_top(_saturated(before) @ window_idf),
        "rarest": _relative_to_top(((here > 0) * idf).max(axis=1, initial=0)),
        "rarity": np.where(sizes > 0, rarity / np.maximum(sizes, 1), 0),
        "words_-1": candidates.at(own, -1) / top,
        "words_-2": candidates.at(own, -2) / top,
    }


def _window_idf(postings: Postings, message_features: MessageFeatures) -> Floats:
    """The inverse frequency of each term among windows of five messages, `(t,)`."""
    row_count, counted = len(message_features), postings.row_counts <= _COMMON
    chosen = counted[postings.term]
    width = (row_count // _WORD_BYTES + 1) * _WORD_BYTES
    reached = np.zeros(len(counted) * width + 1, np.bool_)
    base = postings.term[chosen] * width
    for window in message_features.windows(postings.rows[chosen]):
        reached[np.where(window >= 0, base + window, -1)] = True  # -1: rows that do not exist
    words = reached[:-1].view(np.uint64).reshape(len(counted), -1)
    exact = np.bitwise_count(words).sum(axis=1, dtype=np.intp)
    estimate = np.minimum(postings.row_counts * len(OFFSETS), row_count)
    windows = np.where(counted, exact, estimate).astype(np.float32)
    return np.log1p((row_count - windows + 0.5) / (windows + 0.5))


def _vector_features(
    query: ParsedQuery,
    candidates: Candidates,
    vectors: FaissIndex,
    context_norms: ContextNorms,
    *,
    fast: bool,
) -> dict[str, Floats]:
    zeros = np.zeros(len(candidates.rows), np.float32)
    names = ("cosine", "meaning", "meaning_-2", "meaning_-1", "meaning_1", "meaning_around")
    if query.vector is None or not vectors.fits(query.vector):
        return dict.fromkeys(names, zeros)
    cosines, known = vectors.cosines(candidates.context, query.vector)
    here = candidates.at(cosines, 0)
    low, high = float(here.min(initial=1)), float(here.max(initial=-1))
    scaled = np.where(known, (cosines - low) / max(high - low, 1e-6), 0).astype(np.float32)
    before = candidates.at(cosines, -1) + candidates.at(cosines, -2)
    around = here + NEIGHBOUR_WEIGHT * before
    norms = context_norms.norms(candidates.rows)
    features: dict[str, Floats] = {
        "cosine": here,
        "meaning": candidates.at(scaled, 0),
        "meaning_around": _min_max(around / np.maximum(norms, 1e-6)),
    }
    if fast:
        return features
    return features | {
        "meaning_-2": candidates.at(scaled, -2),
        "meaning_-1": candidates.at(scaled, -1),
        "meaning_1": candidates.at(scaled, 1),
    }


def _similarity_to_top(first_stage: Floats, vectors: Floats, known: NDArray[np.bool_]) -> Floats:
    """The similarity of each candidate to the centroid of the best first-stage scores."""
    if not known.any():
        return np.zeros(len(first_stage), np.float32)
    best = np.argsort(-first_stage, kind="stable")[:_CENTROID_SIZE]
    return _min_max(vectors @ vectors[best].mean(axis=0))


def _date_features(
    query: ParsedQuery, rows: NDArray[np.intp], message_features: MessageFeatures
) -> dict[str, Floats]:
    if not query.spans:
        return {}
    days = message_features.days(rows, query.utc_offset)
    event_days, slack = message_features.events(rows, days)
    names = ("day", "month", "year", "event")
    features = {name: np.zeros(len(rows), np.float32) for name in names}
    for span in query.spans:
        inside = (days >= span.first) & (days <= span.last)
        if span.any_year:
            since_1970 = (days - _EPOCH).astype("datetime64[D]").astype("datetime64[M]")
            inside = since_1970.astype(np.int64) % 12 + 1 == span.month
        features[span.grain] = np.maximum(features[span.grain], inside)
        if span.grain != "year":
            matches = (
                (event_days > 0)
                & (event_days + slack >= span.first)
                & (event_days - slack <= span.last)
            )
            features["event"] = np.maximum(features["event"], matches)
            if span.grain == "day" and span.month:
                month = (days >= span.first - 15) & (days <= span.last + 15)
                features["month"] = np.maximum(features["month"], month)
    return features


def _author_features(
    query: ParsedQuery,
    rows: NDArray[np.intp],
    message_features: MessageFeatures,
    meaning: Floats,
) -> dict[str, Floats]:
    if query.author is None:
        return {}
    same = (message_features.spoken_by(rows) == query.author).astype(np.float32)
    return {"author": same, "other_author": 1 - same, "author_meaning": same * meaning}


def _saturated(counts: Floats) -> Floats:
    return counts * (_SATURATION + 1) / (counts + _SATURATION)


def _relative_to_top(values: Floats) -> Floats:
    return values / max(float(values.max(initial=0)), 1e-6)


def _min_max(values: Floats) -> Floats:
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)
