"""A query, read: its terms, words, days, and whom of the speakers it names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from onionskin.memory.retrieval.index.bm25 import Bm25Index, Found
from onionskin.memory.retrieval.index.message_features import MessageFeatures
from onionskin.memory.retrieval.language.analyzer import TextPipeline, words_of
from onionskin.memory.retrieval.language.dates import Span, day_of, spans
from onionskin.memory.types.messages import Vector


@dataclass(frozen=True)
class ParsedQuery:
    """What the ranking looks for.

    Attributes:
        vector: `(dim,)`, or None to go by words alone.
        terms: the ids of its terms, each once, speakers' names left out.
        words: ids of its words' pieces in the table of word vectors, speakers' names left out.
        telling: how rare the word of each piece is, `(len(words),)`; 0 for a stop word.
        spans: the days it names.
        asks_when: whether it asks after a time.
        author: the one speaker it names, by number, or None.
        postings: of the index it is asked of.
    """

    vector: Vector | None
    terms: Sequence[int]
    words: NDArray[np.int64]
    term_rarity: NDArray[np.float32]
    spans: tuple[Span, ...]
    asks_when: bool
    author: int | None
    postings: Bm25Index

    @cached_property
    def found(self) -> Found:
        """The postings of its terms."""
        return self.postings.find(self.terms)


def parse_query(
    text: str,
    vector: Vector | None,
    *,
    postings: Bm25Index,
    rows: MessageFeatures,
    tongue: TextPipeline,
    now: float | None = None,
    brief: bool = False,
) -> ParsedQuery:
    """Read a query against what an index knows.

    Args:
        text: the query.
        vector: its vector, or None.
        postings: the index's terms.
        rows: its speakers and days.
        tongue: how it reads.
        now: the time from which relative dates are counted; that of the newest message if None.
        brief: leave `words` and `telling` empty.
    """
    folded = text.casefold()
    named = named_in(folded, rows.authors)
    kept = strip_names(text, named) if named else text
    analyze = tongue.analyze
    terms = postings.known(analyze(kept)) or postings.known(analyze(text))
    words = [] if brief else list(dict.fromkeys(words_of(kept.casefold())))
    pieces = [tongue.vectors.ids([word]) for word in words]
    telling = [
        weight
        for word, ids in zip(words, pieces, strict=True)
        for weight in [postings.weight_of(analyze.terms([word]))] * len(ids)
    ]
    today = day_of(now) if now is not None else rows.newest_day
    return ParsedQuery(
        vector,
        terms,
        np.array([number for ids in pieces for number in ids], np.int64),
        np.array(telling, np.float32),
        tuple(spans(text, today, tongue.words)),
        bool(tongue.words.asks_when.search(folded)),
        rows.authors[named[0]] if len(named) == 1 else None,
        postings,
    )


def named_in(folded: str, authors: dict[str, int]) -> list[str]:
    """The speakers whose names stand in a case-folded text as whole words."""
    return [
        name
        for name in authors
        if name and name in folded and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", folded)
    ]


def strip_names(text: str, names: list[str]) -> str:
    """The text with the names, and a possessive behind them, taken out."""
    if not names:
        return text
    pattern = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{pattern})(?:['\u2019]s)?(?!\w)", " ", text, flags=re.IGNORECASE)
