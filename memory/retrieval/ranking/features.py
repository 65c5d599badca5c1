"""The parts of a score: what speaks for each candidate, a column a part.

Scales: parts that are compared with the best candidate lie between 0 and 1; cosines are cosines;
the rest are counts, logarithms of counts, or 0 and 1. `nearby` means: of the messages before and
after in the same session.
"""

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Found
from onionskin.memory.retrieval.index.context_norms import BEFORE, ContextNorms
from onionskin.memory.retrieval.index.faiss_vectors import FaissIndex
from onionskin.memory.retrieval.index.message_features import FORM, MessageFeatures
from onionskin.memory.retrieval.language.word_vectors import WordVectors
from onionskin.memory.retrieval.ranking.candidates import STEPS, Candidates, Floats
from onionskin.memory.retrieval.ranking.late_interaction import (
    find_top_candidates,
    late_interaction,
)
from onionskin.memory.retrieval.ranking.query import ParsedQuery

_SATURATION = 0.4  # BM25's k1, without length normalisation
_LEADERS = 8
_MANY, _WORD_BYTES = 500, 8
_EPOCH = 719_163  # the ordinal of 1970-01-01

NAMES = (
    *("words", "words_by_length", "words_around", "words_before", "rarest", "rarity"),
    *("words_-1", "words_-2", "cosine", "meaning", "meaning_-2", "meaning_-1", "meaning_1"),
    *("meaning_around", "alike_leaders", "words_alike", "words_alike_around"),
    *("answers_words", "answers_meaning", "day", "month", "year", "event", "when_times"),
    *("author", "other_author", "author_meaning", *FORM),
)
"""The columns, in order."""
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
"""Those that cost little."""
PLACES = {name: place for place, name in enumerate(NAMES)}
"""The place of each column."""


def compute_features(
    question: ParsedQuery,
    candidates: Candidates,
    *,
    rows: MessageFeatures,
    postings: Bm25Index,
    vectors: FaissIndex,
    surroundings: ContextNorms,
    word_vectors: WordVectors,
    brief: bool = False,
) -> Floats:
    """Every part of every candidate: `(m, len(NAMES))` float32; those of `BRIEF` if it is brief."""
    form = rows.form(candidates.rows)
    parts = _words(question, candidates, rows, postings, brief=brief)
    parts |= _meaning(question, candidates, vectors, surroundings, brief=brief)
    parts |= {name: form[:, place] for place, name in enumerate(FORM)}
    if not brief:
        leaders = find_top_candidates(parts["words"], parts["words_around"], parts["meaning"])
        asked = np.maximum(rows.step(candidates.rows, -1), 0)
        after_question = rows.form(asked)[:, FORM.index("question")]
        parts |= late_interaction(question, candidates, leaders, rows, word_vectors) | {
            "alike_leaders": _similarity_to_top(leaders, *vectors.of(candidates.rows)),
            "answers_words": after_question * parts["words_-1"],
            "answers_meaning": after_question * parts["meaning_-1"],
        }
    table = np.zeros((len(form), len(NAMES)), np.float32)
    for name, values in parts.items():
        table[:, PLACES[name]] = values
    add_days_and_author(table, question, candidates.rows, rows)
    return table


def add_days_and_author(
    table: Floats, question: ParsedQuery, where: NDArray[np.intp], rows: MessageFeatures
) -> None:
    """Fill in what the other parts do not need, into a table that holds those.

    Args:
        table: `(m, len(NAMES))`.
        question: what is looked for.
        where: the rows that it tells of, `(m,)`.
        rows: their days and authors.
    """
    table[:, PLACES["when_times"]] = table[:, PLACES["times"]] * question.asks_when
    parts = _dates(question, where, rows)
    parts |= _author(question, where, rows, table[:, PLACES["meaning"]])
    for name, values in parts.items():
        table[:, PLACES[name]] = values


def _words(
    question: ParsedQuery,
    candidates: Candidates,
    rows: MessageFeatures,
    postings: Bm25Index,
    *,
    brief: bool,
) -> dict[str, Floats]:
    found = question.found
    if not len(found.weights):  # a product over nothing is zero, but warns
        counts, weights = np.zeros((len(candidates.all), 1), np.float32), np.zeros(1, np.float32)
        spread = weights
    else:
        counts, weights, spread = candidates.counts(found), found.weights, _spread(found, rows)
    own = _saturated(counts) @ weights
    here = candidates.at(counts, 0)
    before = here + candidates.at(counts, -1) + candidates.at(counts, -2)
    around = before + candidates.at(counts, 1) + candidates.at(counts, 2)
    own_here = candidates.at(own, 0)
    top = max(float(own_here.max(initial=0)), 1e-6)
    parts = {"words": own_here / top, "words_around": _to_top(_saturated(around) @ spread)}
    if brief:
        return parts
    lengths = postings.lengths(candidates.all)[:, None] / postings.mean_length
    by_length = (counts * 2.2 / (counts + 1.2 * (0.25 + 0.75 * lengths))) @ weights
    terms, starts = rows.terms(candidates.rows)
    rarity = np.add.reduceat(np.append(postings.weights(terms), 0), starts)
    sizes = np.diff(np.append(starts, len(terms)))
    return parts | {
        "words_by_length": _to_top(candidates.at(by_length, 0)),
        "words_before": _to_top(_saturated(before) @ spread),
        "rarest": _to_top(((here > 0) * weights).max(axis=1, initial=0)),
        "rarity": np.where(sizes > 0, rarity / np.maximum(sizes, 1), 0),
        "words_-1": candidates.at(own, -1) / top,
        "words_-2": candidates.at(own, -2) / top,
    }


def _spread(found: Found, rows: MessageFeatures) -> Floats:
    """The inverse frequency of each term among windows of five messages."""
    count, few = len(rows), found.holding <= _MANY
    kept = few[found.place]
    width = (count // _WORD_BYTES + 1) * _WORD_BYTES
    reached = np.zeros(len(few) * width + 1, np.bool_)
    place = found.place[kept] * width
    for near in rows.near(found.rows[kept]):
        reached[np.where(near >= 0, place + near, -1)] = True  # the last takes what is nowhere
    words = reached[:-1].view(np.uint64).reshape(len(few), -1)
    reach = np.bitwise_count(words).sum(axis=1, dtype=np.intp)
    many = np.minimum(found.holding * len(STEPS), count)
    held = np.where(few, reach, many).astype(np.float32)
    return np.log1p((count - held + 0.5) / (held + 0.5))


def _meaning(
    question: ParsedQuery,
    candidates: Candidates,
    vectors: FaissIndex,
    surroundings: ContextNorms,
    *,
    brief: bool,
) -> dict[str, Floats]:
    count = len(candidates.rows)
    none = np.zeros(count, np.float32)
    names = ("cosine", "meaning", "meaning_-2", "meaning_-1", "meaning_1", "meaning_around")
    if question.vector is None or not vectors.fits(question.vector):
        return dict.fromkeys(names, none)
    cosines, known = vectors.cosines(candidates.all, question.vector)
    here = candidates.at(cosines, 0)
    low, high = float(here.min(initial=1)), float(here.max(initial=-1))
    scaled = np.where(known, (cosines - low) / max(high - low, 1e-6), 0).astype(np.float32)
    around = here + BEFORE * (candidates.at(cosines, -1) + candidates.at(cosines, -2))
    lengths = surroundings.lengths(candidates.rows)
    parts: dict[str, Floats] = {
        "cosine": here,
        "meaning": candidates.at(scaled, 0),
        "meaning_around": _between(around / np.maximum(lengths, 1e-6)),
    }
    if brief:
        return parts
    return parts | {
        "meaning_-2": candidates.at(scaled, -2),
        "meaning_-1": candidates.at(scaled, -1),
        "meaning_1": candidates.at(scaled, 1),
    }


def _similarity_to_top(leaders: Floats, held: Floats, known: NDArray[np.bool_]) -> Floats:
    """How near each is to the middle of those that lead so far."""
    if not known.any():
        return np.zeros(len(leaders), np.float32)
    best = np.argsort(-leaders, kind="stable")[:_LEADERS]
    return _between(held @ held[best].mean(axis=0))


def _dates(
    question: ParsedQuery, where: NDArray[np.intp], rows: MessageFeatures
) -> dict[str, Floats]:
    if not question.spans:
        return {}
    days = rows.days(where)
    told, slack = rows.events(where)
    names = ("day", "month", "year", "event")
    parts = {name: np.zeros(len(where), np.float32) for name in names}
    for span in question.spans:
        inside = (days >= span.first) & (days <= span.last)
        if span.any_year:
            since_1970 = (days - _EPOCH).astype("datetime64[D]").astype("datetime64[M]")
            inside = since_1970.astype(np.int64) % 12 + 1 == span.month
        parts[span.grain] = np.maximum(parts[span.grain], inside)
        if span.grain != "year":
            tells = (told > 0) & (told + slack >= span.first) & (told - slack <= span.last)
            parts["event"] = np.maximum(parts["event"], tells)
            if span.grain == "day" and span.month:
                month = (days >= span.first - 15) & (days <= span.last + 15)
                parts["month"] = np.maximum(parts["month"], month)
    return parts


def _author(
    question: ParsedQuery, where: NDArray[np.intp], rows: MessageFeatures, meaning: Floats
) -> dict[str, Floats]:
    if question.author is None:
        return {}
    same = (rows.spoken_by(where) == question.author).astype(np.float32)
    return {"author": same, "other_author": 1 - same, "author_meaning": same * meaning}


def _saturated(counts: Floats) -> Floats:
    return counts * (_SATURATION + 1) / (counts + _SATURATION)


def _to_top(values: Floats) -> Floats:
    return values / max(float(values.max(initial=0)), 1e-6)


def _between(values: Floats) -> Floats:
    if not len(values):
        return values
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)
